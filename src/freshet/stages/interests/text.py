"""Text vectors: TF-IDF over the words of an item, reduced by a truncated SVD."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from freshet.core.errors import ArtifactError
from freshet.stages.interests.spectral import truncated_svd, unit
from freshet.stages.interests.words import root, words

_DIMENSIONS = 64
_VOCABULARY = 50_000
_BOILERPLATE = 0.6
"""A word that more than this share of the items carry tells them apart no longer (`genres`, `price`)."""

Words = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class TextModel:
    """Fitted text model. Plain arrays and JSON on disk: nothing is ever unpickled.

    Attributes:
        roots: m known word roots, sorted.
        surfaces: m words, the commonest spelling of each root; what a description shows.
        idf: (m,) inverse document frequency.
        components: (d, m) directions of the reduced space.
    """

    roots: tuple[str, ...]
    surfaces: tuple[str, ...]
    idf: NDArray[np.float32]
    components: NDArray[np.float32]

    def counts(self, documents: Words) -> sparse.csr_matrix:
        """(documents, m) how often each known root occurs."""
        code = {word: index for index, word in enumerate(self.roots)}
        rows, columns, values = [], [], []
        for row, document in enumerate(documents):
            seen = Counter(root(word) for word in document)
            for word in sorted(seen.keys() & code.keys()):
                rows.append(row)
                columns.append(code[word])
                values.append(float(seen[word]))
        return sparse.csr_matrix((values, (rows, columns)), shape=(len(documents), len(code)))

    def vectors(self, counts: sparse.csr_matrix) -> NDArray[np.float64]:
        """(documents, d) unit vectors; zero for a document without a known word."""
        reduced = _tfidf(counts, self.idf) @ self.components.T.astype(np.float64)
        return unit(np.asarray(reduced))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        words_json = json.dumps({"roots": self.roots, "surfaces": self.surfaces}, ensure_ascii=False)
        (folder / "words.json").write_text(words_json + "\n", encoding="utf-8")
        np.save(folder / "idf.npy", self.idf)
        np.save(folder / "components.npy", self.components)

    @classmethod
    def load(cls, folder: Path) -> TextModel:
        """Raises ArtifactError if a file is missing or damaged."""
        try:
            known = json.loads((folder / "words.json").read_text(encoding="utf-8"))
            idf = np.load(folder / "idf.npy", allow_pickle=False)
            components = np.load(folder / "components.npy", allow_pickle=False)
            return cls(tuple(known["roots"]), tuple(known["surfaces"]), idf, components)
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(
                f"text model {folder} is missing or damaged: {error}", hint="rebuild the interests"
            ) from None


def documents(titles: Sequence[str], texts: Sequence[str]) -> list[list[str]]:
    """The words of each item; the title counts once, also where the text repeats it."""
    return [
        words(text if title in text else f"{title} . {text}")
        for title, text in zip(titles, texts, strict=True)
    ]


def fit(fitted_on: Words, seed: int) -> TextModel:
    """Fit on the words of n items; empty documents teach nothing and do no harm."""
    filled = sum(1 for document in fitted_on if document)
    frequency: Counter[str] = Counter()
    spellings: dict[str, Counter[str]] = {}
    for document in fitted_on:
        roots = {word: root(word) for word in set(document)}
        frequency.update(set(roots.values()))
        for word, its_root in roots.items():
            spellings.setdefault(its_root, Counter())[word] += 1
    rarest = 1 if filled < 20 else 2 + filled // 10_000
    most = max(_BOILERPLATE * filled, 1.0 if filled > 1 else 0.0)
    useful = [(n, word) for word, n in frequency.items() if rarest <= n <= most]
    kept = sorted(word for _, word in sorted(useful, key=lambda e: (-e[0], e[1]))[:_VOCABULARY])
    surfaces = tuple(min(spellings[w].items(), key=lambda e: (-e[1], e[0]))[0] for w in kept)
    n_with = np.array([frequency[word] for word in kept], np.float64)
    idf = (np.log((1 + filled) / (1 + n_with)) + 1).astype(np.float32)
    blank = TextModel(tuple(kept), surfaces, idf, np.zeros((0, len(kept)), np.float32))
    _, components = truncated_svd(_tfidf(blank.counts(fitted_on), idf), _DIMENSIONS, seed)
    return TextModel(blank.roots, surfaces, idf, components.astype(np.float32))


def _tfidf(counts: sparse.csr_matrix, idf: NDArray[np.float32]) -> sparse.csr_matrix:
    """Sublinear TF-IDF with rows of length one."""
    weighted = counts.copy()
    weighted.data = 1 + np.log(weighted.data)
    weighted = sparse.csr_matrix(weighted @ sparse.diags(idf.astype(np.float64)))
    norm = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(norm, 1e-12)) @ weighted)
