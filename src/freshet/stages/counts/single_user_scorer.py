"""The fitted mixture for one user at a time: what `Scorer` computes, compiled, for answers in microseconds.

Numbers are computed in the same order and precision as there; a test holds both against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.types import CONTENT, RECENT, BoolArray
from freshet.stages.counts.content_score import NOBODY, user_content_score
from freshet.stages.counts.count_model import ContextCounts, CountModel
from freshet.stages.counts.planner_score import FLOOR, PlannerScores
from freshet.stages.counts.scorer import LENGTHS, Scorer

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
    """

    count: NDArray[np.float64]
    planner: NDArray[np.float64] | None
    sequence: NDArray[np.float64] | None
    fused: NDArray[np.float64]
    final: NDArray[np.float64]
    content: NDArray[np.float32] | None = None


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
    ) -> UserScores:
        """Score one user.

        Args:
            recent: (RECENT,) most recent interests, most recent last, right-aligned, -1 padded.
            excluded: (N,) interests that are not candidates.
            bonus: (N,) nats that live signals add, or empty.
            profile: (a + b + N,) what is known of the user's items, see `ContentView`; empty = nothing.
        """
        logits = NO_LOGITS
        planned = self._planned
        if recent[-1] < 0:
            planned = False
        elif self._logits is not None:
            logits = self._logits(recent)
        share, near = self._near(recent, profile)
        count, planner, sequence, fused, final = _scores(
            recent, excluded, bonus, logits, planned, share, near, *self._arrays
        )
        return UserScores(
            count,
            planner if planned else None,
            sequence if len(logits) else None,
            fused,
            final,
            near if len(near) else None,
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


@njit(cache=True, nogil=True)
def _scores(recent, excluded, bonus, logits, planned, share, near, weights, *arrays):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202  # pragma: no cover
    """(5, N) scores by counts, planner and sequence model, fused, and fused with the bonus."""
    size = len(excluded)
    out = np.zeros((5, size))
    count = _count_score(recent, excluded, *arrays[:14])
    out[0] = count
    out[3] = count
    if recent[-1] >= 0 and len(weights):
        mixed = np.empty(size)
        for i in range(size):
            mixed[i] = 0.0 if excluded[i] else weights[0] * count[i]
        place = 1
        if planned:
            out[1] = _planner_score(recent, np.exp(count), *arrays[14:])
            mixed += weights[place] * out[1]
            place += 1
        if len(logits):
            out[2] = masked_log_softmax(logits, excluded)
            for i in range(size):
                mixed[i] += 0.0 if excluded[i] else weights[place] * out[2, i]
        if len(near):
            mixed += near
        out[3] = masked_log_softmax(mixed, excluded)
    elif len(near):
        out[3] = masked_log_softmax(share * count + near, excluded)
    out[4] = masked_log_softmax(out[3] + bonus, excluded) if len(bonus) else out[3]
    return out


@njit(cache=True, nogil=True)
def masked_log_softmax(scores, excluded):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """(N,) log-probabilities over what is not excluded; -inf where it is."""
    size = len(scores)
    out = np.empty(size, np.float64)
    top = -np.inf
    for i in range(size):
        if not excluded[i] and scores[i] > top:
            top = scores[i]
    total = 0.0
    for i in range(size):
        if not excluded[i]:
            total += np.exp(scores[i] - top)
    shift = top + np.log(total) if total > 0 else 0.0
    for i in range(size):
        out[i] = -np.inf if excluded[i] else scores[i] - shift
    return out


@njit(cache=True, nogil=True)
def _find(codes, wanted):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Place of a number among ascending ones, -1 where it is not there."""
    low, high = 0, len(codes)
    while low < high:
        middle = (low + high) // 2
        if codes[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < len(codes) and codes[low] == wanted else -1


@njit(cache=True, nogil=True)
def _code(recent, length):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """`context_codes` of the last `length` interests."""
    code = np.int64(0)
    for i in range(len(recent) - length, len(recent)):
        code = (code << 15) + np.int64(recent[i]) + 1
    return code


@njit(cache=True, nogil=True)
def _deeper(shares, codes, start, successor, weight, code, strength):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    """Shares after a context, from those after one interest less."""
    place = _find(codes, code)
    if place < 0:
        return shares
    total = 0.0
    for entry in range(start[place], start[place + 1]):
        total += weight[entry]
    out = strength * shares
    for entry in range(start[place], start[place + 1]):
        out[successor[entry]] += weight[entry]
    return out / (total + strength)


@njit(cache=True, nogil=True)
def _count_score(  # type: ignore[no-untyped-def]  # noqa: ANN202  # pragma: no cover - compiled
    recent,  # noqa: ANN001
    excluded,  # noqa: ANN001
    tables,  # noqa: ANN001
    popular,  # noqa: ANN001
    weights,  # noqa: ANN001
    base,  # noqa: ANN001
    last,  # noqa: ANN001
    prior_counts,  # noqa: ANN001
    pair_codes,  # noqa: ANN001
    pair_start,  # noqa: ANN001
    pair_successor,  # noqa: ANN001
    pair_weight,  # noqa: ANN001
    triple_codes,  # noqa: ANN001
    triple_start,  # noqa: ANN001
    triple_successor,  # noqa: ANN001
    triple_weight,  # noqa: ANN001
):
    held = 0
    for i in range(len(recent)):
        if recent[i] >= 0:
            held += 1
    kind = min(held, len(popular) - 1)
    scores = popular[kind].copy()
    weight = weights[kind]
    shares = last[recent[-1]] if recent[-1] >= 0 else base
    for i in range(len(scores)):
        scores[i] += weight[0] * np.float32(np.log(shares[i]))
    if tables >= 1:
        if recent[-2] >= 0 and recent[-1] >= 0:
            code = _code(recent, 2)
            shares = _deeper(
                shares, pair_codes, pair_start, pair_successor, pair_weight, code, prior_counts[1]
            )
        for i in range(len(scores)):
            scores[i] += weight[1] * np.float32(np.log(shares[i]))
    if tables >= 2:
        if recent[-3] >= 0 and recent[-2] >= 0 and recent[-1] >= 0:
            code = _code(recent, 3)
            shares = _deeper(
                shares, triple_codes, triple_start, triple_successor, triple_weight, code, prior_counts[2]
            )
        for i in range(len(scores)):
            scores[i] += weight[2] * np.float32(np.log(shares[i]))
    mean = base
    if held > 0:
        mean = np.zeros(len(base))
        for i in range(len(recent)):
            if recent[i] >= 0:
                mean += last[recent[i]]
        mean /= held
    for i in range(len(scores)):
        scores[i] += weight[-1] * np.float32(np.log(mean[i]))
    return masked_log_softmax(scores, excluded)


@njit(cache=True, nogil=True)
def _spread(row, successors, logp, mass, left, whole, total):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    """Add the probabilities of one planner row; what it leaves open follows `left`, whose sum is `whole`."""
    share = np.float64(mass[row if len(mass) > 1 else 0])
    given = 0.0
    listed = 0.0
    for j in range(successors.shape[1]):
        s = successors[row, j]
        if s >= 0:
            given += share * np.exp(np.float64(logp[row, j]))
            listed += left[s]
    residual = min(max(1.0 - given, 0.0), 1.0)
    rest = max(whole - listed, 0.0)
    scale = residual / rest if rest > 1e-12 else 0.0
    for i in range(len(total)):
        total[i] += scale * left[i]
    for j in range(successors.shape[1]):
        s = successors[row, j]
        if s >= 0:
            total[s] += share * np.exp(np.float64(logp[row, j])) - scale * left[s]


@njit(cache=True, nogil=True)
def _planner_score(recent, counts, codes, order, width, successors, logp, mass, relative, popularity):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    size = len(counts)
    left = np.ones(size) if relative else counts
    whole = left.sum()
    total = np.zeros(size)
    looked_up = 0
    last = np.int64(recent[-1]) + 1
    if width == 1:
        place = _find(codes, last)
        if place >= 0:
            _spread(order[place], successors, logp, mass, left, whole, total)
            looked_up += 1
    else:
        for i in range(len(recent) - 1):
            if recent[i] < 0 and (i < len(recent) - 2 or recent[-2] >= 0):
                continue
            place = _find(codes, ((np.int64(recent[i]) + 1) << 15) + last)
            if place >= 0:
                _spread(order[place], successors, logp, mass, left, whole, total)
                looked_up += 1
        if width > 2 and recent[-3] >= 0:
            place = _find(codes, _code(recent, 3))
            if place >= 0:
                _spread(order[place], successors, logp, mass, left, whole, total)
                looked_up += 1
    if looked_up == 0:
        total = counts
    else:
        total /= looked_up
        if relative:
            total *= popularity
            total /= max(total.sum(), 1e-9)
    out = np.empty(size, np.float64)
    for i in range(size):
        out[i] = np.float32(np.log(max(total[i], 1e-9)))
    return out


assert FLOOR == 1e-9  # compiled code above can't read it
assert RECENT >= 3
