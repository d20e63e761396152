"""The recommender: from a query to interests and items, out of one release and what is known right now.

query -> user (history, context) -> arm of an experiment -> scores -> without what is known or ineligible
  -> policy: best or drawn, unlike each other -> items of each -> explanations -> impression
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import StateError
from freshet.core.ports import Notes, UserStore
from freshet.core.time import Clock, system_clock
from freshet.core.types import Answer, Context, History, Recommendation, User
from freshet.serving.arms import NO_EXPERIMENT, Assignment, Scored, assign, score
from freshet.serving.canary_failures import BROKEN, CanaryFailures
from freshet.serving.event_recorder import EventRecorder
from freshet.serving.impressions import Impressions
from freshet.serving.item_selection import ItemSelector
from freshet.serving.messages import Event, Query, Receipt
from freshet.serving.open_release import OpenRelease
from freshet.serving.policy import Choice, Policy, choose
from freshet.serving.reasons import explain, reasons
from freshet.serving.release_pool import ReleasePool
from freshet.serving.request_rules import Ineligible
from freshet.serving.user_context import UserContext, context_of_list
from freshet.stages.counts import NOBODY
from freshet.storage.releases import Release
from freshet.storage.user_ids import NOBODY as NOBODY_KNOWN
from freshet.storage.user_ids import People

NO_ITEMS = np.zeros(0, np.int32)
ROWS = ("popular", "last", "pair", "triple")
"""Names of rows of the table by the length of their context."""


class Recommender:
    """Answers queries out of open releases, and records events.

    `recommend` may be called from one thread while others call the rest.

    Args:
        releases: what is open; at least one.
        store: what is remembered of users, and the journals.
        clock: microseconds since 1970 (UTC), now.
        stop: called by `close`: ends what brings releases.
        people: by which names the workspace knows users, and who is forgotten, now.
        worker: number of this process among those of one server, from 0: each explores by draws of its own.
    """

    def __init__(
        self,
        releases: ReleasePool,
        store: UserStore,
        clock: Clock = system_clock,
        stop: Callable[[], None] | None = None,
        people: Callable[[], People] = lambda: NOBODY_KNOWN,
        worker: int = 0,
    ) -> None:
        self._releases = releases
        self._stop = stop
        self._people, self._finished = people, people().finished
        self._store = store
        self._clock = clock
        self._impressions = Impressions()
        self._recorder = EventRecorder(store, releases.config.events)
        mine = (worker,) if worker else ()
        self._draws = np.random.default_rng(
            np.random.SeedSequence(releases.config.serving.seed, spawn_key=mine)
        )
        self._canaries = CanaryFailures()
        self._prefix, self._numbers = uuid4().hex[:12], itertools.count()

    @property
    def notes(self) -> Notes:
        """Small values that are kept with what is remembered of users."""
        return self._store.notes

    @property
    def current(self) -> int:
        """Number of the release that answers."""
        return self._releases.current.release.number

    @property
    def release(self) -> Release:
        """The release that answers; raises NotServing where there is none."""
        return self._releases.current.release

    @property
    def releases_open(self) -> int:
        """How many are in memory."""
        return len({one.release.number for one in self._releases.open()})

    def recommend(self, query: Query) -> Answer:
        """Which interests, and which items of them, to show now; all out of one release.

        A user who takes part in a running experiment is answered as their arm is, unless a release was named.

        Raises:
            NotServing: no release is open.
            ArtifactError: the release that the query names is not open.
        """
        user = self._user(query)
        now = self._clock() if query.now is None else query.now
        uniforms = self._draws.random(query.interests + 1)
        assigned, explore = self._assignment(query, user), self._releases.config.serving.explore
        try:
            answer = self._answer(query, user, assigned, now, explore, uniforms)
        except BROKEN:
            if not assigned.canary:
                raise
            self._canaries.failed(assigned.experiment)
            answer = self._answer(query, user, NO_EXPERIMENT, now, explore, uniforms)
        answer.id = f"{self._prefix}{next(self._numbers):x}"
        if query.log:
            self._impressions.add(answer, user.id if user is not None else "", now)
        return answer

    def preview(self, query: Query, explore: bool = False) -> Answer:
        """What `recommend` would answer, without a trace: no impression, no id, no draw that others' follow.

        May be called from any thread.

        Args:
            explore: draw interests as requests that explore do; else the best are taken.

        Raises:
            NotServing, ArtifactError: as `recommend`.
        """
        now = self._clock() if query.now is None else query.now
        uniforms = np.random.default_rng().random(query.interests + 1)
        user = self._user(query)
        return self._answer(query, user, self._assignment(query, user), now, float(explore), uniforms)

    def explore(self, query: Query) -> Answer:
        """Deprecated: the former name of `recommend`."""
        warnings.warn("Recommender.explore is now called recommend", DeprecationWarning, stacklevel=2)
        return self.recommend(query)

    def record(self, events: Sequence[Event], oldest_days: float = math.inf) -> list[Receipt]:
        """Remember events; they are durable, and in the live signals, when this returns.

        Args:
            oldest_days: events that lie further back are refused.

        Raises:
            StateError: the user store can't be written; none of the events was remembered.
        """
        receipts = self._recorder.record(
            self._releases.current, events, self._clock(), oldest_days, self._people()
        )
        self.follow()
        return receipts

    def follow(self) -> int:
        """Fold what the journal has got since, by whichever process, into the live signals; returns how many.

        Raises:
            StateError: the journal can't be read.
        """
        now = self._clock()
        return sum(release.catch_up(self._store.events, now) for release in self._releases.open())

    def flush(self) -> int:
        """Write impressions to their journal; returns how many.

        Raises:
            StateError: they can't be written; they are kept for the next call.
        """
        return self._impressions.flush(self._store, self._people().as_stored())

    def reload(self) -> bool:
        """Serve what `CURRENT` names now, and by the settings as they are now; whether anything changed.

        Raises:
            FreshetError: the new release can't be opened, or the settings are wrong; the old ones serve on.
                Settings that are right count even where the release can't be opened.
            StateError: people were forgotten, and the user store can't be seen to; call again.
        """
        try:
            changed = self._releases.reload()
        finally:
            self._recorder.configure(self._releases.config.events)
        finished = self._people().finished
        if finished != self._finished:  # what was erased may stand in this process's buffers
            self._store.erase((), lambda _: False)
            self._finished = finished
        return changed

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
        return self._releases.current.bursts(self._clock())

    @property
    def buffered(self) -> int:
        """Impressions that are not in their journal yet."""
        return len(self._impressions)

    @property
    def dropped(self) -> int:
        """Impressions that are lost: while they could not be written, more came than are held."""
        return self._impressions.dropped

    @property
    def canary_failures(self) -> int:
        """Queries that a canary failed to answer; the release of everybody else answered them."""
        return self._canaries.total

    def close(self) -> None:
        """Write what is buffered and let go of the user store."""
        if self._stop is not None:
            self._stop()
        try:
            self.flush()
        finally:
            self._store.close()

    def _user(self, query: Query) -> User | None:
        """The query's user by the id that is stored, None if it names nobody."""
        return None if query.user is None else User.of(self._people().stored(query.user))

    def _answer(
        self,
        query: Query,
        user: User | None,
        assigned: Assignment,
        now: int,
        explore: float,
        uniforms: NDArray[np.float64],
    ) -> Answer:
        """The answer to a query, without an id; nothing is kept of it.

        Args:
            assigned: the user's arm of an experiment.
            explore: share of requests that explore.
            uniforms: (interests + 1,) as of `policy.choose`.
        """
        release = assigned.release or self._releases.named(query.release)
        history, degraded = self._history(query, user)
        seen = _context(release, query, user, history, now)
        context = release.context(seen)

        config = self._releases.config
        ineligible = release.rules.ineligible(query.attributes, seen.recent[-release.k :])
        excluded = seen.known | ineligible.interests
        use_feedback = config.feedback.use
        engaged = _last_items(release, query, history)
        profile = NOBODY if release.content is None else release.content.profile(engaged)
        number, strategy = -1 if user is None else user.number, assigned.strategy
        scored = score(
            release, strategy, seen.recent, excluded, now, profile, number, use_feedback=use_feedback
        )

        policy = Policy(explore, config.serving.temperature, config.serving.diversity)
        fused, count = scored.parts.fused, query.interests
        choice = choose(scored.preferred, fused, release.similarity, count, policy, uniforms)

        shown = _chosen(release, query, context, engaged, scored, choice)
        shown += _known_again(release, seen, ineligible, count - len(shown))
        if query.items and release.selector is not None:
            _add_items(release, release.selector, query, history, ineligible, shown)
        return Answer(
            id="",
            release=release.release.number,
            context=tuple(release.interests.descriptions[i] for i in context),
            context_ids=tuple(int(release.interests.ids[i]) for i in context),
            answered=ROWS[release.table.answered(context)],
            explored=choice.explored,
            interests=tuple(shown),
            degraded=degraded,
            experiment=assigned.experiment,
            arm=assigned.arm,
        )

    def _assignment(self, query: Query, user: User | None) -> Assignment:
        """What answers the query: the user's arm of a running experiment, else a release as published."""
        running = self._releases.running
        if user is None or query.release is not None or not running:
            return NO_EXPERIMENT
        found = assign(running, user)
        return NO_EXPERIMENT if found.canary and self._canaries.given_up(found.experiment) else found

    def _history(self, query: Query, user: User | None) -> tuple[History, bool]:
        """What is remembered of the user, and whether that could not be read."""
        if query.history is not None or user is None:
            return History.empty(), False
        try:
            return self._store.histories([user.key])[0], False
        except StateError:
            return History.empty(), True  # an answer for everybody is better than none


