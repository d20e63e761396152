"""What other policies would have earned at the first place, from logged propensities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from freshet.core.errors import InputError
from freshet.core.types import Outcomes, indices_of
from freshet.experiments.feedback import step as feedback
from freshet.experiments.measurement.labels import Window, assignment_of
from freshet.experiments.stats.off_policy import (
    Logged,
    OffPolicy,
    Support,
    doubly_robust,
    ips,
    self_normalised,
)
from freshet.pipeline import snapshot_of
from freshet.replay.off_policy import expecting, reproducing, ways
from freshet.replay.off_policy.decisions import Decisions, LeftOut, read
from freshet.replay.off_policy.looking import Again, Bench, look_again
from freshet.replay.off_policy.reproducing import Reproduced
from freshet.replay.off_policy.ways import Target
from freshet.run_context import LogSnapshot
from freshet.stages import counts
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace

COVERED = 0.9
"""Share of a policy's choices that could have been logged, at least, for its estimate to be told."""
EFFECTIVE = 100.0
"""Rows that an estimate must be worth at equal weights, at least."""
AGAIN = 0.5
"""Share of the propensities that must come out nearly the same, at least."""
WORTH, LARGEST = 0.05, 20.0
"""Rows' worth at equal weights over rows, and largest weight, from which on intervals are not believed."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """A policy's satisfied rate at the first place.

    Attributes:
        rows: first places that it is judged by.
        earlier: others, left out: they were shown before its release was made, which knows what became of
            them, or before the log tells which release was current.
        near: share of the propensities of its rows that come out again within 10 %.
        results: `doubly_robust`, `self_normalised` and `ips`; empty where there are too few rows.
        refused: why the figures are not to be told, '' where they are.
        caution: why they are not to be believed beyond a screen, '' where they are.
    """

    target: Target
    rows: int
    earlier: int
    near: float
    results: Mapping[str, OffPolicy]
    refused: str
    caution: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the log says.

    Attributes:
        rows, users: first places looked at again.
        logged: their satisfied rate (value, low, high), 95 % interval clustered by user.
        left_out: what was not chosen from scores.
        elsewhere: first places left out since the log doesn't give the user's context again.
        reproduced: by arm, how well the logged propensities come out again. Others differ by the moment at
            which an event was told, by the settings of then, or by a request's attributes.
        conditional: whether rules depend on attributes of requests, which the log doesn't hold: all are
            answered again as if they had none.
    """

    window: Window
    rows: int
    users: int
    logged: tuple[float, float, float]
    left_out: LeftOut
    elsewhere: int
    reproduced: tuple[Reproduced, ...]
    conditional: bool
    policies: tuple[Estimated, ...]


def estimate(ws: Workspace, run: Run, targets: tuple[Target, ...], window: Window, limit: int) -> Found:
    """Estimate policies on the first places of a window.

    A release is judged by what was shown from its moment on: what came before is in its table. A policy that
    names none answers with the release that was current then.

    Args:
        limit: at most so many are looked at; of more, those of a sample of users.

    Raises:
        InputError: nothing was shown to named users, none of it was taken, or no context comes out as logged.
        ArtifactError: a release that answered, or is to answer, can't be opened.
    """
    known = snapshot_of(ws, run, window.until)
    assignment = assignment_of(ws, known.version)
    with run.step("estimate") as step:
        asked, engaged, left_out = read(ws, window, assignment, known.interests, feedback.rule_of(ws), limit)
        if not len(asked):
            raise InputError(
                f"nothing was shown to named users from {window.since} to {window.until}",
                hint="`freshet collect` takes in what was shown; --since looks further back",
            )
        if not asked.reward.any():
            raise InputError(
                f"no outcome of {len(asked):,} first places passes {feedback.rule_of(ws)!r}",
                hint="do events name impressions (`freshet collect`), and hold the columns of that rule?",
            )
        logged, others = ways.logged(ws, asked), [ways.of(ws, target, asked) for target in targets]
        seats = {way.seat for one in others for way in one if way is not None} | {way.seat for way in logged}
        bench = Bench(
            ways.players(ws, known, seats, window.until),
            known.interests.ids,
            expecting.crossed(_rewards(asked, known), len(known.interests)),
        )
        again = look_again(asked, engaged, logged, others, bench, run.progress("estimate"))
        if not again.same.any():
            raise InputError(
                "no user's context comes out of the log as it was when something was shown",
                hint="is all that serving was told in the log? `freshet collect`",
            )
        good = again.same
        found = Found(
            window,
            int(good.sum()),
            len(np.unique(asked.user[good])),
            counts.mean_by_user(asked.reward[good], asked.user[good]),
            left_out,
            int((~good).sum()),
            reproducing.by_arm(asked, logged, again),
            bool(ws.config.serving.rules),
            tuple(_estimated(asked, again, place, target) for place, target in enumerate(targets)),
        )
        near = reproducing.near(reproducing.deviations(asked, again)[good])
        step.details = {"rows": found.rows, "elsewhere": found.elsewhere, "reproduced": near}
    return found


def _estimated(asked: Decisions, again: Again, place: int, target: Target) -> Estimated:
    good = again.told[place]
    rows, earlier = int(good.sum()), int((again.same & ~good).sum())
    if rows < EFFECTIVE:
        since = "its release was made" if target.serves.release else "the log tells which release was current"
        why = f"{rows:,} first places were shown since {since}, too few to tell"
        return Estimated(target, rows, earlier, 0.0, {}, why, "")
    logged = Logged(
        asked.user[good],
        asked.reward[good],
        asked.propensity[good],
        again.chance[place, good],
        again.model[good],
        again.expected[place, good],
        again.unseen[place, good],
    )
    results = {
        "doubly_robust": doubly_robust(logged),
        "self_normalised": self_normalised(logged),
        "ips": ips(logged),
    }
    near, support = reproducing.near(reproducing.deviations(asked, again)[good]), results["ips"].support
    return Estimated(target, rows, earlier, near, results, _refusal(support, near), _caution(support, near))


def _refusal(support: Support, near: float) -> str:
    """Why an estimate is not to be told."""
    if near < AGAIN:
        return (
            f"only {near:.0%} of the logged propensities come out again within 10 %: "
            "have settings changed since? --since looks at later days"
        )
    if support.covered.high < COVERED:
        return f"only {support.covered.value:.0%} of what it would show could have been logged"
    if support.effective < EFFECTIVE:
        return f"the log is worth {support.effective:.0f} first places at equal weights, too few to tell"
    return ""


def _caution(support: Support, near: float) -> str:
    """Why an estimate is no more than a screen."""
    if near < reproducing.WANTED:
        return f"only {near:.1%} of the logged propensities come out again within 10 %"
    if support.largest > LARGEST:
        return f"the largest weight is {support.largest:.0f}: intervals come out too narrow"
    if support.effective < WORTH * support.rows:
        return f"{support.rows:,} first places are worth {support.effective:,.0f} at equal weights"
    return ""


def _rewards(asked: Decisions, known: LogSnapshot) -> Outcomes:
    """The decisions as outcomes after the last interest, of interests that are still there."""
    index = known.interests.index_by_id()
    last = indices_of(np.array([(-1, *context)[-1] for context in asked.context], np.int32), index)
    shown = indices_of(asked.shown, index)
    size = len(asked)
    rows = Outcomes(
        last[:, None],
        shown,
        np.zeros(size, np.int32),
        np.zeros(size),
        asked.reward > 0,
        asked.time,
        asked.user,
    )
    return rows.take(shown >= 0)
