"""A planner on a cluster that is asked in chunks, and a driver that does so until it is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from freshet.backends.executors.ray_executor import RayExecutor
from freshet.backends.executors.remote_planner import Opening, RemotePlanner
from freshet.backends.planners.fake import FakePlanner, FakeTuner
from freshet.core.config import RayConfig
from freshet.core.errors import PlannerError
from freshet.core.ports import Executor, Planner, Resources
from freshet.core.types import Interests, Prompt, Ranking
from freshet.stages.inference import Outcome, make_plan, run
from tests.backends.planners import worlds
from tests.stages.inference.test_execute import PROMPTS, TEXTS, TOP

CHUNK = 3
CHUNKS = -(-len(TEXTS) // CHUNK)


@dataclass(frozen=True)
class WatchedTuner(FakeTuner):
    """Opens fake planners that note what they are asked.

    Attributes:
        notes: folder of the notes.
        kills: a text at which the process ends, the first time.
        bad: a text that can't be ranked.
        waits: a text that is answered once there is a file `go` in the folder.
    """

    notes: Path
    kills: str = ""
    bad: str = ""
    waits: str = ""

    def open(self, model: Path, interests: Interests) -> WatchedFake:
        return WatchedFake(len(interests), self)


class WatchedFake(FakePlanner):
    """See `WatchedTuner`."""

    def __init__(self, interests: int, tuner: WatchedTuner) -> None:
        super().__init__(interests)
        self.tuner = tuner

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        texts, notes = [prompt.text for prompt in prompts], self.tuner.notes
        if self.tuner.kills in texts and not (notes / "killed").exists():
            (notes / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.tuner.bad in texts:
            raise PlannerError(f"can't read {self.tuner.bad!r}")
        until = monotonic() + 120
        while self.tuner.waits in texts and not (notes / "go").exists() and monotonic() < until:
            sleep(0.05)
        for prompt in prompts:
            (notes / f"asked-{TEXTS.index(prompt.text)}").touch()
        return super().rank(prompts, top)


def asked(notes: Path) -> set[int]:
    """Numbers of the prompts that were answered, for which the notes are taken away."""
    found = sorted(notes.glob("asked-*"))
    for path in found:
        path.unlink()
    return {int(path.name.partition("-")[2]) for path in found}


def model(folder: Path) -> Path:
    """The folder of a fake model."""
    if not (folder / "model").exists():
        FakeTuner().tune(worlds.job("label", []), folder / "model")
    return folder / "model"


def infer(planner: Planner, work: Path) -> Outcome:
    """Ask it all prompts."""
    plan = make_plan(PROMPTS, planner.version, TOP, None)
    return run(plan, planner, top=TOP, chunk=CHUNK, origin="now", work=work)


def elsewhere(tuner: FakeTuner, folder: Path, executor: Executor) -> RemotePlanner:
    """The planner of a fake model, as a cluster asks it."""
    return RemotePlanner(Opening(tuner, model(folder), worlds.interests()), executor, Resources())


if __name__ == "__main__":
    address, root = sys.argv[1], Path(sys.argv[2])
    there = RayExecutor(RayConfig(address=address), root)
    infer(elsewhere(WatchedTuner(root / "notes", waits=TEXTS[-1]), root, there), root / "work")
