"""Stage: what reactions say of proposals: lifts per (context, successor), to choose the best of n."""
