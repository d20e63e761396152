"""Where releases are given to, for what serves them elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports.run_ports import Progress


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Some rows of a table.

    Attributes:
        contexts: (n, k) interest indices, most recent last, right-aligned, -1 padded.
        successors: (n, width) interest indices, best first, -1 padded.
        scores: (n, width) log-probabilities that ranked them.
    """

    contexts: NDArray[np.int16]
    successors: NDArray[np.int16]
    scores: NDArray[np.float32]

    def groups(self) -> Iterator[tuple[int, slice]]:
        """(last interest, its rows) of contexts that are in order; -1 for the empty context."""
        last = self.contexts[:, -1]
        starts = np.flatnonzero(np.append(True, last[1:] != last[:-1]))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(last)], strict=True):
            yield int(last[start]), slice(start, end)


@dataclass(frozen=True, slots=True)
class GivenRelease:
    """A release as it is given away: what its table answers, and what that means.

    Attributes:
        about: the release as it is published (number, as_of, table, model, interests, run), and `workspace`,
            the name of its folder; all that JSON can hold.
        k: interests of a context, at most.
        width: successors of a row, at most.
        ids: (N,) stable ids of the interests; `descriptions`: N of them.
        contexts: (C, k) of all rows that have a successor, ordered by their last interest, then by the one
            before it, and so on; the first one is the empty context.
        blocks: called, gives these rows in that order.
        items: called, gives (items, (n,) index of the interest of each).
    """

    about: dict[str, Any]
    k: int
    width: int
    ids: NDArray[np.int32]
    descriptions: Sequence[str]
    contexts: NDArray[np.int16]
    blocks: Callable[[], Iterator[RowBlock]]
    items: Callable[[], Iterator[tuple[list[str], NDArray[np.int64]]]]

    @property
    def number(self) -> int:
        """Of the release."""
        return int(self.about["number"])


@dataclass(frozen=True, slots=True)
class Written:
    """What a target holds now: `rows` and `bytes` of a release, and `where`, for people."""

    rows: int
    bytes: int
    where: str


class ExportTarget(Protocol):
    """A place that others read releases from: it has the old release or the new one, never a part.

    Attributes:
        name: where it is, without user or password.
    """

    name: str

    def write(self, given: GivenRelease, progress: Progress) -> Written:
        """Write a release and make it the one that readers see; what an export that died has left goes.

        Raises:
            ExportError: the target can't be reached or written; it has what it had before.
        """


class FilePlace(Protocol):
    """A folder, or a part of a bucket, in which files get names.

    Attributes:
        name: where it is, without user or password.
        scratch: folder for files that are being made; None = the system's.
    """

    name: str
    scratch: Path | None

    def take(self, file: Path, name: str) -> None:
        """Make a finished file permanent under a name (`folder/file`): all of it or nothing."""

    def read(self, name: str) -> bytes | None:
        """A small file; None where there is none."""

    def put(self, name: str, content: bytes) -> None:
        """Write a small file over what is there: readers see the old or the new content."""

    def names(self, prefix: str) -> list[str]:
        """Of all files whose names begin so."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove files; those that are gone already don't matter."""


class Announcer(Protocol):
    """Who is told what serves.

    Attributes:
        name: where it is, without what may be secret.
    """

    name: str

    def send(self, id_: str, body: bytes) -> None:
        """Send one message; a receiver knows by `id_` what it has had before.

        Raises:
            ExportError: it was not taken; `retryable`: it may be later, else it never will.
        """
