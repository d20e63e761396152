"""Implementations of the ports. Heavy libraries are imported here alone, and only when used."""
