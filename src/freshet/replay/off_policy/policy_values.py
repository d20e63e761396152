"""What other policies would have earned at the first place, from logged propensities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

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
from freshet.replay.off_policy import counterfactual, policies, reward_model
from freshet.replay.off_policy.counterfactual import Counterfactuals, ReplaySetup, Reproduced, answer_again
from freshet.replay.off_policy.logged_decisions import Decisions, LeftOut, read
from freshet.replay.off_policy.policies import Target
from freshet.run_context import LogSnapshot
from freshet.stages import counts
from freshet.stages.screen.step import unscreened
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace

COVERED = 0.9
"""Share of a policy's choices that could have been logged, at least, for its estimate to be shown."""
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
        rows: first places that it is estimated on.
        earlier: others, left out: they were shown before its release was made, which knows what became of
            them, or before the log says which release was current.
        near: share of the propensities of its rows that come out again within 10 %, without those of rows
            that were shown elsewhere.
        results: `doubly_robust`, `self_normalised` and `ips`; empty where there are too few rows.
        refused: why the figures are not to be shown, '' where they are.
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
            which an event was recorded, by the settings of then, or by a request's attributes.
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

    A release is estimated on what was shown from its moment on: what came before is in its table. A policy
    that names none answers with the release that was current then.

    Args:
        limit: at most so many are looked at; of more, those of a sample of users.

    Raises:
        InputError: nothing was shown to named users, none of it was taken, or no context comes out as logged.
        ArtifactError: a release that answered, or is to answer, can't be opened.
    """
    log = snapshot_of(unscreened(ws), run, window.until)
    assignment = assignment_of(ws, log.version)
    with run.step("estimate") as step:
        rule = feedback.rule_of(ws)
        decisions, engaged, left_out = read(ws, window, assignment, log.interests, rule, limit)
        _check(decisions, window, rule)
        behaviour = policies.behaviour(ws, decisions)
        others = [policies.of_target(ws, target, decisions) for target in targets]
        keys = {policy.key for policy in chain(behaviour, *others) if policy is not None}
        setup = ReplaySetup(
            policies.open_past(ws, log, keys, window.until, decisions.user),
            log.interests.ids,
            reward_model.cross_fitted(_rewards(decisions, log), len(log.interests)),
        )
        answers = answer_again(decisions, engaged, behaviour, others, setup, run.progress("estimate"))
        if not answers.same_context.any():
            raise InputError(
                "no user's context comes out of the log as it was when something was shown",
                hint="is all that serving recorded in the log? `freshet collect`",
            )
        good = answers.same_context
        found = Found(
            window,
            int(good.sum()),
            len(np.unique(decisions.user[good])),
            counts.mean_by_user(decisions.reward[good], decisions.user[good]),
            left_out,
            int((~good).sum()),
            counterfactual.reproduced_by_arm(decisions, behaviour, answers),
            bool(ws.config.serving.rules),
            tuple(_estimated(decisions, answers, place, target) for place, target in enumerate(targets)),
        )
        ours = good & ~decisions.elsewhere
        near = counterfactual.near(counterfactual.deviations(decisions, answers)[ours])
        step.details = {"rows": found.rows, "elsewhere": found.elsewhere, "reproduced": near}
    return found


def _check(decisions: Decisions, window: Window, rule: str) -> None:
    """Raises InputError where there is nothing to estimate from."""
    if not len(decisions):
        raise InputError(
            f"nothing was shown to named users from {window.since} to {window.until}",
            hint="`freshet collect` takes in what was shown; --since looks further back",
        )
    if not decisions.reward.any():
        raise InputError(
            f"no outcome of {len(decisions):,} first places passes {rule!r}",
            hint="do events name impressions (`freshet collect`), and hold the columns of that rule?",
        )


def _estimated(decisions: Decisions, answers: Counterfactuals, place: int, target: Target) -> Estimated:
    good = answers.answered[place]
    rows, earlier = int(good.sum()), int((answers.same_context & ~good).sum())
    if rows < EFFECTIVE:
        since = "its release was made" if target.serves.release else "the log tells which release was current"
        why = f"{rows:,} first places were shown since {since}, too few to tell"
        return Estimated(target, rows, earlier, 0.0, {}, why, "")
    logged = Logged(
        decisions.user[good],
        decisions.reward[good],
        decisions.propensity[good],
        answers.chance[place, good],
        answers.model[good],
        answers.expected[place, good],
        answers.unseen[place, good],
    )
    results = {
        "doubly_robust": doubly_robust(logged),
        "self_normalised": self_normalised(logged),
        "ips": ips(logged),
    }
    ours = good & ~decisions.elsewhere
    near = counterfactual.near(counterfactual.deviations(decisions, answers)[ours])
    support, foreign = results["ips"].support, rows - int(ours.sum())
    caution = _caution(support, near)
    if foreign and not caution:
        caution = f"{foreign:,} first places were shown elsewhere: their propensities are believed as given"
    return Estimated(target, rows, earlier, near, results, _refusal(support, near), caution)


def _refusal(support: Support, near: float) -> str:
    """Why an estimate is not to be shown, '' where it is."""
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
    """Why an estimate is no more than a screen, '' where it is more."""
    if near < counterfactual.WANTED:
        return f"only {near:.1%} of the logged propensities come out again within 10 %"
    if support.largest > LARGEST:
        return f"the largest weight is {support.largest:.0f}: intervals come out too narrow"
    if support.effective < WORTH * support.rows:
        return f"{support.rows:,} first places are worth {support.effective:,.0f} at equal weights"
    return ""


def _rewards(decisions: Decisions, log: LogSnapshot) -> Outcomes:
    """The decisions as outcomes after the last interest, of interests that are still there."""
    index = log.interests.index_by_id()
    last = indices_of(np.array([(-1, *context)[-1] for context in decisions.context], np.int32), index)
    shown = indices_of(decisions.shown, index)
    size = len(decisions)
    rows = Outcomes(
        last[:, None],
        shown,
        np.zeros(size, np.int32),
        np.zeros(size),
        decisions.reward > 0,
        decisions.time,
        decisions.user,
    )
    return rows.take(shown >= 0)
