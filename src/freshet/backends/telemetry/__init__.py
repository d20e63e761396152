"""Traces to OpenTelemetry, and the names that calls of models have there."""
