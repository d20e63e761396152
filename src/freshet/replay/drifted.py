"""How much the log itself drifts, by the interests of the replay: what a fresh table could gain at all."""

from __future__ import annotations

from typing import Any

from freshet.core.types import AsOf
from freshet.pipeline import snapshot_of
from freshet.replay.replay_plan import Plan
from freshet.run_context import LogSnapshot
from freshet.stages.schedule.log_drift import drift_of, month_edges
from freshet.storage.artifacts import committed
from freshet.storage.workspace import Workspace, version_of

CODE = 1
WEEK = 7
SAMPLE = 500_000
"""Transitions compared, at most; of more, a sample of users."""
PERMUTATIONS = 100
FEWEST = 3
"""Edges of windows between which anything can be compared."""


def drift_before_the_end(sandbox: Workspace, plan: Plan) -> dict[str, Any] | None:
    """What `freshet drift` finds in the log before the end of the replay; None where it is too short.

    It describes the log and ranks nothing, so it may see all of it.
    """
    with sandbox.run("drift", str(plan.end)) as run:
        log = snapshot_of(sandbox, run, plan.end)
        edges = _edges(log, plan.end)
        if len(edges) < FEWEST:
            return None
        key = version_of(code=CODE, transitions=log.version, edges=edges, seed=plan.seed)
        with run.step("drift") as step:
            step.artifact = f"drift/{key}"
            found = sandbox.store.find("drift", key)
            step.cached = found is not None
            if found is None:
                span = AsOf.from_day_number(edges[0]), AsOf.from_day_number(edges[-1])
                rows = log.transitions.between(*span, SAMPLE, plan.seed)
                progress = run.progress("drift")
                measured = drift_of(rows, edges, permutations=PERMUTATIONS, seed=plan.seed, progress=progress)
                with sandbox.store.create("drift", key) as draft:
                    draft.manifest = {"as_of": str(plan.end), "found": measured}
                found = committed(sandbox.store, "drift", key)
        return dict(found.manifest["found"])


def _edges(log: LogSnapshot, end: AsOf) -> list[int]:
    """Calendar months, or weeks where the log holds too few of them."""
    first = AsOf.parse(log.window[0])
    edges = month_edges(first.day, end.day)
    if len(edges) >= FEWEST:
        return edges
    return list(range(end.day_number, first.day_number - 1, -WEEK))[::-1]
