"""Serving: a release and what is known of a user become interests and items to show; no HTTP in here."""
