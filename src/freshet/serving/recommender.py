"""The recommender: from a question to interests and items, out of one release and what is known right now.

history -> recent and known interests -> fused scores + live signals -> without what is known or barred
  -> the first of them re-ordered by feedback -> best or drawn, unlike each other -> items of each
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import StateError
from freshet.core.ports import UserStore
from freshet.core.types import Answer, Context, History, Offer, Strategy
from freshet.core.types.ids import no_ids
from freshet.core.types.keys import user_key, user_number
from freshet.serving.asking import Ask, Posted, Receipt
from freshet.serving.assigned import Place, place_of
from freshet.serving.choosing import Choice, Policy, choose
from freshet.serving.explaining import explain
from freshet.serving.impressions import Impressions
from freshet.serving.opened import OpenRelease
from freshet.serving.recall import Recalled, in_order
from freshet.serving.recording import Positive, Recorder
from freshet.serving.releases import Releases
from freshet.serving.shelf import Shelf
from freshet.serving.strategies import preferred, score
from freshet.stages.counts import UserScores
from freshet.stages.events import parse

Clock = Callable[[], int]
ROWS = ("popular", "last", "pair", "triple")
"""Names of rows of the table by the length of their context."""


def system_clock() -> int:
    """Microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


class Recommender:
    """Answers out of open releases.

    `explore` may be called from one thread while others call the rest.

    Args:
        releases: what is open; at least one.
        state: what is remembered of users, and the journals.
        clock: microseconds since 1970 (UTC), now.
    """

    def __init__(self, releases: Releases, state: UserStore, clock: Clock = system_clock) -> None:
        self._releases = releases
        self._state = state
        self._clock = clock
        self._impressions = Impressions()
        told = releases.config.events
        self._recorder = Recorder(Positive(parse(told.positive)), no_ids(told.missing), threading.Lock())
        self._draws = np.random.default_rng(releases.config.serving.seed)
        self._prefix, self._numbers = uuid4().hex[:12], itertools.count()

    @property
    def current(self) -> int:
        """Number of the release that answers."""
        return self._releases.current.release.number

    def explore(self, ask: Ask) -> Answer:
        """Which interests, and which items of them, to show now; all out of one release.

        A user who takes part in a running experiment is answered as their arm is, unless a release was named.

        Raises:
            NotServing: no release is open.
            ArtifactError: the release that was asked for is not open.
        """
        place = self._place(ask)
        release = self._releases.named(ask.release)
        strategy: Strategy = "published"
        if place is not None:
            release, strategy = place.release or release, place.arm.serves.strategy
        now = ask.now if ask.now is not None else self._clock()
        history, degraded = self._history(ask)
        seen = _recalled(release, ask, history, now)
        barred = release.rules.barred(ask.attributes)
        excluded = release.rules.excluded(barred, seen.recent[-release.k :])
        scores, bonus = score(release, strategy, seen.recent, seen.known | excluded, now)
        use = self._releases.config.feedback.use
        favoured = preferred(release, strategy, scores, seen.recent, use)
        choice = self._choose(release, favoured, scores.fused, ask.interests)
        context = tuple(int(i) for i in seen.recent[-release.k :] if i >= 0)
        offers = self._offers(release, ask, scores, favoured, bonus, choice, context)
        offers += _fill(release, ask, seen, excluded, offers)
        if ask.items and release.shelf is not None:
            engaged = _engaged(release.shelf, ask, history)
            placed = [(offer, int(release.index[offer.id])) for offer in offers]
            release.shelf.stock(placed, engaged, ask.exclude, barred.items, ask.items)
        answer = Answer(
            id=f"{self._prefix}{next(self._numbers):x}",
            release=release.release.number,
            context=tuple(release.interests.descriptions[i] for i in context),
            context_ids=tuple(int(release.interests.ids[i]) for i in context),
            answered=ROWS[release.table.answered(context)],
            explored=choice.explored,
            interests=tuple(offers),
            degraded=degraded,
            experiment=place.experiment if place is not None else "",
            arm=place.arm.name if place is not None else "",
        )
        if ask.log:
            self._impressions.add(answer, ask.user or "", now)
        return answer

    def record(self, events: Sequence[Posted], oldest_days: float = math.inf) -> list[Receipt]:
        """Remember events; they are durable, and in the live signals, when this returns.

        Args:
            oldest_days: events that lie further back are refused.

        Raises:
            StateError: the state can't be written; none of the events was remembered.
        """
        now = self._clock()
        receipts = self._recorder.record(self._state, self._releases.current, events, now, oldest_days)
        self.follow()
        return receipts

    def follow(self) -> int:
        """Fold what the journal has got since, by whichever process, into the live signals; returns how many.

        Raises:
            StateError: the journal can't be read.
        """
        now = self._clock()
        return sum(release.catch_up(self._state.events, now) for release in self._releases.open())

    def flush(self) -> int:
        """Write impressions to their journal; returns how many.

        Raises:
            StateError: they can't be written; they are kept for the next call.
        """
        return self._impressions.flush(self._state)

    def reload(self) -> bool:
        """Serve what `CURRENT` names now, and by the settings as they are now; whether anything changed.

        Raises:
            FreshetError: the new release can't be opened, or the settings are wrong; the old ones serve on.
                Settings that are right count even where the release can't be opened.
        """
        try:
            return self._releases.reload()
        finally:
            told = self._releases.config.events
            self._recorder.missing = no_ids(told.missing)
            if told.positive != self._recorder.positive.rule.text:
                self._recorder.positive = Positive(parse(told.positive))

    def switch(self, number: int | None) -> int:
        """Serve a certain release from now on, None = what `CURRENT` names; returns which serves."""
        self._releases.pin(number)
        return self.current

    def hold(self, *numbers: int) -> None:
        """Keep these releases open beside the one that serves, such as the arms of an experiment.

        Raises:
            ArtifactError: one can't be opened; everything stays as it was.
        """
        self._releases.hold(frozenset(numbers))

    def releases(self) -> list[dict[str, Any]]:
        """The releases that there are, newest first, and which of them are open, serve, are pinned."""
        return self._releases.listed()

    def bursts(self) -> list[dict[str, Any]]:
        """Interests that people take up much more often right now than of late."""
        release = self._releases.current
        if release.overlay is None:
            return []
        return [
            {
                "id": int(release.interests.ids[burst.successor]),
                "description": release.interests.descriptions[burst.successor],
                "seen": round(burst.seen, 2),
                "expected": round(burst.expected, 2),
            }
            for burst in release.overlay.bursts(self._clock())
        ]

    @property
    def buffered(self) -> int:
        """Impressions that are not in their journal yet."""
        return len(self._impressions)

    @property
    def dropped(self) -> int:
        """Impressions that are lost: while they could not be written, more came than are held."""
        return self._impressions.dropped

    def close(self) -> None:
        """Write what is buffered and let go of the state."""
        try:
            self.flush()
        finally:
            self._state.close()

    def _place(self, ask: Ask) -> Place | None:
        """Where the user stands in the running experiments."""
        running = self._releases.running
        if ask.user is None or ask.release is not None or not running:
            return None
        return place_of(running, user_number(ask.user))

    def _history(self, ask: Ask) -> tuple[History, bool]:
        """What is remembered of the user, and whether that could not be read."""
        if ask.history is not None or ask.user is None:
            return History.empty(), False
        try:
            return self._state.histories([user_key(ask.user)])[0], False
        except StateError:
            return History.empty(), True  # an answer for everybody is better than none

    def _choose(
        self, release: OpenRelease, scores: NDArray[np.float64], fused: NDArray[np.float64], count: int
    ) -> Choice:
        serving = self._releases.config.serving
        policy = Policy(serving.explore, serving.temperature, serving.diversity)
        uniforms = self._draws.random(count + 1)
        return choose(scores, fused, release.likeness, count, policy, uniforms)

    def _offers(
        self,
        release: OpenRelease,
        ask: Ask,
        scores: UserScores,
        favoured: NDArray[np.float64],
        bonus: NDArray[np.float64],
        choice: Choice,
        context: Context,
    ) -> list[Offer]:
        found = []
        places, propensities = choice.places.tolist(), choice.propensities.tolist()
        for order, (place, propensity) in enumerate(zip(places, propensities, strict=True)):
            reason = "popular" if not context else "mixture" if release.fitted else "unfitted"
            if choice.drawn[order]:
                reason = "explored"
            elif len(bonus) and choice.before[order] >= ask.interests:
                reason = "live"  # it would not stand among the first without live signals
            elif favoured[place] > scores.final[place] and _rank(scores.final, place) >= ask.interests:
                reason = "feedback"  # nor without what people did with such proposals
            offer = _offer(release, place, float(scores.final[place]), propensity, reason)
            if ask.explain:
                offer.explanation = explain(release, context, scores, bonus, place)
            found.append(offer)
        return found


