"""Policies: how each decision was made, and how another policy makes it with what could be known then."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import InputError
from freshet.core.types import (
    REMEMBERED,
    TRANSITION,
    AsOf,
    BoolArray,
    Experiment,
    ExperimentArm,
    Serves,
    Strategy,
)
from freshet.experiments.assignment import OwnEvents
from freshet.replay.off_policy.logged_decisions import Decisions
from freshet.run_context import LogSnapshot
from freshet.serving.arms import score
from freshet.serving.open_release import OpenRelease, open_release
from freshet.serving.policy import Policy, first_place_probabilities
from freshet.serving.user_context import UserContext
from freshet.stages import counts, events
from freshet.stages.content import ItemEngagements, read_engagements
from freshet.stages.live.calibration import by_time
from freshet.storage.artifacts import committed
from freshet.storage.release_parts import content_of
from freshet.storage.workspace import Workspace

EVERYBODY = "", ""
"""Experiment and arm of what is answered from everybody's evidence."""
ReleaseKey = tuple[int, str, str]
"""A release by number, and the experiment and arm on whose own evidence its live signals stand."""
NONE = -1
FOLLOWED = Serves()


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """How requests are answered: by which release, what of it, how it explores, whose evidence it follows."""

    release: int
    strategy: Strategy
    exploration: Policy
    own: tuple[str, str] = EVERYBODY

    @property
    def key(self) -> ReleaseKey:
        """The release as this policy sees it."""
        return self.release, *self.own


