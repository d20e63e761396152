"""How each decision was made, and how a policy would have made it with what could be known then."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import InputError
from freshet.core.types import TRANSITION, AsOf, BoolArray, Experiment, ExperimentArm, Serves
from freshet.experiments.assignment import OwnEvents
from freshet.replay.off_policy.decisions import Decisions
from freshet.replay.off_policy.looking import EVERYBODY, Seat, Way
from freshet.replay.off_policy.players import Player
from freshet.run_context import LogSnapshot
from freshet.serving.choosing import Policy
from freshet.serving.opened import open_release
from freshet.stages.live.calibration import by_time
from freshet.storage.artifacts import committed
from freshet.storage.workspace import Workspace

NONE = -1
FOLLOWED = Serves()


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to be estimated: what it serves, and share and temperature of its exploration."""

    serves: Serves
    explore: float
    temperature: float


def logged(ws: Workspace, asked: Decisions) -> list[Way]:
    """How each decision was made, as far as the log and the settings of now tell."""
    arms = _arms(ws)
    policy = Policy(ws.config.serving.explore, ws.config.serving.temperature, 0.0)
    ways = []
    for number, name in zip(asked.release.tolist(), asked.arm, strict=True):
        experiment, arm = arms.get(name, (None, None))
        own = name if experiment is not None and experiment.isolated else EVERYBODY
        ways.append(Way(number, arm.serves.strategy if arm else FOLLOWED.strategy, policy, own))
    return ways


def of(ws: Workspace, target: Target, asked: Decisions) -> list[Way | None]:
    """How a policy would have made each decision; None where its release was made with something from later.

    One that names no release follows `CURRENT`: each decision is made by the release that was current then.

    Raises:
        InputError: no release serves yet.
    """
    fixed = target.serves.release
    numbers = _current_then(ws, asked) if fixed is None else np.full(len(asked), fixed)
    if fixed is None and ws.releases.current() is None:
        raise InputError("no release serves yet", hint="`freshet run` makes the first one")
    policy = Policy(target.explore, target.temperature, 0.0)
    made = {
        number: Way(number, target.serves.strategy, policy, _own(ws, number))
        for number in set(numbers.tolist()) - {NONE}
    }
    since = {number: known_from(ws, number) for number in made}
    return [
        made[number] if number in made and time >= since[number] else None
        for number, time in zip(numbers.tolist(), asked.time.tolist(), strict=True)
    ]


def known_from(ws: Workspace, number: int) -> int:
    """Moment (microseconds since 1970) before which a release, and its feedback, may know what happened."""
    release = ws.releases.get(number)
    moments = [release.as_of]
    if release.feedback:
        moments.append(str(committed(ws.store, "feedback", release.feedback).manifest["as_of"]))
    return max(AsOf.parse(moment).microseconds for moment in moments)


def players(ws: Workspace, known: LogSnapshot, seats: Collection[Seat], until: AsOf) -> dict[Seat, Player]:
    """Releases as they answered, and the moves that their live signals follow: of an arm its own alone."""
    arms = _arms(ws)
    opened = {}
    for number, *own in seats:
        experiment, arm = arms.get((own[0], own[1]), (None, None))
        counted = OwnEvents(experiment, arm.name) if experiment and arm else None
        opened[number, own[0], own[1]] = open_release(ws.store, ws.config, ws.releases.get(number), counted)
    live = [one.release.as_of for one in opened.values() if one.overlay is not None]
    moves = np.zeros(0, TRANSITION)
    if live:
        moves = by_time(known.transitions.records(AsOf.parse(min(live)), until))
        for name in ("last", "successor"):
            moves[name] = np.where(moves[name] >= 0, known.interests.ids[moves[name]], -1)
    return {seat: Player(one, moves, ws.config.feedback.use) for seat, one in opened.items()}


def _current_then(ws: Workspace, asked: Decisions) -> NDArray[np.int64]:
    """(n,) release that `CURRENT` named, as the latest answer that followed it tells; NONE before one."""
    latest = np.maximum.accumulate(np.where(_followed(ws, asked), np.arange(len(asked)), NONE))
    return np.where(latest == NONE, NONE, asked.release[latest])


def _followed(ws: Workspace, asked: Decisions) -> BoolArray:
    """(n,) whether each answer was of the current release: of no arm, or of one that shares it."""
    following = {
        name
        for name, (experiment, arm) in _arms(ws).items()
        if arm.serves.release is None and not experiment.isolated
    }
    return np.array([name == EVERYBODY or name in following for name in asked.arm], bool)


def _own(ws: Workspace, number: int) -> tuple[str, str]:
    """Experiment and arm that a release was made for."""
    experiment, _, arm = ws.releases.get(number).arm.partition("/")
    return experiment, arm


def _arms(ws: Workspace) -> dict[tuple[str, str], tuple[Experiment, ExperimentArm]]:
    return {(one.name, arm.name): (one, arm) for one in ws.experiments.all() for arm in one.arms}
