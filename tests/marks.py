"""The mark `slow`: given to what trains, starts processes or runs the pipeline, and missed where it is not.

`pytest -m "not slow"` runs the rest, which is quick. A test gets the mark with its folder, with a fixture that
it uses, or by name (`@pytest.mark.slow`, `pytestmark`). One that has none and does such a thing fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDERS = (
    "backends/encoders/",
    "backends/planners/",
    "backends/sequences/",
    "benchmarks/",
    "cli/",
    "pipeline/",
)
"""Whose tests train, run scripts and commands, and refresh."""
FIXTURES = {"counted", "planned", "shop", "server", "alone", "s3", "azure", "bucket", "cluster", "browser"}
"""Workspaces with a release, services on them, servers of object stores, and a cluster of Ray."""

_PROCESSES = {"subprocess.Popen", "os.fork", "os.posix_spawn"}
_done: list[str] = []
"""What the test at hand did that a quick one must not."""


def _watch(event: str, _: tuple[Any, ...], processes: set[str] = _PROCESSES, done: list[str] = _done) -> None:
    if event in processes:  # defaults, as this is called to the end, when the module's names are gone
        done.append("starts a process")


def _watch_training() -> None:
    """Note every step of an optimizer, from now on."""
    optimizer = sys.modules.get("torch.optim.optimizer")
    if optimizer is not None and not hasattr(optimizer, "_watched"):
        optimizer.register_optimizer_step_pre_hook(lambda *_: _done.append("trains"))
        optimizer._watched = True  # type: ignore[attr-defined]


def pytest_configure() -> None:
    sys.addaudithook(_watch)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        if path.startswith(FOLDERS) or FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _done.clear()
    _watch_training()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    result = yield
    if _done and item.get_closest_marker("slow") is None:
        pytest.fail(f"it {_done[0]}: mark it slow, or spare it that (tests/marks.py)", pytrace=False)
    return result
