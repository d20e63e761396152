"""Interests, prompts and planners of the SIMULATED server, for tests of all that asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from freshet.backends.planners.endpoint.endpoint_planner import EndpointPlanner
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings, EndpointTuner
from freshet.backends.planners.endpoint.spending import Spending
from freshet.core.ports import Budget, TuningJob
from freshet.core.prompts import render
from freshet.core.types import ContextEvidence, Interests, Prompt, Successor
from simulated_chat import MODEL, Simulated

NAMES = ("horror zombie", "drama war", "comedy romance", "space alien", "western horse", "crime noir")


def interests(names: tuple[str, ...] = NAMES) -> Interests:
    """Interests with these descriptions."""
    return Interests(np.arange(len(names), dtype=np.int32), names, np.eye(len(names), dtype=np.float32))


def prompts(count: int = 12, names: tuple[str, ...] = NAMES) -> list[Prompt]:
    """Different prompts about pairs of interests, every second with evidence."""
    rng = np.random.default_rng(3)
    found = []
    pairs = [(a, b) for a in range(len(names)) for b in range(len(names)) if a != b]
    for number, context in enumerate(pairs[:count]):
        share = rng.dirichlet(np.ones(2)).tolist()
        shown = [name for name in range(len(names)) if name not in context][: len(share)]
        evidence = ContextEvidence(context, tuple(map(lambda i, s: Successor(i, s, 9.0), shown, share)))
        found.append(Prompt(context, render(context, names, evidence if number % 2 else None)))
    return found


def tuner(server: Simulated, root: Path, spending: Spending | None = None, **changes: Any) -> EndpointTuner:
    """Of the SIMULATED server's model."""
    given = {"endpoint": server.endpoint, "model": MODEL, "timeout": 20.0, "concurrency": 4, **changes}
    return EndpointTuner(EndpointSettings(**given), root, spending or Spending())


def job(of: Interests) -> TuningJob:
    """A job without examples, as a tuner that doesn't train gets it."""
    return TuningJob(of, [], [], "description", 0.0, 0.0, 0, 0, Budget(), 0)


def planner(
    server: Simulated,
    root: Path,
    spending: Spending | None = None,
    names: tuple[str, ...] = NAMES,
    **changes: Any,
) -> EndpointPlanner:
    """A planner on what a probe of the server found."""
    one = tuner(server, root, spending, **changes)
    one.tune(job(interests(names)), root / "model")
    return one.open(root / "model", interests(names))
