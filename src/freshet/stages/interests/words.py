"""Item text becomes words: lower-case runs of letters and digits, and nothing else.

Everything that later reaches a prompt passes through here, so no punctuation, separator or instruction in
an item's text survives: what is left are single words.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

from freshet.stages.interests.stopwords import STOP

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
    text = html.unescape(_MARKUP.sub(" ", text[:MAX_CHARS]))
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = _APOSTROPHE.sub("", plain)
    if not plain.isascii():  # vowel signs and other marks would cut a word in pieces
        plain = "".join(c for c in plain if unicodedata.category(c)[0] != "M")
    found: list[str] = []
    for run in _RUN.findall(plain):
        found.extend(word for part in _hyphenated(run) for word in _unspaced(part) if _keep(word))
    return [_decade(word) for word in found]


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
