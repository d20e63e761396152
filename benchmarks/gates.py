"""What the gates make of planners that know nothing, beside a workspace's own planner.

    freshet run -w shop
    python benchmarks/gates.py --workspace shop --json
    python benchmarks/gates.py --quick                  # a SIMULATED log, seconds

All are judged on the same held-out transitions by the code that judges a tuned model, one user's transitions
together. `even` says the same of every interest; `noise` draws anew for every prompt (seed 0); `popularity`
repeats what was popular before the held-out windows. `relative` answers are multiplied by recent popularity,
as those of the built-in model are. Gains are nats per transition with 95 % intervals by user.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners.fake import FakePlanner, ranking_of
from freshet.core.ports import Abilities, Planner
from freshet.core.types import Prompt, Ranking
from freshet.pipeline import snapshot_of
from freshet.run_context import RunContext
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.events.step import latest
from freshet.stages.tuning import GateReport
from freshet.stages.tuning import planner_evaluation as evaluation
from freshet.stages.tuning.lazy_planner import LazyPlanner
from freshet.stages.tuning.step import accepted, attempted
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from shared import parse, parser, tell, workspace


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path)
    options = parse(made, "workspace")
    with workspace(options) as root:
        found = measure(open_workspace(root))
    tell(options, found, lambda: readable(found))


def readable(found: dict[str, Any]) -> str:
    lines = [f"{found['sample']:,} transitions of {found['users']:,} users"]
    for name, gates in found["planners"].items():
        lines.append(f"{name:22s} " + " ".join(f"{gate}: {told['says']};" for gate, told in gates.items()))
    return "\n".join(lines)


class Ignorant(FakePlanner):
    """A planner that says what was decided before any prompt was read.

    Args:
        shares: (N,) of each interest; None = drawn anew for every prompt.
    """

    def __init__(self, interests: int, shares: NDArray[np.float64] | None, *, relative: bool) -> None:
        super().__init__(interests)
        self.shares, self.able = shares, Abilities(labels=True, relative=relative)

    @property
    def abilities(self) -> Abilities:
        """As they were given."""
        return self.able

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        """Without a look at the prompts, but for what noise is drawn by."""
        if self.shares is None:
            return super().rank(prompts, top)
        return ranking_of(np.log(np.tile(self.shares, (len(prompts), 1))), top)

    def label_mass(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        """All of it."""
        return np.ones(len(prompts))


def measure(ws: Workspace) -> dict[str, Any]:
    """Every planner by every gate."""
    with ws.run("gates") as run:
        known = snapshot_of(ws, run, latest(ws))
    log = RunContext(ws, run, known, fitter_for(ws.config, known))
    model = accepted(ws, known, known.as_of) or attempted(ws, known, known.as_of)
    planners: dict[str, Planner] = {}
    if model is not None and ws.tuner is not None:
        planners["its own"] = LazyPlanner(ws.tuner, model, known.interests).holdout_model
    planners |= ignorant(log)
    reports = {name: _judged(log, planner) for name, planner in planners.items()}
    first = next(iter(reports.values()))
    return {
        "sample": first.sample,
        "users": first.users,
        "recall": {name: first.recall[name] for name in ("popularity", "counts")},
        "planners": {
            name: {
                gate.name: {
                    "value": gate.value,
                    "low": gate.low,
                    "high": gate.high,
                    "passed": gate.passed,
                    "says": f"{gate.measured}, {'passed' if gate.passed else 'failed'}",
                }
                for gate in report.gates
            }
            for name, report in reports.items()
        },
    }


def ignorant(log: RunContext) -> dict[str, Planner]:
    """Planners that know nothing of what a context changes."""
    size = len(log.log.interests)
    model = log.fitter.model(log.fitter.holdout.start)
    popular = np.exp(model.popularity[log.log.scales.steady])
    even = np.full(size, 1 / size)
    found: dict[str, Planner] = {}
    for name, shares in (("even", even), ("noise", None), ("popularity", popular / popular.sum())):
        for relative in (False, True):
            found[f"{name}, relative" if relative else name] = Ignorant(size, shares, relative=relative)
    return found


def _judged(log: RunContext, planner: Planner) -> GateReport:
    return evaluation.evaluate(log, planner)


if __name__ == "__main__":
    main()
