"""How far streams have been read into the log, as snapshots keep it: with the data, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream; read = added + duplicates + refused, since it was first read.

    Attributes:
        identity: of this very stream at its server, '' where the server has none.
        positions: partition -> position behind the last message that is in the log.
        read, added, duplicates, refused: messages; `refused` are in quarantine.
        lost: messages that the server had deleted before they were read, as far as it is known.
    """

    identity: str = ""
    positions: Mapping[str, str] = field(default_factory=dict)
    read: int = 0
    added: int = 0
    duplicates: int = 0
    refused: int = 0
    lost: int = 0

    def advanced(
        self,
        identity: str,
        positions: Mapping[str, str],
        *,
        added: int,
        duplicates: int,
        refused: int,
        lost: int,
    ) -> StreamState:
        """After a batch that ends at `positions`."""
        return replace(
            self,
            identity=identity or self.identity,
            positions={**self.positions, **positions},
            read=self.read + added + duplicates + refused,
            added=self.added + added,
            duplicates=self.duplicates + duplicates,
            refused=self.refused + refused,
            lost=self.lost + lost,
        )


Streams = Mapping[str, StreamState]
"""By name of the stream."""


def to_json(streams: Streams) -> dict[str, Any]:
    """As a snapshot holds them; `check` finds damage."""
    found = {name: asdict(streams[name]) for name in sorted(streams)}
    return {"by_name": found, "check": _check(found)}


def from_json(content: Mapping[str, Any]) -> Streams:
    """Raises ValueError, KeyError or TypeError where they are damaged."""
    found = content["by_name"]
    if content["check"] != _check(found):
        raise ValueError("the checksum of its streams differs")
    return {name: StreamState(**state) for name, state in found.items()}


def _check(found: Mapping[str, Any]) -> str:
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
