"""Backends that train sequence models."""
