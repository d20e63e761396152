"""Feedback as it serves: the first proposals of a release in the order that reactions give them (best of n).

After "User Feedback Alignment" (arXiv 2504.05522), which chooses among n proposals of the planner by what
people did with such proposals before. On disk it is one `.npy` file per array and a JSON file, no pickle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.experiments.feedback.lifts import BITS, Lifts
from freshet.storage.durable import read_json, write_json
from freshet.storage.sound_reading import sound

MOST = 10.0
"""The odds of an interest are multiplied, or divided, by this at most, as by live signals."""


@dataclass(frozen=True)
class Feedback:
    """What reactions add to the scores of the first proposals of a release.

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


def write_feedback(feedback: Feedback | None, folder: Path) -> None:
    """Write feedback into a folder; None where it doesn't pay."""
    if feedback is None:
        write_json(folder / "feedback.json", {"pays": False})
        return
    np.save(folder / "keys.npy", feedback.lifts.keys, allow_pickle=False)
    np.save(folder / "values.npy", feedback.lifts.values, allow_pickle=False)
    about = {
        "pays": True,
        "k": feedback.lifts.k,
        "own": feedback.own,
        "lift": feedback.lift,
        "proposals": feedback.proposals,
    }
    write_json(folder / "feedback.json", about)


@sound
def read_feedback(folder: Path) -> Feedback | None:
    """Read what `write_feedback` wrote; None where it doesn't pay.

    Raises:
        ArtifactError: `feedback.json` is missing or damaged.
    """
    about: dict[str, Any] = read_json(folder / "feedback.json")
    if not about["pays"]:
        return None
    keys, values = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("keys", "values"))
    return Feedback(Lifts(keys, values, about["k"]), about["own"], about["lift"], about["proposals"])


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
