"""Descriptions: the few words that many items of an interest carry and other items don't."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from freshet.stages.interests.item_text import plain

_USUAL = 3
"""Words of a usual description."""

_LONGEST = 5
"""Most words of a description, where fewer are those of another one; then it gets a numeral."""

_CANDIDATES = 24
_WORTH = 0.2
"""A word must say at least this much of what the best one says, unless it is needed to be unique."""

Scored = list[tuple[str, float]]


def keywords(
    carried: scipy.sparse.csr_matrix,
    weight: NDArray[np.float64],
    labels: NDArray[np.int64],
    interests: int,
    surfaces: Sequence[str],
) -> list[Scored]:
    """Candidate words of every interest with their scores, best first (a class-based TF-IDF).

    A word scores p * log(p / q): p is the share of the interest's items that carry it, q the share of all
    items, both by weight. It must be carried by several of the interest's items, which keeps proper names
    out.

    Args:
        carried: (n, m) nonzero where the item carries the word.
        weight: (n,) positive weight of each item.
        labels: (n,) interest of each item.
        surfaces: m words.
    """
    present = (carried > 0).astype(np.float64)
    has_text = np.minimum(np.asarray(present.sum(axis=1)).ravel(), 1.0)
    rows = np.arange(len(labels))
    shape = (interests, len(labels))
    by_weight = scipy.sparse.csr_matrix((weight * has_text, (labels, rows)), shape=shape)
    by_count = scipy.sparse.csr_matrix((has_text, (labels, rows)), shape=shape)
    overall = np.asarray((weight * has_text) @ present).ravel() / max((weight * has_text).sum(), 1e-12)
    carriers = scipy.sparse.csr_matrix(by_weight @ present)
    counts = scipy.sparse.csr_matrix(by_count @ present)
    totals, items = np.asarray(by_weight.sum(axis=1)).ravel(), np.asarray(by_count.sum(axis=1)).ravel()
    found: list[Scored] = []
    for interest in range(interests):
        columns = counts[interest].indices
        share = carriers[interest].toarray().ravel()[columns] / max(float(totals[interest]), 1e-12)
        score = share * np.log(np.maximum(share / overall[columns], 1e-12))
        score[counts[interest].data < several(float(items[interest]))] = 0.0
        ranked = columns[np.lexsort((columns, -np.round(score, 9)))]
        by_column = dict(zip(columns.tolist(), score.tolist(), strict=True))
        good = [(surfaces[c], by_column[c]) for c in ranked.tolist() if by_column[c] > 1e-6]
        found.append(_without_variants(good[: 2 * _CANDIDATES])[:_CANDIDATES])
    return found


def several(items: float) -> float:
    """How many of an interest's items must carry a word before it may describe the interest."""
    return max(min(2.0, items), 0.04 * items)


def unique(candidates: Sequence[Scored], fallbacks: Sequence[str], order: Sequence[int]) -> list[str]:
    """One description per interest, no two alike, also not by the order of their words.

    Args:
        candidates: per interest, what `keywords` found.
        fallbacks: per interest, words to use where no keyword was found; may be ''.
        order: interests in the order in which they may choose; the later ones get the longer names.
    """
    chosen = [""] * len(candidates)
    taken: set[frozenset[str]] = set()
    for interest in order:
        chosen[interest] = _choose([w for w, _ in candidates[interest]], candidates[interest], taken)
        if not chosen[interest]:
            chosen[interest] = distinct(fallbacks[interest] or f"interest {interest}", taken)
        taken.add(frozenset(chosen[interest].split()))
    return chosen


def distinct(name: str, taken: set[frozenset[str]]) -> str:
    """The name, or the name with the first numeral that no other description has."""
    number, result = 1, name
    while frozenset(result.split()) in taken:
        number += 1
        result = f"{name} {number}"
    return result


def from_ids(items: Sequence[str]) -> str:
    """Words for an interest whose items have no text: two of the ids, letters and digits alone."""
    names = ["".join(plain(item).split())[:20] for item in items]
    return " ".join(dict.fromkeys(name for name in names if name))


def _choose(words: list[str], scored: Scored, taken: set[frozenset[str]]) -> str:
    """The usual number of words, or more until nobody else has them, or a numeral; '' without words."""
    if not words:
        return ""
    usual = sum(1 for _, score in scored[:_USUAL] if score >= _WORTH * scored[0][1])
    for length in range(max(usual, min(2, len(words))), min(_LONGEST, len(words)) + 1):
        if frozenset(words[:length]) not in taken:
            return _worded(words[:length])
    return distinct(_worded(words[:usual]), taken)


def _worded(words: Sequence[str]) -> str:
    """Best word first, decades last: `crime thriller 1990s`."""
    return " ".join(sorted(words, key=lambda word: re.fullmatch(r"\d{3}0s", word) is not None))


def _without_variants(scored: Scored) -> Scored:
    """Drop words that are a form of a better word: one begins with the other, as in wizard, wizardry."""
    kept: Scored = []
    for word, score in scored:
        stems = [other for other, _ in kept]
        if not any(_variant(word, other) for other in stems):
            kept.append((word, score))
    return kept


def _variant(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= 4 and long.startswith(short) and len(long) - len(short) <= 4
