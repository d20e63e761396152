"""What `single_user_scorer` computes, compiled: counts, planner rows, rows of users, and their mixture."""

from __future__ import annotations

import numpy as np
from numba import njit

from freshet.core.types import RECENT
from freshet.stages.counts.planner_score import FLOOR


@njit(cache=True, nogil=True)
def row_of(user, recent, users, asked):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """`UserRows.of` one user."""
    place = _find(users, user)
    if place < 0 or recent[-1] < 0:
        return -1
    for i in range(1, asked.shape[1] + 1):
        if recent[-i] >= 0 and recent[-i] != asked[place, -i]:
            return -1
    return place


@njit(cache=True, nogil=True)
def _own_score(row, counts, users):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """`UserPart.feature` of one user."""
    successors, logp, mass, _, popularity = users
    size = len(counts)
    relative = len(popularity) > 0
    left = np.ones(size) if relative else counts
    total = np.zeros(size)
    _spread(row, successors, logp, mass, left, left.sum(), total)
    if relative:
        total *= popularity
        total /= max(total.sum(), 1e-9)
    out = np.empty(size, np.float64)
    for i in range(size):
        out[i] = np.float32(np.log(max(total[i], 1e-9)))
    return out


@njit(cache=True, nogil=True)
def user_scores(recent, excluded, bonus, logits, planned, share, near, row, users, weights, *arrays):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN201  # pragma: no cover
    """(6, N) scores by counts, planner and sequence model, fused, fused with the bonus, by the user's row."""
    size = len(excluded)
    out = np.zeros((6, size))
    count = _count_score(recent, excluded, *arrays[:14])
    _copy(count, out[0])
    _copy(count, out[3])
    if recent[-1] >= 0 and len(weights):
        mixed = np.empty(size)
        for i in range(size):
            mixed[i] = 0.0 if excluded[i] else weights[0] * count[i]
        place = 1
        if planned:
            _copy(_planner_score(recent, np.exp(count), *arrays[14:]), out[1])
            mixed += weights[place] * out[1]
            place += 1
        if len(logits):
            _copy(masked_log_softmax(logits, excluded), out[2])
            for i in range(size):
                mixed[i] += 0.0 if excluded[i] else weights[place] * out[2, i]
        if len(near):
            mixed += near
        _copy(masked_log_softmax(mixed, excluded), out[3])
    elif len(near):
        _copy(masked_log_softmax(share * count + near, excluded), out[3])
    if row >= 0:
        _copy(_own_score(row, np.exp(count), users), out[5])
        both = np.empty(size)
        for i in range(size):
            both[i] = 0.0 if excluded[i] else users[3][0] * out[3, i] + users[3][1] * out[5, i]
        _copy(masked_log_softmax(both, excluded), out[3])
    _copy(masked_log_softmax(out[3] + bonus, excluded) if len(bonus) else out[3], out[4])
    return out


@njit(cache=True, nogil=True)
def _copy(values, into):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Copy (N,) values, in a loop: numba takes two seconds to compile an assignment to a slice."""
    for i in range(len(values)):
        into[i] = values[i]


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
    told = np.empty(successors.shape[1])
    given = 0.0
    listed = 0.0
    for j in range(successors.shape[1]):
        s = successors[row, j]
        if s >= 0:
            told[j] = share * np.exp(np.float64(logp[row, j]))
            given += told[j]
            listed += left[s]
    residual = min(max(1.0 - given, 0.0), 1.0)
    rest = max(whole - listed, 0.0)
    scale = residual / rest if rest > 1e-12 else 0.0
    for i in range(len(total)):
        total[i] += scale * left[i]
    for j in range(successors.shape[1]):
        s = successors[row, j]
        if s >= 0:
            total[s] += told[j] - scale * left[s]


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
