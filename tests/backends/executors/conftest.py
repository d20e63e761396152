"""The cluster is one for all tests of a session."""

from tests.backends.executors.cluster import cluster

__all__ = ["cluster"]
