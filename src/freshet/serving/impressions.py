"""What was shown, on its way to the journal: buffered, since an answer doesn't wait for the disk."""

from __future__ import annotations

import math
import threading

import orjson

from freshet.core.ports import UserStore
from freshet.core.types import Answer
from freshet.storage.user_ids import NOBODY, People

MOST = 64 << 20
"""Bytes held at most; impressions beyond are dropped and counted: memory must not fill up with the disk."""
TOGETHER = 500
"""Impressions written in one go."""


class Impressions:
    """A buffer of what was shown, as its journal keeps it; a kill loses what was not flushed.

    Attributes:
        dropped: how many found no room.
    """

    def __init__(self) -> None:
        self._held: list[tuple[str, int, bytes]] = []
        self._bytes = 0
        self._lock = threading.Lock()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, answer: Answer, user: str, time: int) -> None:
        """Note an answer; `user` is '' for one who has none."""
        body = body_of(answer, user, time)
        if self._bytes + len(body) > MOST:
            self.dropped += 1
            return
        self._held.append((user, time, body))
        self._bytes += len(body)

    def flush(self, store: UserStore, people: People = NOBODY) -> int:
        """Write what is held, but nothing of people who were forgotten; returns how many.

        Raises:
            StateError: the user store can't be written; the next call goes on with what was not.
        """
        written = 0
        with self._lock:
            for _ in range(-(-len(self._held) // TOGETHER)):  # what comes meanwhile waits for the next call
                some = self._held[:TOGETHER]
                kept = [body for user, time, body in some if not (user and people.refuses(user, time))]
                store.impressions.append(kept)
                del self._held[: len(some)]
                self._bytes -= sum(len(body) for _, _, body in some)
                written += len(kept)
        return written


def body_of(answer: Answer, user: str, time: int) -> bytes:
    """The journal's entry of an impression, as JSON."""
    document = {
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
                "id": one.id,
                "score": round(one.score, 4) if math.isfinite(one.score) else None,
                "propensity": one.propensity,
                "reason": one.reason,
                "items": [item.id for item in one.items],
            }
            for one in answer.interests
        ],
    }
    return orjson.dumps(document)