def _engaged(shelf: Shelf, ask: Ask, history: History) -> NDArray[np.int64]:
    """Numbers of the items that the user engaged, most recent last."""
    return shelf.engaged(history) if ask.history is None else shelf.numbers(ask.history)


def _recalled(release: OpenRelease, ask: Ask, history: History, now: int) -> Recalled:
    if ask.history is not None:
        told = np.array([release.items.get(item, -1) for item in ask.history], np.int16)
        return in_order(told, len(release.interests), now)
    user = user_number(ask.user) if ask.user is not None else 0
    return release.recall(history.interests, history.interest_times, now, user)


def _rank(scores: NDArray[np.float64], place: int) -> int:
    """How many score better."""
    return int((scores > scores[place]).sum())


def _offer(
    release: OpenRelease,
    place: int,
    score: float,
    propensity: float,
    reason: str,
) -> Offer:
    interests = release.interests
    return Offer(int(interests.ids[place]), interests.descriptions[place], score, propensity, reason)


def _fill(
    release: OpenRelease, ask: Ask, seen: Recalled, excluded: NDArray[np.bool_], offers: list[Offer]
) -> list[Offer]:
    """Where too little is new to the user: what they know, what was engaged longest ago first."""
    missing = ask.interests - len(offers)
    if missing <= 0:
        return []
    known = np.flatnonzero(seen.known & ~excluded)
    order = known[np.argsort(seen.engaged[known], kind="stable")][:missing]
    return [_offer(release, int(place), float("-inf"), 1.0, "known") for place in order]
