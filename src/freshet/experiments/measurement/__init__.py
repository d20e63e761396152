"""From impressions and events to each arm's metrics, day by day."""
