"""What people did with proposals, as lifts per (context, successor) that re-order the first of them."""
