"""Stage: items within an interest, by a sequence model over items, popularity and what items are about."""
