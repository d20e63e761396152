"""A SIMULATED provider, and its key in the environment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .provider_server import KEY, Provider, provider_server


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A SIMULATED server of all batch protocols."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    with provider_server() as server:
        yield server
