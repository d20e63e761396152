"""The best of n: the first proposals of a release, in the order that reactions give them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.experiments.feedback.lifts import BITS, Lifts

MOST = 10.0
"""The odds of an interest are multiplied, or divided, by this at most, as by live signals."""


@dataclass(frozen=True)
class Feedback:
    """What reactions add to the scores of the first proposals.

    Attributes:
        lifts: of successors anywhere, and after contexts.
        own, lift: nats of score that a nat of the one and of the other is worth.
        proposals: how many of the best are looked at.
    """

    lifts: Lifts
    own: float
    lift: float
    proposals: int

    def bonus(self, scores: NDArray[np.float64], context: NDArray[np.int16]) -> NDArray[np.float64]:
        """(N,) nats to add to log-probabilities; 0 behind the first proposals, and where nothing is known.

        Args:
            scores: (N,) log-probabilities, -inf for what may not be chosen.
            context: (k,) the user's context, most recent last, right-aligned, -1 padded.
        """
        lifts = self.lifts
        return np.asarray(
            _bonus(
                scores,
                context[-lifts.k :],
                lifts.keys,
                lifts.values,
                self.own,
                self.lift,
                math.log(MOST),
                self.proposals,
            )
        )


@njit(cache=True, nogil=True)
def _value(keys, values, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    place = np.searchsorted(keys, key)
    return values[place] if place < len(keys) and keys[place] == key else 0.0


@njit(cache=True, nogil=True)
def _bonus(scores, context, keys, values, own, lift, most, proposals):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    size = len(scores)
    out = np.zeros(size)
    taken = np.zeros(size, np.bool_)
    for _ in range(proposals):
        best = -1
        for s in range(size):
            if not taken[s] and scores[s] > -np.inf and (best < 0 or scores[s] > scores[best]):
                best = s
        if best < 0:
            break
        taken[best] = True
        total = own * _value(keys, values, np.int64(best))
        code = np.int64(0)
        unit = np.int64(1)
        for length in range(1, len(context) + 1):
            interest = np.int64(context[len(context) - length])
            if interest < 0:
                break
            code += (interest + 1) * unit
            unit <<= BITS
            total += lift * _value(keys, values, (code << BITS) + best)
        out[best] = min(max(total, -most), most)
    return out
