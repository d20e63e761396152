"""A cluster answers as this machine does, and nothing that was committed is asked again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest

from freshet.backends.planners.fake import FakeTuner
from freshet.checks import check_planner
from freshet.core.prompts import render
from freshet.core.types import Prompt
from tests.backends.executors import asking
from tests.backends.executors.asking import CHUNK, CHUNKS, TEXTS, WatchedTuner, elsewhere, infer
from tests.backends.executors.cluster import ROOT, Meanwhile, executor, machine
from tests.backends.planners import worlds
from tests.stages.inference.test_execute import same


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def here(folder: Path) -> Any:
    """What this machine answers."""
    return infer(FakeTuner().open(asking.model(folder), worlds.interests()), folder / "here").rows


def test_the_same_answers_though_a_worker_dies_and_a_prompt_is_bad(
    cluster: Any, tmp_path: Path, notes: Path
) -> None:
    tuner = WatchedTuner(notes, kills=TEXTS[7], bad=TEXTS[11])
    outcome = infer(elsewhere(tuner, tmp_path, executor(cluster, tmp_path)), tmp_path / "there")
    assert (notes / "killed").exists()
    assert [(row, reason) for row, reason in outcome.failures] == [(11, f"can't read {TEXTS[11]!r}")]
    assert asking.asked(notes) == set(range(len(TEXTS))) - {11}
    mended = elsewhere(WatchedTuner(notes), tmp_path, executor(cluster, tmp_path))
    again = infer(mended, tmp_path / "there")
    same(again.rows, here(tmp_path))
    assert again.resumed == len(TEXTS) - CHUNK
    assert asking.asked(notes) == {9, 10, 11}, "what was committed was asked again"


def test_a_machine_that_leaves_changes_nothing(cluster: Any, tmp_path: Path, notes: Path) -> None:
    third = machine(cluster)
    there = Meanwhile(
        executor(cluster, tmp_path), lambda: cluster.remove_node(third, allow_graceful=False), after=5
    )
    outcome = infer(elsewhere(WatchedTuner(notes), tmp_path, there), tmp_path / "there")
    same(outcome.rows, here(tmp_path))
    assert len(list((tmp_path / "there").glob("*.npz"))) == CHUNKS


def test_a_killed_driver_goes_on_where_it_was(cluster: Any, tmp_path: Path, notes: Path) -> None:
    command = [sys.executable, "-m", "tests.backends.executors.asking", cluster.address, str(tmp_path)]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    driver = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path})
    try:  # all but the last chunk, whose answer waits
        until = monotonic() + 300
        while len(committed := list((tmp_path / "work").glob("*.npz"))) < CHUNKS - 1:
            assert driver.poll() is None, "the driver ended by itself"
            assert monotonic() < until, f"{len(committed)} chunks were committed in five minutes"
            sleep(0.1)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    (notes / "go").touch()
    asking.asked(notes)
    outcome = infer(elsewhere(WatchedTuner(notes), tmp_path, executor(cluster, tmp_path)), tmp_path / "work")
    same(outcome.rows, here(tmp_path))
    last = len(TEXTS) - CHUNK * (CHUNKS - 1)
    assert outcome.resumed == len(TEXTS) - last
    assert asking.asked(notes) >= set(range(len(TEXTS) - last, len(TEXTS)))


def test_the_contract_of_planners(cluster: Any, tmp_path: Path) -> None:
    """Through `rank`, one question at a time, to a worker that keeps the planner open."""
    planner = elsewhere(FakeTuner(), tmp_path, executor(cluster, tmp_path))
    known = worlds.DESCRIPTIONS
    prompts = [Prompt((i, i + 1), render((i, i + 1), known)) for i in range(6)]
    check_planner(planner, prompts, worlds.N)
    np.testing.assert_array_equal(
        planner.rank(prompts, 3).logp,
        FakeTuner().open(asking.model(tmp_path), worlds.interests()).rank(prompts, 3).logp,
    )
