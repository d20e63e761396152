"""Scoring users and contexts with the fitted mixture: one code for the table, evaluation and serving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import (
    CONTENT,
    RECENT,
    BoolArray,
    Centroids,
    ContentView,
    Mixture,
    Scores,
    Transitions,
)
from freshet.stages.counts.content_score import content_features, content_weights, has_profile
from freshet.stages.counts.count_model import CountModel
from freshet.stages.counts.mixture import Held, log_softmax, scores
from freshet.stages.counts.planner_score import PlannerScores
from freshet.stages.counts.user_part import UserPart

COUNTS, PLANNER, SEQUENCE = FUSED = "counts", "planner", "sequence"
"""Names of the scores that are fused, in this order: log-probability by counts, planner, sequence model.
Features of content come after them."""

SequenceLogits = Callable[[NDArray[np.int16], NDArray[np.float64]], NDArray[np.float32]]
"""(recent (n, RECENT), log-popularity (P, N)) -> logits (n, N); of a `SequenceModel`."""

LENGTHS = 3
"""Users are weighted by how many recent interests they have: none, one, several."""


def length_class(recent: NDArray[np.int16]) -> NDArray[np.int64]:
    """(n,) 0, 1 or 2: no, one, or several recent interests (n, R)."""
    return np.asarray(np.minimum((recent >= 0).sum(axis=1), LENGTHS - 1))


@dataclass(frozen=True)
class ContentPart:
    """What content adds to a mixture.

    Attributes:
        centroids: of the interests.
        weights: (5,) of the features of `types.CONTENT`; 0 = not used.
        without_context: (1 + 5,) weights of the count score and of the features, for users who have items but
            no recent interest; None = those are scored by counts.
    """

    centroids: Centroids
    weights: NDArray[np.float64]
    without_context: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls, centroids: Centroids | None, used: Mixture | None, without_context: Mixture | None
    ) -> ContentPart | None:
        """The part of fitted mixtures; None where content is in none of them."""
        weights, alone = np.zeros(len(CONTENT)), None
        if used is not None:
            weights = content_weights(used.names, used.weights)
        if without_context is not None:
            own = content_weights(without_context.names, without_context.weights)
            alone = np.append(without_context.weights[0], own)
        if centroids is None or (alone is None and not weights.any()):
            return None
        return cls(centroids, weights, alone)


@dataclass(frozen=True)
class Scorer:
    """Scores of every interest for users with given recent interests.

    Attributes:
        model: counts before a moment.
        count_weights: (LENGTHS, F) weights of the count features by length class; (F,) for all alike.
        planner: planner rows, or None.
        weights: of the count score, then of the planner's and the sequence model's as far as they are given;
            None = count scores and content alone.
        sequence: logits of a sequence model, or None.
        content: what content adds, or None.
        users: what rows of single users add on top of all that, or None.
    """

    model: CountModel
    count_weights: NDArray[np.float64]
    planner: PlannerScores | None = None
    weights: NDArray[np.float64] | None = None
    sequence: SequenceLogits | None = None
    content: ContentPart | None = None
    users: UserPart | None = None

    def __call__(
        self,
        recent: NDArray[np.int16],
        excluded: BoolArray,
        profiles: NDArray[np.float32] | None = None,
        user: NDArray[np.uint64] | None = None,
    ) -> Scores:
        """Score n users, or n contexts as users who have just that context.

        A user with no recent interest is scored by counts and the items they engaged: there is nothing to
        plan from.

        Args:
            recent: (n, up to RECENT) right-aligned, -1 padded.
            excluded: (n, N) interests that are not candidates.
            profiles: (n, a + b + N) what is known of the users' items, see `ContentView`; None = nothing.
            user: (n,) numbers of the users, whose own rows then count; None = they are not known.
        """
        recent = padded(recent)
        scored = self._without_rows(recent, excluded, profiles)
        if self.users is None or user is None:
            return scored
        return replace(scored, fused=self.users.added(scored.fused, scored.count, user, recent, excluded))

    def _without_rows(
        self, recent: NDArray[np.int16], excluded: BoolArray, profiles: NDArray[np.float32] | None
    ) -> Scores:
        """What `__call__` gives for users who have no row of their own."""
        count = self.by_counts(recent, excluded)
        if self.weights is None:
            return Scores(None, count, count)
        planner = self._planner(recent, count)
        sequence = self.by_sequence(recent, excluded, count)
        features = _features(count, planner, sequence, excluded)
        mixed = np.add.reduce([weight * each for weight, each in zip(self.weights, features, strict=True)])
        alone = None if planner is None else log_softmax(planner.astype(np.float64), excluded)
        unplanned = count
        if self.content is not None:
            near = content_features(self.content.centroids, recent, profiles)
            mixed = mixed + scores(near, self.content.weights)
            unplanned = self._without_context(near, profiles, count, excluded)
        fused = np.where(recent[:, -1:] >= 0, log_softmax(mixed, excluded), unplanned)
        return Scores(alone, count, fused, sequence)

    def rows(self, rows: Transitions, view: ContentView | None = None) -> Scores:
        """Score the users of transitions as they were before each.

        Args:
            view: tells what they had engaged; None = that is not known.
        """
        return self(rows.recent, rows.known, None if view is None else view.profiles(rows), rows.user)

    def features(self, rows: Transitions, view: ContentView | None = None) -> NDArray[np.float32]:
        """(n, F, N) what is fused, 0 where excluded: scores as far as there are, then content with a view."""
        recent, excluded = rows.recent, rows.known
        count = self.by_counts(recent, excluded)
        sequence = self.by_sequence(recent, excluded, count)
        parts = _features(count, self._planner(recent, count), sequence, excluded)
        found = np.stack(parts, axis=1).astype(np.float32)
        if view is None:
            return found
        near = content_features(view.centroids, recent, view.profiles(rows))
        return np.concatenate([found, np.where(excluded[:, None], np.float32(0), near)], axis=1)

    def by_sequence(
        self, recent: NDArray[np.int16], excluded: BoolArray, count: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """(n, N) log-probabilities by the sequence model alone; by counts where nothing is recent."""
        if self.sequence is None:
            return None
        logits = self.sequence(recent, self.model.popularity).astype(np.float64)
        return np.where(recent[:, -1:] >= 0, log_softmax(logits, excluded), count)

    def _planner(self, recent: NDArray[np.int16], count: NDArray[np.float64]) -> NDArray[np.float32] | None:
        return None if self.planner is None else self.planner.feature(recent, np.exp(count))

    def _without_context(
        self,
        near: NDArray[np.float32],
        profiles: NDArray[np.float32] | None,
        count: NDArray[np.float64],
        excluded: BoolArray,
    ) -> NDArray[np.float64]:
        """(n, N) scores of users with no recent interest: by counts and, where any is known, their items."""
        assert self.content is not None
        weights = self.content.without_context
        if weights is None:
            return count
        mixed = weights[0] * np.where(excluded, 0.0, count) + scores(near, weights[1:])
        return np.where(has_profile(profiles, len(count))[:, None], log_softmax(mixed, excluded), count)

    def by_counts(self, recent: NDArray[np.int16], excluded: BoolArray) -> NDArray[np.float64]:
        """(n, N) log-probabilities by counts alone, for (n, RECENT) recent interests."""
        weights = np.broadcast_to(self.count_weights, (LENGTHS, self.count_weights.shape[-1]))
        return log_softmax(scores(self.model.features(recent), weights[length_class(recent)]), excluded)


def held_by_counts(model: CountModel, held: Transitions) -> Held:
    """Held-out transitions with the features of counts from before them."""
    return Held(model.features(held.recent), held.known, held.successor, held.user)


def held_by_all(scorer: Scorer, held: Transitions, view: ContentView | None = None) -> Held:
    """Held-out transitions with the features that are fused.

    Args:
        scorer: the fitted counts before the window, planner rows made with evidence from before the window,
            and a sequence model that had not seen the window, as far as they are there.
        held: transitions of the window.
        view: content that had not seen the window; None = without its features.
    """
    return Held(scorer.features(held, view), held.known, held.successor, held.user)


def _features(
    count: NDArray[np.float64],
    planner: NDArray[np.float32] | None,
    sequence: NDArray[np.float64] | None,
    excluded: BoolArray,
) -> list[NDArray[np.float64] | NDArray[np.float32]]:
    """What is fused, in the order of FUSED, each (n, N); finite where excluded."""
    parts: list[NDArray[np.float64] | NDArray[np.float32]] = [np.where(excluded, 0.0, count)]
    if planner is not None:
        parts.append(planner)
    if sequence is not None:
        parts.append(np.where(excluded, 0.0, sequence))
    return parts


def padded(recent: NDArray[np.int16]) -> NDArray[np.int16]:
    """(n, RECENT) recent interests of contexts (n, k), right-aligned, -1 padded."""
    out = np.full((len(recent), RECENT), -1, np.int16)
    out[:, RECENT - recent.shape[1] :] = recent
    return out
