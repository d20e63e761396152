"""The worlds and workspaces of the steps' tests."""

from tests.steps.conftest import counted, planned, world

__all__ = ["counted", "planned", "world"]
