"""Backends that remember what serving must not forget."""