@dataclass
class PastRelease:
    """A release whose live signals follow the moves of the log.

    Attributes:
        release: opened for this alone: its live signals change.
        moves: all moves since the release's moment, by time, of stable ids.
        feedback: whether it uses feedback as published.
        engaged: who engaged which of the items that the release's content knows; None without content.
    """

    release: OpenRelease
    moves: NDArray[np.void]
    feedback: bool
    engaged: ItemEngagements | None = None
    _done: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        moves = self.moves[self.moves["time"] >= self.release.since].copy()
        if self.release.own is not None:
            moves = moves[self.release.own(moves["user"], moves["time"])]
        for name in ("last", "successor"):
            moves[name] = self.release.indices(moves[name])
        self.moves = moves[moves["successor"] >= 0]

    def user_context(
        self, ids: NDArray[np.int32], times: NDArray[np.int64], now: int, user: int
    ) -> UserContext:
        """The user as the release saw them at a moment."""
        return self.release.user_context(ids, times, now, user)

    def context(self, seen: UserContext) -> tuple[int, ...]:
        """Stable ids of the user's context, most recent last."""
        recent = seen.recent[-self.release.k :]
        return tuple(self.release.interests.ids[recent[recent >= 0]].tolist())

    def chances(
        self, strategy: Strategy, exploration: Policy, seen: UserContext, now: int, user: int
    ) -> NDArray[np.float64]:
        """(N,) probability of each interest to stand first, at a moment not before that of the last call."""
        release = self.release
        if release.overlay is not None:
            upto = int(np.searchsorted(self.moves["time"], now))
            release.overlay.apply(self.moves[self._done : upto])
            self._done = max(self._done, upto)
        ineligible = release.rules.ineligible({}, seen.recent[-release.k :])
        excluded = seen.known | ineligible.interests
        profile = self._profile(user, now)
        scored = score(
            release, strategy, seen.recent, excluded, now, profile, user, use_feedback=self.feedback
        )
        return first_place_probabilities(scored.preferred, exploration)

    def _profile(self, user: int, now: int) -> NDArray[np.float32]:
        """What was known of a user's items at a moment."""
        content = self.release.content
        if content is None or self.engaged is None:
            return counts.NOBODY
        items = self.engaged.last(np.array([user], np.uint64), np.array([now], np.int64), REMEMBERED)
        return content.profile(items[0])


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to be estimated: what it serves, and share and temperature of its exploration."""

    serves: Serves
    explore: float
    temperature: float


def behaviour(ws: Workspace, decisions: Decisions) -> list[AnswerPolicy | None]:
    """How each decision was made, as far as log and settings of now tell; None of what was made elsewhere."""
    arms = _arms(ws)
    exploration = Policy(ws.config.serving.explore, ws.config.serving.temperature, 0.0)
    policies: list[AnswerPolicy | None] = []
    rows = zip(decisions.release.tolist(), decisions.arm, decisions.elsewhere.tolist(), strict=True)
    for number, name, elsewhere in rows:
        if elsewhere:
            policies.append(None)
            continue
        experiment, arm = arms.get(name, (None, None))
        own = name if experiment is not None and experiment.isolated else EVERYBODY
        policies.append(
            AnswerPolicy(number, arm.serves.strategy if arm else FOLLOWED.strategy, exploration, own)
        )
    return policies


def of_target(ws: Workspace, target: Target, decisions: Decisions) -> list[AnswerPolicy | None]:
    """How a policy would have made each decision; None where its release was made with something from later.

    One that names no release follows `CURRENT`: each decision is made by the release that was current then.

    Raises:
        InputError: no release serves yet.
    """
    fixed = target.serves.release
    numbers = _current_then(ws, decisions) if fixed is None else np.full(len(decisions), fixed)
    if fixed is None and ws.releases.current() is None:
        raise InputError("no release serves yet", hint="`freshet run` makes the first one")
    exploration = Policy(target.explore, target.temperature, 0.0)
    made = {
        number: AnswerPolicy(number, target.serves.strategy, exploration, _own(ws, number))
        for number in set(numbers.tolist()) - {NONE}
    }
    since = {number: known_from(ws, number) for number in made}
    return [
        made[number] if number in made and time >= since[number] else None
        for number, time in zip(numbers.tolist(), decisions.time.tolist(), strict=True)
    ]


def known_from(ws: Workspace, number: int) -> int:
    """Moment (microseconds since 1970) before which a release, and its feedback, may know what happened."""
    release = ws.releases.get(number)
    moments = [release.as_of]
    if release.feedback:
        moments.append(str(committed(ws.store, "feedback", release.feedback).manifest["as_of"]))
    return max(AsOf.parse(moment).microseconds for moment in moments)


def open_past(
    ws: Workspace,
    log: LogSnapshot,
    keys: Collection[ReleaseKey],
    until: AsOf,
    users: NDArray[np.uint64],
) -> dict[ReleaseKey, PastRelease]:
    """Releases as they answered, and the moves that their live signals follow: of an arm its own alone.

    Args:
        users: whom they answered, by number.
    """
    arms = _arms(ws)
    opened = {}
    for number, *own in keys:
        experiment, arm = arms.get((own[0], own[1]), (None, None))
        counted = OwnEvents(experiment, arm.name) if experiment and arm else None
        opened[number, own[0], own[1]] = open_release(ws.store, ws.config, ws.releases.get(number), counted)
    live = [one.release.as_of for one in opened.values() if one.overlay is not None]
    moves = np.zeros(0, TRANSITION)
    if live:
        moves = by_time(log.transitions.records(AsOf.parse(min(live)), until))
        for name in ("last", "successor"):
            moves[name] = np.where(moves[name] >= 0, log.interests.ids[moves[name]], -1)
    days = [day.path for day in events.EventLog(ws.source).snapshot(until).days]
    rule = events.parse(ws.config.events.positive).sql
    read = dict[str, ItemEngagements]()  # releases that were made with the same items share them
    for one in opened.values():
        if one.content is not None and (version := content_of(ws.store, one.release)) not in read:
            read[version] = read_engagements(days, rule, one.content.ids, users)
    return {
        key: PastRelease(one, moves, ws.config.feedback.use, read.get(content_of(ws.store, one.release)))
        for key, one in opened.items()
    }


def _current_then(ws: Workspace, decisions: Decisions) -> NDArray[np.int64]:
    """(n,) release that `CURRENT` named, by the latest answer that followed it; NONE before one."""
    latest = np.maximum.accumulate(np.where(_followed(ws, decisions), np.arange(len(decisions)), NONE))
    return np.where(latest == NONE, NONE, decisions.release[latest])


def _followed(ws: Workspace, decisions: Decisions) -> BoolArray:
    """(n,) whether each answer was of the current release: of no arm, or of one that shares it."""
    following = {
        name
        for name, (experiment, arm) in _arms(ws).items()
        if arm.serves.release is None and not experiment.isolated
    }
    followed = np.array([name == EVERYBODY or name in following for name in decisions.arm], bool)
    return followed & ~decisions.elsewhere


def _own(ws: Workspace, number: int) -> tuple[str, str]:
    """Experiment and arm that a release was made for."""
    experiment, _, arm = ws.releases.get(number).arm.partition("/")
    return experiment, arm


def _arms(ws: Workspace) -> dict[tuple[str, str], tuple[Experiment, ExperimentArm]]:
    return {(one.name, arm.name): (one, arm) for one in ws.experiments.all() for arm in one.arms}
