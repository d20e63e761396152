"""How a context and its evidence become text, and nothing else: no counts, no model.

Only interest descriptions reach a prompt. They are keywords made of letters and digits, so that no item
text can carry an instruction or a separator into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Context, ContextEvidence, Evidence, Prompt

TEMPLATE = 1
"""Version of the wording; part of every fingerprint."""

NEXT = "next :"
"""The end of every prompt; the completion starts after it."""

STRENGTHS = ("few", "some", "several", "many", "most")
_FROM = np.array([0.04, 0.08, 0.15, 0.30])
"""The least share that each strength but the first stands for."""


def strengths(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Shares of people as places in `STRENGTHS`."""
    return np.asarray(np.searchsorted(_FROM, shares, side="right"))


def strength(share: float) -> str:
    """The share of people in a word."""
    return STRENGTHS[int(strengths(np.array(share)))]


def label(index: int) -> str:
    """The token that stands for an interest in label mode."""
    return f"<i{index}>"


def names(descriptions: Sequence[str], mode: str) -> tuple[str, ...]:
    """What the planner reads and writes for each interest: its description, or its label."""
    if mode == "label":
        return tuple(label(index) for index in range(len(descriptions)))
    return tuple(descriptions)


def render(context: Context, names: Sequence[str], evidence: ContextEvidence | None = None) -> str:
    """The prompt of a context, such as::

        liked : horror zombie | drama war ; recently after drama war : many love , some comedy ; next :

    Args:
        context: interest indices, most recent last.
        names: what `names()` returned.
        evidence: what recent transitions say, or None.
    """
    after: Context = ()
    named: list[tuple[str, int]] = []
    if evidence is not None:
        after = evidence.after if evidence.after != context else ()
        named = [(strength(s.share), s.interest) for s in evidence.successors]
    return _wording(context, after, named, names)


def longest(names: Sequence[str], k: int, named: int) -> str:
    """The longest prompt there can be.

    Args:
        names: of all interests, the longest first.
        k: context length.
        named: successors that evidence names, at most.
    """
    most = max(STRENGTHS, key=len)
    context = tuple(reversed(range(min(k, len(names)))))  # evidence repeats all but the first, the shortest
    successors = [(most, index) for index in range(min(named, len(names)))]
    return _wording(context, context[1:], successors, names)


@dataclass(frozen=True, eq=False)
class Prompts:
    """The prompts of many contexts, put into words only where somebody reads them.

    Two prompts are equal exactly when their rows of `keys` are: a row holds all that `render` reads beside
    the names, and names are unique and hold no separator, so that nothing of it is lost in the text.

    Attributes:
        names: what `names()` returned.
        k: context length.
        keys: (n, k + 1 + 2m) the context, right-aligned; how many of its last interests evidence is about,
            0 where it is about all; then pairs of interest and place in `STRENGTHS`.
            Padded with -1.
    """

    names: Sequence[str]
    k: int
    keys: NDArray[np.int16]

    @classmethod
    def of(cls, contexts: NDArray[np.int16], names: Sequence[str], evidence: Evidence) -> Prompts:
        """One prompt for each context (n, k), with what the evidence says about it, if anything.

        Contexts may be longer than those that evidence is about: it then tells of their last interests.
        """
        n, k = contexts.shape
        keys = np.full((n, k + 1 + 2 * evidence.successors.shape[1]), -1, np.int16)
        keys[:, :k] = contexts
        keys[:, k] = 0
        row = evidence.find(contexts[:, k - evidence.contexts.shape[1] :])
        found, row = row >= 0, row[row >= 0]
        successors, words = evidence.successors[row], strengths(evidence.shares[row])
        whole = evidence.after[row] == (contexts[found] >= 0).sum(axis=1)
        keys[found, k] = np.where(whole, 0, evidence.after[row])
        keys[found, k + 1 :: 2] = successors
        keys[found, k + 2 :: 2] = np.where(successors >= 0, words, -1)
        return cls(names, k, keys)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def contexts(self) -> NDArray[np.int16]:
        """(n, k) contexts of the prompts, right-aligned, padded with -1."""
        return self.keys[:, : self.k]

    def take(self, rows: Iterable[int]) -> list[Prompt]:
        """The prompts of these rows in words."""
        return [self._prompt(self.keys[row].tolist()) for row in rows]

    def identities(self) -> list[bytes]:
        """An identity of each prompt, whatever other prompts are beside it."""
        data, width = self.keys.astype("<i2").tobytes(), 2 * self.keys.shape[1]
        # the padding at the end is all 0xff; an index or a zero never ends with that byte
        return [data[start : start + width].rstrip(b"\xff") for start in range(0, len(data), width)]

    def __add__(self, more: Prompts) -> Prompts:
        width = max(self.keys.shape[1], more.keys.shape[1])
        keys = [
            np.pad(part.keys, ((0, 0), (0, width - part.keys.shape[1])), constant_values=-1)
            for part in (self, more)
        ]
        return Prompts(self.names, self.k, np.concatenate(keys))

    def _prompt(self, key: list[int]) -> Prompt:
        context = tuple(index for index in key[: self.k] if index >= 0)
        pairs = zip(key[self.k + 1 :: 2], key[self.k + 2 :: 2], strict=True)
        named = [(STRENGTHS[place], interest) for interest, place in pairs if interest >= 0]
        after = context[len(context) - key[self.k] :]
        return Prompt(context, _wording(context, after, named, self.names))


def _wording(context: Context, after: Context, named: Sequence[tuple[str, int]], names: Sequence[str]) -> str:
    liked = " | ".join(names[index] for index in context) or "nothing yet"
    parts = [f"liked : {liked}"]
    if named:
        whom = " after " + " | ".join(names[index] for index in after) if after else ""
        parts.append(f"recently{whom} : " + " , ".join(f"{word} {names[index]}" for word, index in named))
    parts.append(NEXT)
    return " ; ".join(parts)
