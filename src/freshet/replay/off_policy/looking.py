"""Logged decisions looked at again: what each policy would have shown first to the same user then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Progress, silent
from freshet.core.types import Strategy
from freshet.replay.off_policy import expecting
from freshet.replay.off_policy.decisions import Decisions, Engaged
from freshet.replay.off_policy.expecting import Expected
from freshet.replay.off_policy.players import Player
from freshet.serving.choosing import Policy
from freshet.serving.recall import Recalled

EVERYBODY = "", ""
"""Experiment and arm of what is answered from everybody's evidence."""
Seat = tuple[int, str, str]
"""A release by number, and the experiment and arm on whose own evidence its live signals stand."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to answer: a release by number, what of it, how it explores, and whose evidence it follows."""

    release: int
    strategy: Strategy
    policy: Policy
    own: tuple[str, str] = EVERYBODY

    @property
    def seat(self) -> Seat:
        return self.release, *self.own


@dataclass(frozen=True)
class Bench:
    """What is needed to answer again.

    Attributes:
        players: by release and whose evidence it follows.
        ids: (N,) stable ids of the interests that the models speak of, in the order of their indices.
        models: of rewards, for each fold of users.
    """

    players: Mapping[Seat, Player]
    ids: NDArray[np.int32]
    models: Sequence[Expected]
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        most = max([self.ids, *(player.release.interests.ids for player in self.players.values())], key=max)
        object.__setattr__(self, "_size", int(max(most)) + 1)

    def chances(self, way: Way, seen: Recalled, now: int) -> NDArray[np.float64]:
        """(ids,) probability of each interest, by stable id, to stand first."""
        player = self.players[way.seat]
        found = np.zeros(self._size)
        found[player.release.interests.ids] = player.chances(way.strategy, way.policy, seen, now)
        return found

    def rewards(self, user: int, last: int) -> NDArray[np.float64]:
        """(ids,) expected reward of each interest after a last one, all by stable id; -1 = none."""
        model = self.models[int(expecting.fold_of(np.array([user], np.uint64))[0])]
        place = np.flatnonzero(self.ids == last)
        rewards = model.of(int(place[0]) if len(place) else -1)
        found = np.full(self._size, rewards.mean())
        found[self.ids] = rewards
        return found


@dataclass(frozen=True)
class Again:
    """n decisions and T ways, looked at again.

    Attributes:
        same: (n,) whether the user's context came out as it was logged; where not, nothing else is told.
        again: (n,) chance of what was shown in the way it was logged: the propensity, where all is known.
        told: (T, n) whether the way was asked, and the context the same; where not, its columns are 0.
        chance: (T, n) of what was shown.
        unseen: (T, n) of all that the logging policy would not have shown.
        expected: (T, n) reward by the model over all that the way may show; `model`: (n,) of what was shown.
    """

    same: NDArray[np.bool_]
    again: NDArray[np.float64]
    told: NDArray[np.bool_]
    chance: NDArray[np.float64]
    unseen: NDArray[np.float64]
    expected: NDArray[np.float64]
    model: NDArray[np.float64]


def look_again(
    asked: Decisions,
    engaged: Engaged,
    logged: Sequence[Way],
    ways: Sequence[Sequence[Way | None]],
    bench: Bench,
    progress: Progress = silent,
) -> Again:
    """Answer every decision again, in the order of time.

    Args:
        logged: n ways in which the decisions were made.
        ways: (T, n) to be estimated; None where one is not to be asked.
    """
    size = len(asked)
    shape = len(ways), size
    found = Again(
        np.zeros(size, bool),
        np.zeros(size),
        np.zeros(shape, bool),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(size),
    )
    for row, was in enumerate(logged):
        now, user, shown = int(asked.time[row]), int(asked.user[row]), int(asked.shown[row])
        ids, times = engaged.before(user, now)
        others = [(place, way) for place, one in enumerate(ways) if (way := one[row]) is not None]
        seen = {
            seat: bench.players[seat].recall(ids, times, now, user)
            for seat in {was.seat, *(way.seat for _, way in others)}
        }
        context = asked.context[row]
        if bench.players[was.seat].context(seen[was.seat]) == context:
            chances = bench.chances(was, seen[was.seat], now)
            rewards = bench.rewards(user, (-1, *context)[-1])
            found.same[row] = True
            found.again[row] = chances[shown]
            found.model[row] = rewards[shown]
            for place, way in others:
                other = bench.chances(way, seen[way.seat], now)
                found.told[place, row] = True
                found.chance[place, row] = other[shown]
                found.unseen[place, row] = other[chances <= 0].sum()
                found.expected[place, row] = other @ rewards
        if row % 1000 == 999 or row == size - 1:
            progress(row + 1, size)
    return found
