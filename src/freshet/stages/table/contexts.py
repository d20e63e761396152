"""The rows of a table, in order: no interest, single interests, ordered pairs, then observed triples.

All ordered pairs have a row where so many rows are wanted; of a *wide* table, whose interests are too many
for that, only the busiest contexts that occur in the log have one. A look-up of another falls back to the row
of its last interest; serving loses nothing, since it scores every user by the mixture, whatever has a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Sums, context_codes

CELLS = 1 << 29
"""Scores that a table is ranked from, at most, by default: rows * N. All pairs of up to 812 interests fit;
at 5,000 there are 107,374 rows."""


def rows_at_most(interests: int, wanted: int | str) -> int:
    """Rows that a table may have, given `[table] rows`; single interests always have theirs."""
    rows = CELLS // max(interests, 1) if isinstance(wanted, str) else wanted
    return max(rows, 1 + interests)


def is_wide(interests: int, k: int, most: int) -> bool:
    """Whether the ordered pairs of N interests are too many for a row each."""
    return k >= 2 and 1 + interests + interests * (interests - 1) > most


def busiest(sums: Sequence[Sums], most: int) -> list[NDArray[np.int16]]:
    """Of the contexts of some sums, each of one length, the `most` with the largest weight, by length.

    Every context weighs at most as much as its suffixes, so what a longer one falls back to is listed, too.

    Args:
        sums: in ascending order of their length; of equal weights the shorter context, then the lower code,
            comes first.
    """
    contexts, weights = [], []
    for one in sums:
        _, first = np.unique(context_codes(one.contexts), return_index=True)  # sums are sorted
        contexts.append(one.contexts[first])
        weights.append(np.add.reduceat(one.weight, first) if len(first) else np.zeros(0))
    length = np.repeat(np.arange(len(sums)), [len(found) for found in weights])
    place = np.concatenate([np.arange(len(found)) for found in weights])
    kept = np.argsort(-np.concatenate(weights), kind="stable")[:most]
    return [found[np.sort(place[kept[length[kept] == number]])] for number, found in enumerate(contexts)]


def enumerate_contexts(
    interests: int,
    k: int,
    triples: NDArray[np.int16] | None = None,
    pairs: NDArray[np.int16] | None = None,
) -> NDArray[np.int16]:
    """All contexts a table covers, (C, k) right-aligned, -1 padded, ascending by `context_codes`.

    Args:
        interests: N.
        k: 1, 2 or 3.
        triples: (m, 3) contexts of length 3, for k = 3.
        pairs: (m, 2) contexts of length 2 of a wide table; None = all. Where all have a row, its number is
            arithmetic (`dense_row`).
    """
    ids = np.arange(interests, dtype=np.int16)
    parts = [np.full((1, k), -1, np.int16), _right(ids[:, None], k)]
    if k >= 2 and pairs is None:
        first, second = np.meshgrid(ids, ids, indexing="ij")
        every = np.stack([first.ravel(), second.ravel()], axis=1)
        parts.append(_right(every[every[:, 0] != every[:, 1]], k))
    elif k >= 2 and pairs is not None and len(pairs):
        parts.append(_right(np.unique(pairs, axis=0).astype(np.int16), k))
    if k == 3 and triples is not None and len(triples):
        parts.append(np.unique(triples, axis=0).astype(np.int16))
    return np.concatenate(parts)


def dense_row(context: tuple[int, ...], interests: int) -> int:
    """Row of a context of at most two distinct interests, where all of these have one."""
    if not context:
        return 0
    if len(context) == 1:
        return 1 + context[0]
    a, b = context
    return 1 + interests + a * (interests - 1) + b - (b > a)


def _right(contexts: NDArray[np.int16], k: int) -> NDArray[np.int16]:
    out = np.full((len(contexts), k), -1, np.int16)
    out[:, k - contexts.shape[1] :] = contexts
    return out
