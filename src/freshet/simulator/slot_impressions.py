"""What who knows a SIMULATED world's rules would offer: known in a simulation alone, and served to nobody.

Six oracles stand beside the arms. Two kinds of knowledge, `truth` (how people move on from their last two
themes, exactly) and `popularity` (one order of themes for all), each of three ages:

- `first_release`: as of the moment of the first release, a month before the experiment;
- `last_refresh`: as of the last refresh, or of the first release before there was one;
- `today`: as of the day of the offer.

Each picks the best theme that is new to the person, at the moments at which the arms' offers were made. None
knows a person's own taste, so not even today's truth always picks the best. Popularity is counted from what
people newly took up, by themselves or when it was offered; today's is the world's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.simulator.loop_plan import STALE, Plan
from freshet.simulator.people import Lived, People
from freshet.simulator.world import Floats, Ints, next_odds, normalised, popularity, truths

AGES = ("first_release", "last_refresh", "today")
ORACLES = tuple(f"{kind}_{age}" for kind in ("truth", "popularity") for age in AGES)
COUNTED_DAYS = 7
"""Days before its moment from which popularity is counted."""


class Oracles:
    """The true chances of what oracles would show; they follow what people newly take up, and refreshes."""

    def __init__(self, plan: Plan, people: People, history: Lived) -> None:
        self._people = people
        self._follows, self._popular = truths(plan.world), popularity(plan.world)
        self._taken = np.zeros((plan.world.days, plan.world.themes))
        self.lived(history)
        self._first = plan.preset.history - STALE
        self._last = self._first
        self._counted = {"first_release": self._shares(self._first)}
        self._counted["last_refresh"] = self._counted["first_release"]

    def lived(self, sessions: Lived) -> None:
        """Let people have had sessions of their own."""
        new = sessions.liked & ~sessions.known[np.arange(len(sessions.theme)), sessions.theme]
        self.took_up(sessions.theme[new], sessions.moment[new])

    def took_up(self, theme: Ints, moment: Floats) -> None:
        """Let (n,) themes, new to those people, have been taken up at (n,) moments, in days of the world."""
        day = np.minimum(moment.astype(np.int64), len(self._taken) - 1)
        np.add.at(self._taken, (day, theme), 1.0)

    def refresh(self, day: int) -> None:
        """Let a refresh be made at the beginning of a day of the world."""
        self._last = day
        self._counted["last_refresh"] = self._shares(day)

    def chances(self, users: Ints, moments: Floats) -> Floats:
        """(n, oracles) true chance of a satisfied outcome of each oracle's offer to each of n people."""
        today = np.minimum(moments.astype(np.int64), len(self._follows) - 1)
        recent, known = self._people.recent[users], self._people.known(users, moments)
        scores = [
            next_odds(self._follows, self._popular, days, recent)
            for days in (np.full_like(today, self._first), np.full_like(today, self._last), today)
        ]
        scores += [np.broadcast_to(self._counted[age], known.shape) for age in AGES[:-1]]
        scores.append(self._popular[today])
        # who knows everything is offered something all the same: what is best of it
        themes = np.stack([np.where(known, score - 2.0, score).argmax(axis=1) for score in scores])
        return np.stack([self._people.chances(users, theme, moments).taken for theme in themes], axis=1)

    def _shares(self, day: int) -> Floats:
        """(themes,) of what was taken up in the days before a day; one more of each than was."""
        return normalised(self._taken[max(0, day - COUNTED_DAYS) : day].sum(axis=0) + 1.0)


@dataclass(frozen=True, slots=True)
class Impressions:
    """Impressions of the exploration slot, (n,) each, in order of time.

    Attributes:
        user: number of the person.
        arm: place of the arm, -1 for who takes no part.
        day: of the experiment, from 1.
        theme: true theme of the item shown.
        release: number of the release that chose it.
        explored: whether it was drawn rather than the best taken.
        outcome: place in `slot.OUTCOMES`.
        survey: the person's answer, 1 to 5; 0 = none was wanted.
        expected, best: true chances of a satisfied outcome, of what was shown and of the best theme.
        disliked: true chance that it was disliked.
        oracles: (n, oracles) true chances of a satisfied outcome of what each of `ORACLES` would have
            shown in its place.
    """

    user: Ints
    arm: Ints
    day: Ints
    theme: Ints
    release: Ints
    explored: NDArray[np.bool_]
    outcome: Ints
    survey: Ints
    expected: Floats
    best: Floats
    disliked: Floats
    oracles: Floats

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def joined(cls, parts: list[Impressions]) -> Impressions:
        """All rows, in the order given."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

    def table(self) -> pa.Table:
        """A column for each attribute, and `oracle_` and its name for each oracle."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "oracles"}
        oracles = {f"oracle_{name}": self.oracles[:, place] for place, name in enumerate(ORACLES)}
        return pa.table(plain | oracles)
