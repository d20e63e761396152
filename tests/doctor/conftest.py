"""The worlds and workspaces of the steps' tests."""

from tests.pipeline.conftest import counted, planned, world

__all__ = ["counted", "planned", "world"]
