"""The exploration slot of a SIMULATED feed: how likely each outcome is, and what is seen of it.

The chance that a person takes what is shown is

    habits.taken * appetite * (1 - fatigue) * worth

where a theme's worth is its true probability of being the person's next new theme now, divided by that of
the best one, to the power `habits.sharpness`. So the best choice, and what any other loses, are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.simulator.world import Floats, Ints, draw

OUTCOMES = ("completed", "liked", "skipped", "disliked")
SURVEY = "survey"
VALUES = np.array([8.0, 9.0, 3.0, 1.0])
"""What each outcome is worth in the log, where 7 and more is an engagement."""
TAKEN = np.array([True, True, False, False])
"""Which outcomes are satisfied ones: the person took up what was shown."""
_CONTENT = np.array([0.65, 0.9, 0.4, 0.05])
"""How content people say they are after each outcome, 0 to 1."""
_MOST = 0.95
_LIKED = 0.5


@dataclass(frozen=True, slots=True)
class Habits:
    """How SIMULATED people behave; lengths of time in days.

    Attributes:
        sessions: mean number of sessions of a person on a day.
        own_taste: standard deviation of a person's own lasting log-odds of each theme.
        appetite: standard deviation of the logarithm of a person's appetite for what is new; its mean is 1.
        taken: chance that a rested person of appetite 1 takes the theme that is best for them now.
        sharpness: how much worth falls with the true probability; 0 = everything is as good as the best.
        familiar: worth of a theme that the person knows already.
        tiring: share of the rested part that one exploration offer tires.
        rest_days: days in which fatigue falls to 1/e.
        disliked: chance that a rested person dislikes what is worth nothing to them.
        surveyed: share of impressions after which the person answers a survey.
    """

    sessions: float = 0.5
    own_taste: float = 0.5
    appetite: float = 0.4
    taken: float = 0.4
    sharpness: float = 0.5
    familiar: float = 0.3
    tiring: float = 0.1
    rest_days: float = 3.0
    disliked: float = 0.2
    surveyed: float = 0.05


@dataclass(frozen=True, slots=True)
class Chances:
    """What is true of n offers.

    Attributes:
        outcomes: (n, 4) chance of each of `OUTCOMES`; rows sum to one.
        taken: (n,) chance of a satisfied outcome, `best` with the best theme in the same place.
    """

    outcomes: Floats
    taken: Floats
    best: Floats

    @property
    def regret(self) -> Floats:
        """(n,) chance of a satisfied outcome that the offer leaves on the table."""
        return self.best - self.taken


def worth_of(odds: Floats, known: NDArray[np.bool_], habits: Habits) -> Floats:
    """(n, themes) worth of every theme, 1 for the best.

    Args:
        odds: (n, themes) true odds of being the next new theme, 0 for known ones.
        known: (n, themes) themes that are not new to the person.
    """
    worth = (odds / odds.max(axis=1, keepdims=True)) ** habits.sharpness
    return np.asarray(np.where(known, habits.familiar, worth))


def chances(worth: Floats, appetite: Floats, fatigue: Floats, habits: Habits) -> Chances:
    """What happens to offers of some worth; all arguments are (n,)."""
    ready = habits.taken * appetite * (1 - fatigue)
    taken, best = np.minimum(ready * worth, _MOST), np.minimum(ready, _MOST)
    liked = taken * _LIKED * worth
    disliked = (1 - taken) * np.minimum(habits.disliked * (1 - worth) * (1 + fatigue), 1)
    parts = [taken - liked, liked, 1 - taken - disliked, disliked]
    return Chances(np.stack(parts, axis=1), taken, best)


def outcomes(found: Chances, rng: np.random.Generator) -> Ints:
    """(n,) one of `OUTCOMES` for each offer."""
    return draw(found.outcomes, rng)


def surveys(outcome: Ints, habits: Habits, rng: np.random.Generator) -> Ints:
    """(n,) people's answers to surveys about their impressions, 1 to 5; 0 without a survey."""
    answering = rng.random(len(outcome)) < habits.surveyed
    return np.asarray(np.where(answering, 1 + rng.binomial(4, _CONTENT[outcome]), 0))
