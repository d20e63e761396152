"""What other policies would have earned at the first place, from logged propensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freshet import counts, experiments
from freshet.errors import InputError
from freshet.experiments import Logged, OffPolicy
from freshet.replay.off_policy import expecting
from freshet.replay.off_policy.decisions import Decisions, LeftOut, read
from freshet.replay.off_policy.looking import Again, Bench, Way, look_again
from freshet.replay.off_policy.players import Player
from freshet.serving.choosing import Policy
from freshet.serving.opened import open_release
from freshet.steps import feedback, outcomes
from freshet.steps.knowledge import Knowledge, learn
from freshet.steps.labelling import Window
from freshet.steps.weighing import by_time
from freshet.types import MOVE, AsOf, Outcomes, Serves, Strategy
from freshet.workspace import Run, Workspace

COVERED = 0.9
"""Share of a policy's choices that could have been logged, at least, for its estimate to be told."""
EFFECTIVE = 100.0
"""Rows that an estimate must be worth at equal weights, at least."""


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to be estimated: what it serves, and share and temperature of its exploration."""

    serves: Serves
    explore: float
    temperature: float


@dataclass(frozen=True, slots=True)
class Estimated:
    """A policy's satisfied rate at the first place.

    Attributes:
        refused: why the figures are not to be told, '' where they are.
    """

    target: Target
    ips: OffPolicy
    self_normalised: OffPolicy
    doubly_robust: OffPolicy
    refused: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the log says.

    Attributes:
        rows, users: first places looked at again.
        logged: their satisfied rate (value, low, high), 95 % interval clustered by user.
        left_out: what was not chosen from scores.
        elsewhere: first places left out since the log doesn't give the user's context again.
        reproduced: share of the logged propensities that come out again within 1 %; others differ by the
            moment at which an event was told, by the settings of then, or by a separate arm's own evidence.
    """

    window: Window
    rows: int
    users: int
    logged: tuple[float, float, float]
    left_out: LeftOut
    elsewhere: int
    reproduced: float
    policies: tuple[Estimated, ...]


def estimate(ws: Workspace, run: Run, targets: tuple[Target, ...], window: Window, limit: int) -> Found:
    """Estimate policies on the first places of a window.

    Args:
        limit: at most so many are looked at; of more, those of a sample of users.

    Raises:
        InputError: nothing was shown to named users, or no context comes out as it was logged.
        ArtifactError: a release that answered, or is to answer, can't be opened.
    """
    known = learn(ws, run, window.until)
    assignment = outcomes.assignment_of(ws, known.version)
    with run.step("estimate") as step:
        asked, engaged, left_out = read(ws, window, assignment, known.interests, feedback.rule_of(ws), limit)
        if not len(asked):
            raise InputError(
                f"nothing was shown to named users from {window.since} to {window.until}",
                hint="`freshet collect` takes in what was shown; --since looks further back",
            )
        logged, ways = _logged(ws, asked), [_way(ws, target) for target in targets]
        bench = Bench(
            _players(ws, known, {way.release for way in (*logged, *ways)}, window),
            known.interests.ids,
            expecting.crossed(_rewards(asked, known), len(known.interests)),
        )
        again = look_again(asked, engaged, logged, ways, bench, run.progress("estimate"))
        if not again.same.any():
            raise InputError(
                "no user's context comes out of the log as it was when something was shown",
                hint="is all that serving was told in the log? `freshet collect`",
            )
        found = _found(asked, again, targets, window, left_out)
        step.details = {"rows": found.rows, "elsewhere": found.elsewhere, "reproduced": found.reproduced}
    return found


def _found(
    asked: Decisions, again: Again, targets: tuple[Target, ...], window: Window, left_out: LeftOut
) -> Found:
    good = again.same
    return Found(
        window,
        int(good.sum()),
        len(np.unique(asked.user[good])),
        counts.mean_by_user(asked.reward[good], asked.user[good]),
        left_out,
        int((~good).sum()),
        float(again.reproduced[good].mean()),
        tuple(_estimated(asked, again, place, target) for place, target in enumerate(targets)),
    )


def _estimated(asked: Decisions, again: Again, place: int, target: Target) -> Estimated:
    good = again.same
    logged = Logged(
        asked.user[good],
        asked.reward[good],
        asked.propensity[good],
        again.chance[place, good],
        again.model[good],
        again.expected[place, good],
        again.unseen[place, good],
    )
    robust = experiments.doubly_robust(logged)
    return Estimated(
        target, experiments.ips(logged), experiments.self_normalised(logged), robust, _refusal(robust)
    )


def _refusal(found: OffPolicy) -> str:
    """Why an estimate is not to be told."""
    support = found.support
    if support.covered.high < COVERED:
        return f"only {support.covered.value:.0%} of what it would show could have been logged"
    if support.effective < EFFECTIVE:
        return f"the log is worth {support.effective:.0f} first places at equal weights, too few to tell"
    return ""


def _way(ws: Workspace, target: Target) -> Way:
    number = target.serves.release
    if number is None:
        current = ws.releases.current()
        if current is None:
            raise InputError("no release serves yet", hint="`freshet run` makes the first one")
        number = current.number
    return Way(number, target.serves.strategy, Policy(target.explore, target.temperature, 0.0))


def _logged(ws: Workspace, asked: Decisions) -> list[Way]:
    """How each decision was made, as far as the log and the settings of now tell."""
    strategies: dict[tuple[str, str], Strategy] = {
        (one.name, arm.name): arm.serves.strategy for one in ws.experiments.all() for arm in one.arms
    }
    policy = Policy(ws.config.serving.explore, ws.config.serving.temperature, 0.0)
    return [
        Way(number, strategies.get(arm, "published"), policy)
        for number, arm in zip(asked.release.tolist(), asked.arm, strict=True)
    ]


def _players(ws: Workspace, known: Knowledge, numbers: set[int], window: Window) -> dict[int, Player]:
    """Releases by number, and the moves that their live signals follow."""
    opened = {number: open_release(ws.store, ws.config, ws.releases.get(number)) for number in numbers}
    live = [one.release.as_of for one in opened.values() if one.overlay is not None]
    moves = np.zeros(0, MOVE)
    if live:
        moves = by_time(known.transitions.moves(AsOf.parse(min(live)), window.until))
        for name in ("last", "successor"):
            moves[name] = np.where(moves[name] >= 0, known.interests.ids[moves[name]], -1)
    return {number: Player(one, moves, ws.config.feedback.use) for number, one in opened.items()}


def _rewards(asked: Decisions, known: Knowledge) -> Outcomes:
    """The decisions as outcomes after the last interest, of interests that are still there."""
    index = outcomes.index_of(known.interests)
    last = outcomes.indices(np.array([(-1, *context)[-1] for context in asked.context], np.int32), index)
    shown = outcomes.indices(asked.shown, index)
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
