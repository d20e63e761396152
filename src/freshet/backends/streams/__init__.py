"""Streams of events: Kafka and Redis Streams."""
