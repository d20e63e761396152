"""A planner with no model: rankings drawn from a hash, for tests of everything around a planner."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Abilities, Planner, Progress, Tuner, TuningJob, TuningPlan, silent
from freshet.core.types import Interests, Prompt, Ranking, TuningReport, Usage

ABILITIES = Abilities(options=True)


class FakePlanner(Planner):
    """Pseudo-random rankings that depend on (seed, context, text, options) and nothing else.

    Args:
        interests: how many interests to rank.
        seed: another seed, another planner (and version).
    """

    def __init__(self, interests: int, seed: int = 0) -> None:
        self.interests = interests
        self.seed = seed

    @property
    def version(self) -> str:
        return f"fake-{self.interests}-{self.seed}"

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        scores = np.empty((len(prompts), self.interests))
        for row, prompt in zip(scores, prompts, strict=True):
            key = f"{self.seed}\0{prompt.context}\0{prompt.text}".encode()
            digest = hashlib.sha256(key).digest()
            row[:] = np.random.default_rng(int.from_bytes(digest[:8], "big")).normal(size=self.interests)
            if prompt.options:
                row[[index for index in range(self.interests) if index not in prompt.options]] = -np.inf
        logp = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return ranking_of(logp, top, self.size(prompts))

    @property
    def abilities(self) -> Abilities:
        """It chooses among options."""
        return ABILITIES

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """One token per word and no FLOPs."""
        return Usage(sum(len(prompt.text.split()) for prompt in prompts))


class FakeTuner(Tuner):
    """Makes fake planners: `tune` stores the seed and trains nothing."""

    @property
    def recipe(self) -> str:
        return "fake"

    def check(self, plan: TuningPlan) -> None:
        """Anything goes."""

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        into.mkdir(parents=True)
        (into / "freshet.json").write_text(json.dumps({"kind": "fake", "seed": job.seed}))
        progress(1, 1)
        return TuningReport(len(job.examples), 0.0, (), Usage(), "fake")

    def version(self, model: Path, interests: Interests) -> str:
        return FakePlanner(len(interests), json.loads((model / "freshet.json").read_text())["seed"]).version

    def abilities(self, model: Path, interests: Interests) -> Abilities:  # noqa: ARG002
        return ABILITIES

    def open(self, model: Path, interests: Interests) -> FakePlanner:
        return FakePlanner(len(interests), json.loads((model / "freshet.json").read_text())["seed"])


def ranking_of(logp: NDArray[np.float64], top: int, usage: Usage = Usage()) -> Ranking:  # noqa: B008
    """The `top` largest of each row of log-probabilities (n, N), ties by index; -inf is never an answer.

    Returns:
        Ranking with m = min(top, N) columns, -1 where a row has fewer finite entries.
    """
    order = np.argsort(-logp, axis=1, kind="stable")[:, :top]
    scores = np.minimum(np.take_along_axis(logp, order, axis=1), 0.0)
    found = np.isfinite(scores)
    return Ranking(
        np.where(found, order, -1).astype(np.int16),
        np.where(found, scores, -np.inf).astype(np.float32),
        usage,
    )
