"""Step: rows of single users beside a table, and what they are worth there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from freshet.core.errors import NotEnoughData
from freshet.core.ports import Planner
from freshet.core.types import PlannerRows, UserRows
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import counts, users
from freshet.stages.content import step as vectors
from freshet.stages.counts.holdout_windows import Stretch
from freshet.stages.sequence import step as sequences
from freshet.stages.table.format import open_scorer
from freshet.stages.tuning.gate_verdict import with_evidence_of
from freshet.stages.tuning.step import planner_for
from freshet.stages.users.user_asking import Asking
from freshet.stages.users.weighing import Weighed, WindowRows, as_it_was, weigh
from freshet.storage.artifacts import Artifact, committed, newest
from freshet.storage.build_once import build_once
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import FromTable, TableManifest, UserRowsManifest
from freshet.storage.workspace import Workspace, version_of

CODE = 1


def beside(ctx: RunContext, made: Artifact, planner: Planner | None = None) -> Artifact | None:
    """Rows of users beside a table, after the newest ones of an earlier moment; see `make`."""
    return make(ctx, made, previous_of(ctx.ws, ctx.log), planner)


def make(
    ctx: RunContext, made: Artifact, previous: Artifact | None, planner: Planner | None = None
) -> Artifact | None:
    """Rows of users beside a table; None where the configuration wants none, or no planner answers.

    The artifact says so where rows don't pay; see `format.open_user_part`.

    Args:
        previous: rows of an earlier moment, which are copied where the prompt is as it was.
        planner: the table's, where it is in memory already; None = it is loaded if a prompt changed.
    """
    ws, log, inputs = ctx.ws, ctx.log, TableManifest.of(made).inputs
    if not wanted(ws) or not inputs.model:
        return None
    ctx = ctx.with_workspace(with_evidence_of(ws, inputs.model))
    planner = planner or planner_for(ctx, committed(ws.store, "models", inputs.model))
    assert planner is not None  # there is a model
    asking, relative = Asking(ctx, made, previous, planner), planner.abilities.relative
    settings = configured(ws)
    key = version_of(
        code=CODE, table=made.version, config=settings, previous=previous.version if previous else ""
    )

    def build(folder: Path, step: StepRecord) -> UserRowsManifest:
        answers = asking.answers(step)
        weighed, why = _weighed(ctx, made, asking, answers.calibration, relative)
        pays = weighed is not None and weighed.pays
        weights = weighed.fitted.weights if weighed is not None and pays else None
        users.write(answers.rows, answers.calibration, weights, relative, folder)
        judged = _judged(weighed, why)
        step.details["users"] = {**answers.counted, **judged}
        return UserRowsManifest(
            code=CODE,
            as_of=str(log.as_of),
            settings=settings,
            inputs=FromTable(transitions=log.version, interests=log.interests_version, table=made.version),
            **answers.counted,
            **judged,
        )

    found = build_once(ws, ctx.run, "users", "user_rows", key, build)
    shutil.rmtree(ws.root / "work", ignore_errors=True)  # chunks of inference: they are in the artifact now
    _say(ctx, UserRowsManifest.of(found))
    return found


def wanted(ws: Workspace) -> bool:
    """Whether the configuration asks for rows of users, and has a planner to ask."""
    return ws.config.users.rows > 0 and ws.tuner is not None


def configured(ws: Workspace) -> dict[str, Any]:
    """The part of the configuration that decides which rows there are, beside the table's."""
    return ws.config.users.model_dump(mode="json")


def previous_of(ws: Workspace, log: LogSnapshot) -> Artifact | None:
    """The newest rows of an earlier moment with the same interests."""

    def fits(artifact: Artifact) -> bool:
        manifest = UserRowsManifest.of(artifact)
        return manifest.as_of < str(log.as_of) and manifest.inputs.interests == log.interests_version

    return newest(ws.store, "user_rows", fits) if wanted(ws) else None


def version_of_table(ws: Workspace, table: str) -> str:
    """Version of the rows made beside a table; '' without any."""
    found = newest(ws.store, "user_rows", lambda one: UserRowsManifest.of(one).inputs.table == table)
    return found.version if found else ""


def _weighed(
    ctx: RunContext, made: Artifact, asking: Asking, calibration: PlannerRows, relative: bool
) -> tuple[Weighed | None, str]:
    """What rows weigh on top of a table, and why that is not known."""
    inputs, size = TableManifest.of(made).inputs, len(ctx.log.interests)
    content = committed(ctx.ws.store, "content", inputs.content) if inputs.content else None
    view = vectors.held_out_view(ctx, content)
    scorer, logits = open_scorer(made, size), None
    if scorer.sequence is not None:
        model = committed(ctx.ws.store, "sequences", inputs.sequence)
        logits = sequences.open_model(model, sequences.EARLY).logits
    pairs = asking.pairs() if scorer.planner is not None else {}

    def scorer_of(number: int, part: Stretch) -> counts.Scorer:
        planner = None
        if number in pairs:
            base = ctx.fitter.counts.base(part.start) if relative else None
            planner = counts.PlannerScores(pairs[number], size, base)
        return as_it_was(scorer, ctx.fitter.cross_fitted(part), planner, logits, view)

    windows, start = [], 0
    for number, window, then in asking.windows:
        rows = UserRows(then.user, calibration.take(slice(start, start + len(then))))
        windows.append(WindowRows(number, window, rows))
        start += len(then)
    try:
        return weigh(ctx.fitter, windows, scorer_of, view, relative=relative), ""
    except NotEnoughData as error:
        return None, error.message


def _judged(weighed: Weighed | None, why: str) -> dict[str, Any]:
    """What the ledger and the manifest say."""
    if weighed is None:
        return {"pays": False, "why": why}
    if not weighed.pays:
        why = "on held-out windows they weigh nothing that an interval shows, or don't lower the loss"
    return {
        "pays": weighed.pays,
        "why": why,
        "judged": weighed.fitted.as_dict(),
        "held_out": weighed.fitted.examples,
        "held_out_users": weighed.fitted.users,
        "gain": dict(zip(("nll", "low", "high"), weighed.margin, strict=True)),
    }


def _say(ctx: RunContext, made: UserRowsManifest) -> None:
    ctx.run.say(
        f"user rows: {made.rows:,} of {made.active:,} users active lately; {made.asked:,} asked, "
        f"{made.copied:,} copied, {made.kept:,} kept from earlier, {made.unanswered:,} without an answer"
    )
    if not made.pays:
        ctx.run.say(f"user rows don't pay here and are not used: {made.why}")
