"""The feed of SIMULATED people: sessions with one exploration slot, which the recommender fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freshet.core.time import HOUR, SECOND
from freshet.core.types import Answer
from freshet.serving import Event, Query, Recommender
from freshet.simulator.loop_plan import Plan
from freshet.simulator.people import People
from freshet.simulator.simulated_log import catalogue_of, item_ids, midnight, session_events, user_ids
from freshet.simulator.slot import OUTCOMES, SURVEY, TAKEN, VALUES, outcomes, surveys
from freshet.simulator.slot_impressions import Impressions, Oracles
from freshet.simulator.world import Floats, Ints

_ACTS, _SAYS, _LEAVES = 30, 60, 120
"""Seconds into a session at which people act on the offer, answer a survey, go on to something else."""
_DISLIKED = OUTCOMES.index("disliked")


@dataclass
class SimulatedClock:
    """The world's time, in microseconds since 1970 (UTC)."""

    now: int

    def __call__(self) -> int:
        return self.now


class Feed:
    """An experiment under way; `impressions` has a part for every hour in which somebody came."""

    def __init__(
        self, plan: Plan, people: People, oracles: Oracles, recommender: Recommender, clock: SimulatedClock
    ) -> None:
        self.impressions: list[Impressions] = []
        self._plan, self._people, self._recommender, self._clock = plan, people, recommender, clock
        self._oracles = oracles
        self._catalogue = catalogue_of(plan.world)
        self._number = {item: n for n, item in enumerate(item_ids(np.arange(len(self._catalogue.theme))))}
        self._arms = {name: place for place, name in enumerate(plan.arms)}

    def hour(self, day: int, hour: int) -> None:
        """All sessions of an hour; each person comes once at most."""
        since = (self._plan.preset.history + day - 1) * 24 + hour  # hours of the world
        users, moments = self._people.coming(since)
        self._clock.now = self._plan.midnight(day) + (hour + 1) * HOUR
        if not len(users):
            return
        rng = np.random.default_rng([self._plan.world.seed, 11, since])
        posted = self._offer(day, users, moments, rng) + self._live(users, moments, rng)
        posted.sort(key=lambda event: event.time or 0)
        self._recommender.record(posted)

    def _offer(self, day: int, users: Ints, moments: Floats, rng: np.random.Generator) -> list[Event]:
        """Fill everybody's slot by asking the recommender, and see what becomes of it."""
        asks = zip(user_ids(users), self._micros(moments), strict=True)
        answers = [
            self._recommender.recommend(Query(user=name, interests=1, items=1, now=time))
            for name, time in asks
        ]
        filled = np.array([bool(_item(answer)) for answer in answers])
        answers = [answer for answer in answers if _item(answer)]
        users, moments = users[filled], moments[filled]
        theme = self._catalogue.theme[np.array([self._number[_item(one)] for one in answers], np.int64)]
        true = self._people.chances(users, theme, moments)
        outcome = outcomes(true, rng)
        impressions = Impressions(
            user=users,
            arm=np.array([self._arms.get(one.arm, -1) for one in answers], np.int64),
            day=np.full(len(users), day),
            theme=theme,
            release=np.array([one.release for one in answers], np.int64),
            explored=np.array([one.explored for one in answers], bool),
            outcome=outcome,
            survey=surveys(outcome, self._people.habits, rng),
            expected=true.taken,
            best=true.best,
            disliked=true.outcomes[:, _DISLIKED],
            oracles=self._oracles.chances(users, moments),
        )
        new = TAKEN[outcome] & ~self._people.known(users, moments)[np.arange(len(users)), theme]
        self._oracles.took_up(theme[new], moments[new])
        self._people.offered(users, theme, TAKEN[outcome], moments)
        self.impressions.append(impressions)
        return _events_of(impressions, answers, self._micros(moments))

    def _live(self, users: Ints, moments: Floats, rng: np.random.Generator) -> list[Event]:
        """What people do after the offer, of their own accord."""
        later = moments + _LEAVES / 86_400
        lived = self._people.live(users, later, rng)
        self._oracles.lived(lived)
        logged = session_events(self._catalogue, lived.theme, lived.liked, later, rng)
        times = ((logged.seconds + midnight(self._plan.world)) * SECOND).tolist()
        rows = zip(
            user_ids(users[logged.session]), item_ids(logged.item), times, logged.value.tolist(), strict=True
        )
        return [Event(name, item, time, value) for name, item, time, value in rows]

    def _micros(self, moments: Floats) -> list[int]:
        """When, to the second, in microseconds since 1970."""
        seconds = np.floor(moments * 86_400).astype(np.int64) + midnight(self._plan.world)
        return [one * SECOND for one in seconds.tolist()]


def _item(answer: Answer) -> str:
    """The item shown; '' where nothing was."""
    return answer.interests[0].items[0].id if answer.interests and answer.interests[0].items else ""


def _events_of(impressions: Impressions, answers: Sequence[Answer], times: Sequence[int]) -> list[Event]:
    """What clients record of outcomes and surveys: events that name the impression they follow from."""
    rows = zip(
        user_ids(impressions.user), answers, times, impressions.outcome, impressions.survey, strict=True
    )
    posted = []
    for user, answer, time, outcome, survey in rows:
        acted: dict[str, str | float | bool] = {"outcome": OUTCOMES[outcome]}
        seen = [(_ACTS, float(VALUES[outcome]), acted)]
        if survey:
            seen.append((_SAYS, float(survey), {"outcome": SURVEY, "survey": float(survey)}))
        for after, value, columns in seen:
            moment = time + after * SECOND
            posted.append(Event(user, _item(answer), moment, value, impression=answer.id, columns=columns))
    return posted
