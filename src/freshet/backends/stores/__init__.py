"""Stores: where artifacts live."""