def _context(
    release: OpenRelease, query: Query, user: User | None, history: History, now: int
) -> UserContext:
    """The user context by the history that the query brings, else by the remembered one."""
    if query.history is not None:
        given = np.array([release.items.get(item, -1) for item in query.history], np.int16)
        return context_of_list(given, len(release.interests), now)
    number = 0 if user is None else user.number
    return release.user_context(history.interests, history.interest_times, now, number)


def _last_items(release: OpenRelease, query: Query, history: History) -> NDArray[np.int32]:
    """Numbers of the items that the user engaged last, as content knows them."""
    if release.content is None:
        return NO_ITEMS
    return release.content.last(history) if query.history is None else release.content.listed(query.history)


def _chosen(
    release: OpenRelease,
    query: Query,
    context: Context,
    engaged: NDArray[np.int32],
    scored: Scored,
    choice: Choice,
) -> list[Recommendation]:
    """What the policy chose, explained where the query wants that."""
    found = []
    columns = choice.interests.tolist(), choice.propensities.tolist()
    why = reasons(release, context, scored, choice, query.interests)
    for interest, propensity, reason in zip(*columns, why, strict=True):
        one = _recommendation(release, interest, float(scored.parts.final[interest]), propensity, reason)
        if query.explain:
            one.explanation = explain(release, context, engaged, scored, interest)
        found.append(one)
    return found


def _known_again(
    release: OpenRelease, seen: UserContext, ineligible: Ineligible, missing: int
) -> list[Recommendation]:
    """Where too little is new to the user: `missing` of what they know, engaged longest ago first."""
    if missing <= 0:
        return []
    known = np.flatnonzero(seen.known & ~ineligible.interests)
    order = known[np.argsort(seen.engaged[known], kind="stable")][:missing]
    return [_recommendation(release, int(interest), -math.inf, 1.0, "known") for interest in order]


def _add_items(
    release: OpenRelease,
    selector: ItemSelector,
    query: Query,
    history: History,
    ineligible: Ineligible,
    shown: Sequence[Recommendation],
) -> None:
    """Give each recommendation up to `query.items` items."""
    own = query.history
    engaged = selector.engaged(history) if own is None else selector.numbers(own)
    interests = [int(release.index[one.id]) for one in shown]
    items = selector.select(interests, engaged, query.exclude, ineligible.items, query.items)
    for one, some in zip(shown, items, strict=True):
        one.items = some


def _recommendation(
    release: OpenRelease, interest: int, score: float, propensity: float, reason: str
) -> Recommendation:
    known = release.interests
    return Recommendation(int(known.ids[interest]), known.descriptions[interest], score, propensity, reason)
