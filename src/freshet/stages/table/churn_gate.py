"""The churn gate: a table that differs too much from the serving one waits for a person."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import GateFailed
from freshet.run_context import RunContext
from freshet.stages import counts, table
from freshet.stages.table.format import open_scorer
from freshet.stages.table.step import Companions
from freshet.stages.table.table_plan import rules_of
from freshet.storage.artifacts import Artifact
from freshet.storage.manifests import TableManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

FLOOR_SAMPLE = 2000
"""Contexts on which the repeat-run floor is measured, of up to 1,024 interests."""
FLOOR_CELLS = FLOOR_SAMPLE * counts.FEW
"""Those contexts times interests, at most: their features are in memory."""


def halt_on_churn(ctx: RunContext, made: Artifact, companions: Companions) -> None:
    """Halt where the table differs so much from the current one that a person should look.

    Args:
        companions: what would serve with the table; a person approves these too.

    Raises:
        GateFailed: the run waits for `freshet approve` or `freshet reject`.
    """
    ws, run = ctx.ws, ctx.run
    current = ws.releases.current()
    if current is None or current.table == made.version:
        return
    with run.step("churn") as step:
        observed = ctx.fitter.observed()
        moved = _since(ctx, current, made, observed)
        if moved is None:
            run.say("churn: the current release has other interests, they can't be compared")
            return
        floor = repeat_run_floor(ctx, made, observed)
        step.details = {"churn": moved, "churn_floor": floor, "observed_contexts": len(observed)}
        run.say(f"churn of the top 5: {moved:.1%} (repeat-run floor {floor:.1%})")
    bound = max(ws.config.table.max_churn, 2 * floor)
    if moved > bound and verdict(ws, made.version) != "approved":
        run.record.waiting = {
            "table": made.version,
            "beside": asdict(companions),
            "churn": moved,
            "floor": floor,
        }
        run.end("waiting", f"churn {moved:.1%} is above the bound")
        raise GateFailed(
            f"run {run.record.id} waits: {moved:.1%} of the top-5 successors changed at once, "
            f"the bound is {bound:.1%}",
            hint=f"`freshet approve {run.record.id}` publishes the table, `freshet reject {run.record.id}` "
            "drops it; the current release keeps serving",
        )


def verdict(ws: Workspace, made: str) -> Literal["approved", "rejected", ""]:
    """What a person last decided about a halted table; '' where nobody did."""
    review = ws.decisions.review("table", made)
    return "" if review is None else ("approved" if review.kind == "approval" else "rejected")


def between(
    old_artifact: Artifact, made: Artifact, interests: int, observed: NDArray[np.int16]
) -> float | None:
    """Mean churn of the top-5 over contexts that two tables with the same interests share; None without."""
    old, fresh = (table.Table(artifact.path, interests) for artifact in (old_artifact, made))
    rows = np.stack([old.row_numbers(observed), fresh.row_numbers(observed)], axis=1)
    rows = rows[(rows >= 0).all(axis=1)]
    if not len(rows):
        return None
    before = np.asarray(old.successors[rows[:, 0]], np.int64)
    after = np.asarray(fresh.successors[rows[:, 1]], np.int64)
    return float(table.churn(before, after).mean())


def _since(ctx: RunContext, release: Release, made: Artifact, observed: NDArray[np.int16]) -> float | None:
    """Churn against a release; None if the interests can't be compared."""
    if release.interests != ctx.log.interests_version:
        return None
    old = ctx.ws.store.find("tables", release.table)
    if old is None or TableManifest.of(old).k != TableManifest.of(made).k:
        return None
    return between(old, made, len(ctx.log.interests), observed)


def repeat_run_floor(ctx: RunContext, made: Artifact, observed: NDArray[np.int16]) -> float:
    """Churn between two tables whose counts come from bootstrap resamples of the same users.

    The planner's rows are held fixed, so the floor is a lower bound of what noise alone would change.
    """
    most = min(FLOOR_SAMPLE, FLOOR_CELLS // len(ctx.log.interests))
    step = max(1, len(observed) // most)
    sample = observed[::step]
    excluded = rules_of(ctx).excluded(sample)
    fitter, size = ctx.fitter, len(ctx.log.interests)
    scorer = open_scorer(made, size)
    tops = []
    log, scales = ctx.log.transitions, ctx.log.scales
    for seed in (1, 2):
        model = counts.CountModel.build(
            [log.sums(ctx.as_of, h, 0, seed) for h in scales.half_lives],
            [log.sums(ctx.as_of, fitter.fit.half_life, j, seed) for j in range(1, fitter.k + 1)],
            size,
            fitter.fit.prior_counts,
            scales.steady,
            fitter.counts.towards(ctx.as_of, fitter.fit.share),
        )
        fused = replace(scorer, model=model)(sample, excluded).fused
        top = np.argsort(-fused, axis=1, kind="stable")[:, :5]
        tops.append(np.where(np.isfinite(np.take_along_axis(fused, top, axis=1)), top, -1))
    return float(table.churn(tops[0], tops[1]).mean())
