"""What was shown, on its way to the journal: buffered, since an answer doesn't wait for the disk."""

from __future__ import annotations

import math
import threading

import orjson

from freshet.core.ports import UserStore
from freshet.core.types import Answer

MOST = 64 << 20
"""Bytes held at most; impressions beyond are dropped and counted: a lost state must not eat the memory."""
TOGETHER = 500
"""Impressions written in one go."""


class Impressions:
    """A buffer of what was shown, as its journal keeps it; a kill loses what was not flushed.

    Attributes:
        dropped: how many found no room.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._bytes = 0
        self._lock = threading.Lock()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, answer: Answer, user: str, time: int) -> None:
        """Note an answer; `user` is '' for one who was not named."""
        body = body_of(answer, user, time)
        if self._bytes + len(body) > MOST:
            self.dropped += 1
            return
        self._held.append(body)
        self._bytes += len(body)

    def flush(self, state: UserStore) -> int:
        """Write what is held; returns how many.

        Raises:
            StateError: the state can't be written; the next call goes on with what was not.
        """
        written = 0
        with self._lock:
            for _ in range(-(-len(self._held) // TOGETHER)):  # what comes meanwhile waits for the next call
                some = self._held[:TOGETHER]
                state.impressions.append(some)
                del self._held[: len(some)]
                self._bytes -= sum(map(len, some))
                written += len(some)
        return written


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
        "experiment": answer.experiment,
        "arm": answer.arm,
        "interests": [
            {
                "id": offer.id,
                "score": round(offer.score, 4) if math.isfinite(offer.score) else None,
                "propensity": offer.propensity,
                "reason": offer.reason,
                "items": [item.id for item in offer.items],
            }
            for offer in answer.interests
        ],
    }
    return orjson.dumps(told)
