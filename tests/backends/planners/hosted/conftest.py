"""A SIMULATED server with fine-tuning jobs."""

from __future__ import annotations

from tests.backends.planners.batch.conftest import provider

__all__ = ["provider"]
