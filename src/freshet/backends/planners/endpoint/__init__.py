"""Planners whose model runs elsewhere: behind an endpoint, or in a provider's batch service."""
