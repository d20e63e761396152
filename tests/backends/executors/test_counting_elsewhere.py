"""A cluster counts what this machine counts, byte for byte, whatever happens to its machines."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from freshet.core.config import TransitionsConfig
from freshet.core.ports import Executor
from freshet.stages.transitions import day_files, recount
from tests.backends.executors.cluster import Meanwhile, executor, machine
from tests.stages.transitions.reference import DAY
from tests.stages.transitions.test_counting import INTERESTS, USERS, run

CONFIG = TransitionsConfig(novelty_days=3)


def log(seed: int, days: range, size: int) -> set[tuple[str, int, int]]:
    """Events of a few users, some of them in one step."""
    draw = random.Random(seed)
    return {
        (
            draw.choice(USERS),
            draw.choice(days) * DAY + DAY // 8 * draw.randrange(8),
            draw.randrange(INTERESTS),
        )
        for _ in range(size)
    }


def counts(folder: Path, by: Executor | None) -> dict[str, bytes]:
    """A fresh count, then late events, a day gone, and items of other interests: all files."""
    folder.mkdir(exist_ok=True)
    first = log(1, range(2, 9), 120)
    a = run(folder, "a", first, CONFIG, None, executor=by)
    late = {event for event in first if event[1] // DAY != 4} | log(2, range(12), 40)
    b = run(folder, "b", late, CONFIG, a, executor=by)
    moved = {f"i{i}": (i + 1) % INTERESTS for i in range(INTERESTS)}
    run(folder, "c", late, CONFIG, b, moved, executor=by)
    made = [path for path in sorted(folder.rglob("*")) if path.is_file() and "events" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in made if ".drafts" not in path.parts}


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the driver; workers have the defaults, which decide nothing of what is made here."""
    monkeypatch.setattr(recount, "ROWS", 60)


@pytest.mark.usefixtures("many_parts")
def test_the_same_files(cluster: Any, tmp_path: Path) -> None:
    here = counts(tmp_path / "here", None)
    assert len(here) > 10
    assert counts(tmp_path / "there", executor(cluster, tmp_path)) == here


@pytest.mark.usefixtures("many_parts")
def test_a_machine_that_leaves_changes_nothing(cluster: Any, tmp_path: Path) -> None:
    here = counts(tmp_path / "here", None)
    third = machine(cluster)
    there = executor(cluster, tmp_path)
    interrupted = Meanwhile(there, lambda: cluster.remove_node(third, allow_graceful=False), after=20)
    assert counts(tmp_path / "there", interrupted) == here
    assert interrupted._left < 0, "it never left"


def test_large_days_are_filed_by_workers(cluster: Any, tmp_path: Path) -> None:
    """Files of their own, which workers write."""
    size = day_files.SMALL
    events = {(f"user {i}", DAY + i, i % INTERESTS) for i in range(size + 10)}
    events |= {(user, t + DAY, (i + 1) % INTERESTS) for user, t, i in events}
    for name, by in (("here", None), ("there", executor(cluster, tmp_path))):
        (tmp_path / name).mkdir()
        run(tmp_path / name, "a", events, CONFIG, None, executor=by)
    here, there = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name / "pool").rglob("*.parquet"))}
        for name in ("here", "there")
    )
    assert len(here) == 4
    assert there == here
