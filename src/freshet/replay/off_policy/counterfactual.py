"""Logged decisions looked at again: what each policy would have shown first to the same user then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Progress, silent
from freshet.core.types import BoolArray, Strategy
from freshet.replay.off_policy import reward_model
from freshet.replay.off_policy.logged_decisions import Decisions, Engaged
from freshet.replay.off_policy.policies import AnswerPolicy, PastRelease, ReleaseKey
from freshet.replay.off_policy.reward_model import RewardModel
from freshet.serving.user_context import UserContext

EXACT, NEAR = 0.01, 0.1
"""Propensities that differ by less than this share of them are the same, or nearly so."""
WANTED = 0.95
"""Share of the propensities that should come out nearly the same."""


@dataclass(frozen=True)
class ReplaySetup:
    """Everything that past decisions are answered again with.

    Attributes:
        past_releases: by release and whose evidence it follows.
        ids: (N,) stable ids of the interests that the models speak of, in the order of their indices.
        models: of rewards, for each fold of users.
    """

    past_releases: Mapping[ReleaseKey, PastRelease]
    ids: NDArray[np.int32]
    models: Sequence[RewardModel]
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        most = max([self.ids, *(past.release.interests.ids for past in self.past_releases.values())], key=max)
        object.__setattr__(self, "_size", int(max(most)) + 1)

    def chances(self, policy: AnswerPolicy, seen: UserContext, now: int, user: int) -> NDArray[np.float64]:
        """(ids,) probability of each interest, by stable id, to stand first."""
        past = self.past_releases[policy.key]
        found = np.zeros(self._size)
        chances = past.chances(policy.strategy, policy.exploration, seen, now, user)
        found[past.release.interests.ids] = chances
        return found

    def rewards(self, user: int, last: int) -> NDArray[np.float64]:
        """(ids,) expected reward of each interest after a last one, all by stable id; -1 = none."""
        model = self.models[int(reward_model.fold_of(np.array([user], np.uint64))[0])]
        place = np.flatnonzero(self.ids == last)
        rewards = model.of(int(place[0]) if len(place) else -1)
        found = np.full(self._size, rewards.mean())
        found[self.ids] = rewards
        return found


@dataclass(frozen=True)
class Counterfactuals:
    """What T policies would have shown at n decisions.

    Attributes:
        same_context: (n,) whether the user's context is as it was logged; where not, all else is 0.
        logged_chance: (n,) of what was shown, by the logging policy: the propensity, where all is known; and
            the propensity itself of what was shown elsewhere.
        answered: (T, n) whether the policy could answer in that context; where not, its columns are 0.
        chance: (T, n) of what was shown.
        unseen: (T, n) of all that the logging policy would not have shown; 0 of what was shown elsewhere.
        expected: (T, n) reward by the model over all that the policy may show.
        model: (n,) reward by the model of what was shown.
    """

    same_context: NDArray[np.bool_]
    logged_chance: NDArray[np.float64]
    answered: NDArray[np.bool_]
    chance: NDArray[np.float64]
    unseen: NDArray[np.float64]
    expected: NDArray[np.float64]
    model: NDArray[np.float64]


def answer_again(
    decisions: Decisions,
    engaged: Engaged,
    behaviour: Sequence[AnswerPolicy | None],
    policies: Sequence[Sequence[AnswerPolicy | None]],
    setup: ReplaySetup,
    progress: Progress = silent,
) -> Counterfactuals:
    """Answer every decision again, in the order of time.

    Args:
        behaviour: n policies by which the decisions were made; None = elsewhere.
        policies: (T, n) to be estimated; None where one can't answer.
    """
    size = len(decisions)
    shape = len(policies), size
    found = Counterfactuals(
        np.zeros(size, bool),
        np.zeros(size),
        np.zeros(shape, bool),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(size),
    )
    for row, logged_policy in enumerate(behaviour):
        now, user, shown = int(decisions.time[row]), int(decisions.user[row]), int(decisions.shown[row])
        ids, times = engaged.before(user, now)
        others = [(place, policy) for place, one in enumerate(policies) if (policy := one[row]) is not None]
        seen = {
            key: setup.past_releases[key].user_context(ids, times, now, user)
            for key in {policy.key for policy in (logged_policy, *(one for _, one in others)) if policy}
        }
        context = decisions.context[row]
        first = next((policy for policy in (logged_policy, *(one for _, one in others)) if policy), None)
        if first is not None and setup.past_releases[first.key].context(seen[first.key]) == context:
            chances = None
            if logged_policy is not None:
                chances = setup.chances(logged_policy, seen[logged_policy.key], now, user)
            rewards = setup.rewards(user, (-1, *context)[-1])
            found.same_context[row] = True
            found.logged_chance[row] = decisions.propensity[row] if chances is None else chances[shown]
            found.model[row] = rewards[shown]
            for place, policy in others:
                other = setup.chances(policy, seen[policy.key], now, user)
                found.answered[place, row] = True
                found.chance[place, row] = other[shown]
                found.unseen[place, row] = 0.0 if chances is None else other[chances <= 0].sum()
                found.expected[place, row] = other @ rewards
        if row % 1000 == 999 or row == size - 1:
            progress(row + 1, size)
    return found


@dataclass(frozen=True, slots=True)
class Reproduced:
    """First places that one policy was logged for.

    Attributes:
        experiment, arm: '' where there was none.
        rows: those whose users' context came out again.
        exact, near: share of them whose propensity came out again within 1 % and within 10 %.
        apart: share of choices that would be others: half the mean of |logged_chance / propensity - 1|, the
            total variation between the policy that was logged and the one computed again.
    """

    experiment: str
    arm: str
    strategy: Strategy
    rows: int
    exact: float
    near: float
    apart: float

    @property
    def poor(self) -> bool:
        return self.near < WANTED


def reproduced_by_arm(
    decisions: Decisions, behaviour: list[AnswerPolicy | None], answers: Counterfactuals
) -> tuple[Reproduced, ...]:
    """How well each arm's propensities come out again, by experiment and arm; not those of elsewhere."""
    made = zip(decisions.arm, behaviour, strict=True)
    arms = [(*name, policy.strategy) if policy else None for name, policy in made]
    away = deviations(decisions, answers)
    found = []
    for experiment, arm, strategy in sorted({one for one in arms if one is not None}):
        rows = answers.same_context & np.array([one == (experiment, arm, strategy) for one in arms], bool)
        if rows.any():
            own = away[rows]
            shares = float((own < EXACT).mean()), near(own), float(own.mean()) / 2
            found.append(Reproduced(experiment, arm, strategy, int(rows.sum()), *shares))
    return tuple(found)


def deviations(decisions: Decisions, answers: Counterfactuals) -> NDArray[np.float64]:
    """(n,) how far each propensity is off when it is made again, over itself."""
    return np.asarray(np.abs(answers.logged_chance / decisions.propensity - 1))


def near(away: NDArray[np.float64]) -> float:
    """Share of propensities that come out nearly the same; 1 of none."""
    if not len(away):
        return 1.0
    close: BoolArray = away < NEAR
    return float(close.mean())
