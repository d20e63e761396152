"""The fitted mixture for one user at a time: what `Scorer` computes, compiled, for answers in microseconds.

Numbers are computed in the same order and precision as there; a test holds both against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import CONTENT, BoolArray
from freshet.stages.counts.compiled_scores import row_of, user_scores
from freshet.stages.counts.content_score import NOBODY, user_content_score
from freshet.stages.counts.count_model import ContextCounts, CountModel
from freshet.stages.counts.planner_score import PlannerScores
from freshet.stages.counts.scorer import LENGTHS, Scorer
from freshet.stages.counts.user_part import UserPart

Reader = Callable[[NDArray[np.int16]], NDArray[np.float32]]

NOTHING = np.zeros(0)
ONE = np.ones(1, np.float32)
"""The mass of every row where the planner chose among all interests."""
NO_LOGITS = np.zeros(0, np.float32)
NOTHING_NEAR = np.zeros(0, np.float32)


@dataclass(slots=True)
class UserScores:
    """Log-probabilities of every interest for one user, each (N,), -inf where excluded.

    `planner` and `sequence` are what enters the mixture, None where there is none; `final` is `fused` with
    what live signals change. `content` are the nats that content adds, up to a constant; None without.
    `own` are those by the user's own row, which is row `row` of the release's; None and -1 without one.
    """

    count: NDArray[np.float64]
    planner: NDArray[np.float64] | None
    sequence: NDArray[np.float64] | None
    fused: NDArray[np.float64]
    final: NDArray[np.float64]
    content: NDArray[np.float32] | None = None
    own: NDArray[np.float64] | None = None
    row: int = -1


class SingleUserScorer:
    """Scores one user by the mixture of a scorer.

    Args:
        scorer: the mixture; its arrays are read where they are.
        reader: logits (N,) of the scorer's sequence model for one user's recent interests (RECENT,), which is
            quicker; None = it is called as the scorer calls it.
    """

    def __init__(self, scorer: Scorer, reader: Reader | None = None) -> None:
        model = scorer.model
        weights = np.broadcast_to(scorer.count_weights, (LENGTHS, scorer.count_weights.shape[-1]))
        kinds = len(model.popularity)
        self._arrays = (
            np.zeros(0) if scorer.weights is None else scorer.weights.astype(np.float64),
            len(model.tables),
            np.ascontiguousarray(weights[:, :kinds] @ model.popularity.astype(np.float32)),
            np.ascontiguousarray(weights[:, kinds:]),
            model.base,
            model.last,
            np.array(model.prior_counts),
            *_flat(model, 0),
            *_flat(model, 1),
            *_rows(scorer.planner),
        )
        self._users = _user_rows(scorer.users)
        self._content = scorer.content
        if scorer.content is not None:
            spaces = scorer.content.centroids
            self._unknown = np.zeros(spaces.width, np.float32)
            self._spaces = np.ascontiguousarray(spaces.text), np.ascontiguousarray(spaces.engaged)
        self._planned = scorer.planner is not None
        self._logits = reader
        if reader is None and (sequence := scorer.sequence) is not None:
            self._logits = lambda recent: sequence(recent[None], model.popularity)[0]

    def __call__(
        self,
        recent: NDArray[np.int16],
        excluded: BoolArray,
        bonus: NDArray[np.float64] = NOTHING,
        profile: NDArray[np.float32] = NOBODY,
        user: int = -1,
    ) -> UserScores:
        """Score one user.

        Args:
            recent: (RECENT,) most recent interests, most recent last, right-aligned, -1 padded.
            excluded: (N,) interests that are not candidates.
            bonus: (N,) nats that live signals add, or empty.
            profile: (a + b + N,) what is known of the user's items, see `ContentView`; empty = nothing.
            user: their number, whose own row then counts; -1 = it is not known.
        """
        logits = NO_LOGITS
        planned = self._planned
        if recent[-1] < 0:
            planned = False
        elif self._logits is not None:
            logits = self._logits(recent)
        share, near = self._near(recent, profile)
        row = row_of(np.uint64(user), recent, *self._users[:2]) if user >= 0 else -1
        count, planner, sequence, fused, final, own = user_scores(
            recent, excluded, bonus, logits, planned, share, near, row, self._users[2:], *self._arrays
        )
        return UserScores(
            count,
            planner if planned else None,
            sequence if len(logits) else None,
            fused,
            final,
            near if len(near) else None,
            own if row >= 0 else None,
            row,
        )

    def content_weights(self, has_context: bool) -> NDArray[np.float64]:
        """(5,) weights of the features of `types.CONTENT` for users with, or without, recent interests."""
        part = self._content
        if part is not None and has_context:
            return part.weights
        if part is None or part.without_context is None:
            return np.zeros(len(CONTENT))
        return part.without_context[1:]

    def _near(
        self, recent: NDArray[np.int16], profile: NDArray[np.float32]
    ) -> tuple[float, NDArray[np.float32]]:
        """Weight of the count score without recent interests; (N,) nats that content adds, or empty."""
        part = self._content
        if part is None:
            return 1.0, NOTHING_NEAR
        if not len(profile):
            profile = self._unknown
        if recent[-1] >= 0:
            weights, share = part.weights, 1.0
        elif part.without_context is not None and profile.any():
            weights, share = part.without_context[1:], float(part.without_context[0])
        else:
            return 1.0, NOTHING_NEAR
        return share, user_content_score(recent, profile, weights, *self._spaces)


def _flat(model: CountModel, place: int) -> tuple[NDArray[np.generic], ...]:
    """Arrays of the counts after pairs (place 0) or triples (1); empty ones where there are none."""
    if place < len(model.tables):
        table: ContextCounts = model.tables[place]
        return table.codes, table.start, table.successor, table.weight
    return np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int16), np.zeros(0)


def _rows(scores: PlannerScores | None) -> tuple[object, ...]:
    """Arrays of the planner's rows; empty ones without a planner."""
    if scores is None:
        codes = np.zeros(0, np.int64)
        return (
            codes,
            codes,
            1,
            np.zeros((0, 1), np.int16),
            np.zeros((0, 1), np.float32),
            ONE,
            False,
            np.zeros(0),
        )
    rows = scores.rows
    relative = scores.popularity is not None
    popularity = scores.popularity if scores.popularity is not None else np.zeros(0)
    return (
        scores.sorted_codes,
        scores.order,
        rows.contexts.shape[1],
        np.asarray(rows.successors),  # a view: what is mapped stays mapped
        np.asarray(rows.logp),
        ONE if rows.lists is None else np.asarray(rows.lists.mass),
        relative,
        popularity,
    )


def _user_rows(part: UserPart | None) -> tuple[object, ...]:
    """Users, the interests asked about, rows, mass, weights, popularity; empty ones without rows."""
    if part is None:
        nobody, nothing = np.zeros(0, np.uint64), np.zeros((0, 1), np.int16)
        return nobody, nothing, nothing, np.zeros((0, 1), np.float32), ONE, np.zeros(2), np.zeros(0)
    rows = part.rows.rows
    return (
        np.asarray(part.rows.user),  # views: what is mapped stays mapped
        np.asarray(rows.contexts),
        np.asarray(rows.successors),
        np.asarray(rows.logp),
        ONE if rows.lists is None else np.asarray(rows.lists.mass),
        part.weights.astype(np.float64),
        part.popularity if part.popularity is not None else np.zeros(0),
    )
