"""What was shown, on its way to the journal: buffered, since an answer doesn't wait for the disk."""

from __future__ import annotations

import math
import threading

import orjson

from freshet.ports import State
from freshet.types import Answer

MOST = 100_000
"""Impressions held at most; those beyond are dropped and counted: a lost state must not eat the memory."""


class Impressions:
    """A buffer of what was shown; a kill loses what was not flushed."""

    def __init__(self) -> None:
        self._held: list[tuple[Answer, str, int]] = []
        self._lock = threading.Lock()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, answer: Answer, user: str, time: int) -> None:
        """Note an answer; `user` is '' for one who was not named."""
        if len(self._held) < MOST:
            self._held.append((answer, user, time))
        else:
            self.dropped += 1

    def flush(self, state: State) -> int:
        """Write what is held; returns how many.

        Raises:
            StateError: the state can't be written; nothing is lost, the next call tries again.
        """
        with self._lock:
            held = self._held[:MOST]
            if held:
                state.impressions.append([body_of(*one) for one in held])
                del self._held[: len(held)]
        return len(held)


def body_of(answer: Answer, user: str, time: int) -> bytes:
    """The journal's entry of an impression, as JSON."""
    told = {
        "id": answer.id,
        "time": time,
        "user": user,
        "release": answer.release,
        "context": answer.context_ids,
        "answered": answer.answered,
        "explored": answer.explored,
        "interests": [
            {
                "id": offer.id,
                "score": round(offer.score, 4) if math.isfinite(offer.score) else None,
                "propensity": round(offer.propensity, 6),
                "reason": offer.reason,
                "items": [item.id for item in offer.items],
            }
            for offer in answer.interests
        ],
    }
    return orjson.dumps(told)
