"""Executors: this machine, or a cluster."""
