"""Item text becomes words, and words become vectors: TF-IDF, reduced by a truncated SVD.

Words are lower-case runs of letters and digits, and nothing else. Everything that later reaches a prompt
passes through here, so no punctuation, separator or instruction in an item's text survives: what is left are
single words.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.stages.interests.item_vectors import truncated_svd, unit
from freshet.storage.sound_reading import OTHERWISE

_STOP_ENGLISH = """
a about above across after again against all almost along already also although always am among an
and another any anyone anything are around as at away back be became because been before behind
being below between both but by came can cannot cant come comes could did didnt do does doesnt doing
done dont down during each either else enough etc even ever every everyone everything few finally
first for from further get gets getting give gives go goes going gone got had has hasnt have havent
having he her here hers herself him himself his how however i if ill im in instead into is isnt it
its itself ive just keep know last least less let lets like liked ll made make makes making many may
maybe me might more most much must my myself neither never new next no nobody nor not nothing now of
off often on once one only onto or other others our ours out over own per perhaps please put quite
rather re really recently s said same see seem seems seen several shall she should since so some
someone something soon still such sure t take takes than that thats the their theirs them themselves
then there theres these they theyre thing things this those though three through thus to together
too took toward towards two under unless until up upon us use used uses using ve very via want wants
was wasnt way we well were what whatever when where whether which while who whole whom whose why
will with within without wont would yes yet you youd youll your youre yours yourself youve
"""

_STOP_NUMBERING = "ii iii iv vi part parts vol volume"

# Titles keep their language, so the commonest function words of some neighbours are listed as well; where
# a whole catalogue is in one other language, their high document frequency takes care of them.
_STOP_NEIGHBOURS = """
al als auf aus avec bei con da dal dans das de degli dei del della delle den der des di die dos du
ein eine el em en es est et för für het il ist la las le les lo los met mit na ne nel och ou para
por pour que sein sin sur um un una une uno van vom von zu zum zur
"""

STOP = frozenset(f"{_STOP_ENGLISH} {_STOP_NUMBERING} {_STOP_NEIGHBOURS}".split())


MAX_CHARS = 5_000
"""Text is read up to here: what an item is about stands at the beginning, and one item must not cost more."""

_LONGEST = 24
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,300}>")
_APOSTROPHE = re.compile(r"['’ʼ`´]")
_RUN = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_YEAR = re.compile(r"(?:1[89]|20)\d\d")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+")
"""Kana and Han: written without spaces, so words are taken as pairs of characters."""


def words(text: str) -> list[str]:
    """The words of a text in order, stop words dropped, years as decades (`1994` is `1990s`).

    Other bare numbers (prices, sizes, codes) and one-letter words say nothing about an item and are dropped.
    """
    text = _without_markup(text)
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = _APOSTROPHE.sub("", plain)
    if not plain.isascii():  # vowel signs and other marks would cut a word in pieces
        plain = "".join(c for c in plain if unicodedata.category(c)[0] != "M")
    found: list[str] = []
    for run in _RUN.findall(plain):
        found.extend(word for part in _hyphenated(run) for word in _unspaced(part) if _keep(word))
    return [_decade(word) for word in found]


def _without_markup(text: str) -> str:
    return html.unescape(_MARKUP.sub(" ", text[:MAX_CHARS]))


@lru_cache(maxsize=100_000)
def root(word: str) -> str:
    """The singular of a plain English plural, so that `candle` and `candles` count as one word."""
    if len(word) < 4 or not word.isascii() or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word if word.endswith(("ss", "us", "is", "0s")) else word[:-1]


def plain(text: str, limit: int = 6) -> str:
    """A short text as at most `limit` lower-case words joined by one space; '' without letters or digits."""
    runs = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text[:MAX_CHARS]).lower())
    return " ".join(run[:_LONGEST] for run in runs[:limit])


def _hyphenated(run: str) -> list[str]:
    """`sci-fi`, `x-men` and `t-light` are one word; the parts of `film-noir` stand on their own."""
    parts = run.split("-")
    if len(parts) == 2 and min(map(len, parts)) <= 3 and not any(p.isdigit() for p in parts):
        return ["".join(parts)]
    return parts


def _unspaced(word: str) -> list[str]:
    if not _UNSPACED.fullmatch(word) or len(word) < 3:
        return [word]
    return [word[i : i + 2] for i in range(len(word) - 1)]


def _keep(word: str) -> bool:
    if len(word) < 2 or len(word) > _LONGEST or word in STOP:
        return False
    return not word.isnumeric() or _YEAR.fullmatch(word) is not None


def _decade(word: str) -> str:
    return f"{word[:3]}0s" if _YEAR.fullmatch(word) else word


_DIMENSIONS = 64
_VOCABULARY = 50_000
_BOILERPLATE = 0.6
"""A word that more than this share of the items carry no longer distinguishes them (`genres`, `price`)."""

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

    def counts(self, documents: Words) -> scipy.sparse.csr_matrix:
        """(documents, m) how often each known root occurs."""
        code = {word: index for index, word in enumerate(self.roots)}
        rows, columns, values = [], [], []
        for row, document in enumerate(documents):
            seen = Counter(root(word) for word in document)
            for word in sorted(seen.keys() & code.keys()):
                rows.append(row)
                columns.append(code[word])
                values.append(float(seen[word]))
        return scipy.sparse.csr_matrix((values, (rows, columns)), shape=(len(documents), len(code)))

    def vectors(self, counts: scipy.sparse.csr_matrix) -> NDArray[np.float64]:
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
        except OTHERWISE as error:
            raise ArtifactError(
                f"text model {folder} is missing or damaged: {error}", hint="rebuild the interests"
            ) from None


def documents(titles: Sequence[str], texts: Sequence[str]) -> list[list[str]]:
    """The words of each item; the title counts once, also where the text repeats it."""
    return [
        words(text if title in text else f"{title} . {text}")
        for title, text in zip(titles, texts, strict=True)
    ]


def readable(titles: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Each item as a reader, or an encoder of sentences, is given it: title and text without markup."""
    joined = (
        text if title in text else f"{title}. {text}" if text else title
        for title, text in zip(titles, texts, strict=True)
    )
    return [" ".join(_without_markup(both).split()) for both in joined]


def fit_text_model(fitted_on: Words, seed: int) -> TextModel:
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


def _tfidf(counts: scipy.sparse.csr_matrix, idf: NDArray[np.float32]) -> scipy.sparse.csr_matrix:
    """Sublinear TF-IDF with rows of length one."""
    weighted = counts.copy()
    weighted.data = 1 + np.log(weighted.data)
    weighted = scipy.sparse.csr_matrix(weighted @ scipy.sparse.diags(idf.astype(np.float64)))
    norm = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return scipy.sparse.csr_matrix(scipy.sparse.diags(1 / np.maximum(norm, 1e-12)) @ weighted)
