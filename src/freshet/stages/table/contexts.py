"""The rows of a table, in order: no interest, single interests, ordered pairs, then observed triples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def enumerate_contexts(interests: int, k: int, triples: NDArray[np.int16] | None = None) -> NDArray[np.int16]:
    """All contexts a table covers, (C, k) right-aligned, -1 padded.

    Contexts up to length 2 are dense, so that their row number is arithmetic (`dense_row`); triples are too
    many and are listed only where observed.

    Args:
        interests: N.
        k: 1, 2 or 3.
        triples: (m, 3) observed contexts of length 3, for k = 3.
    """
    ids = np.arange(interests, dtype=np.int16)
    parts = [np.full((1, k), -1, np.int16), _right(ids[:, None], k)]
    if k >= 2:
        first, second = np.meshgrid(ids, ids, indexing="ij")
        pairs = np.stack([first.ravel(), second.ravel()], axis=1)
        parts.append(_right(pairs[pairs[:, 0] != pairs[:, 1]], k))
    if k == 3 and triples is not None and len(triples):
        parts.append(np.unique(triples, axis=0).astype(np.int16))
    return np.concatenate(parts)


def dense_row(context: tuple[int, ...], interests: int) -> int:
    """Row of a context of at most two distinct interests."""
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
