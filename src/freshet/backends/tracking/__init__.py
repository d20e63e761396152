"""Servers that are told of runs."""
