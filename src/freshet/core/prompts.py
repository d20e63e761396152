"""How a question about a context becomes text, and nothing else: no counts, no model.

A *wording* turns questions into prompts. The short one, here, is that of models which are tuned on it: only
interest names reach it, keywords of letters and digits, so that no item text can carry an instruction or a
separator into a prompt. Templates, in `prompt_templates`, are for models that know something beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import Context, ContextEvidence, Evidence, Prompt

TEMPLATE = 1
"""Version of the short wording; part of every fingerprint."""

NEXT = "next :"
"""The end of every prompt in the short wording; the completion starts after it."""

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


@dataclass(frozen=True, slots=True)
class Question:
    """All that a prompt may speak of.

    Attributes:
        context: interest indices, most recent last.
        after: the last of them, where evidence is about these alone; () where it is about all, or everybody.
        named: what evidence names, best first: a word of `STRENGTHS` and the interest.
        options: interests to choose among, in this order; () = all.
        history: titles of the items that a single user engaged last, most recent last; () = of nobody.
    """

    context: Context
    after: Context = ()
    named: tuple[tuple[str, int], ...] = ()
    options: tuple[int, ...] = ()
    history: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        context: Context,
        evidence: ContextEvidence | None = None,
        options: Sequence[int] = (),
        history: Sequence[str] = (),
    ) -> Question:
        """The question about a context; `evidence` is what recent transitions say, or None."""
        after: Context = ()
        named: tuple[tuple[str, int], ...] = ()
        if evidence is not None:
            after = evidence.after if evidence.after != context else ()
            named = tuple((strength(s.share), s.interest) for s in evidence.successors)
        return cls(context, after, named, tuple(options), tuple(history))


class Wording(Protocol):
    """Turns questions into prompts.

    A class that derives from this one needs `names`, `version` and `prompt`; the rest says what it reads of
    a question, and has defaults.
    """

    @property
    def names(self) -> Sequence[str]:
        """What the planner reads and writes for each interest, all different."""

    @property
    def version(self) -> int | str:
        """Identity of all that decides the text beside names and questions; part of fingerprints."""

    def prompt(self, question: Question) -> Prompt:
        """The question in words; two questions that differ in what is read have different prompts."""

    @property
    def reads_evidence(self) -> bool:
        """Whether the text says what recent transitions say."""
        return True

    @property
    def reads_history(self) -> bool:
        """Whether the text names the items of a single user."""
        return False


class ShortWording(Wording):
    """The wording of models that are tuned on it, a few words around names::

        liked : horror zombie | drama war ; recently after drama war : many love , some comedy ; next :

    Such a model answers with names, whether or not it chooses among options.

    Args:
        names: what `names()` returned.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @property
    def names(self) -> Sequence[str]:
        return self._names

    @property
    def version(self) -> int:
        return TEMPLATE

    def prompt(self, question: Question) -> Prompt:
        named = self._names
        liked = " | ".join(named[index] for index in question.context) or "nothing yet"
        parts = [f"liked : {liked}"]
        if question.named:
            after = question.after
            whom = " after " + " | ".join(named[index] for index in after) if after else ""
            said = " , ".join(f"{word} {named[index]}" for word, index in question.named)
            parts.append(f"recently{whom} : {said}")
        parts.append(NEXT)
        return Prompt(question.context, " ; ".join(parts), options=question.options)


def render(context: Context, names: Sequence[str], evidence: ContextEvidence | None = None) -> str:
    """The text of a context in the short wording.

    Args:
        context: interest indices, most recent last.
        names: what `names()` returned.
        evidence: what recent transitions say, or None.
    """
    return ShortWording(names).prompt(Question.of(context, evidence)).text


def longest(names: Sequence[str], k: int, named: int) -> str:
    """The longest text there can be in the short wording.

    Args:
        names: of all interests, the longest first.
        k: context length.
        named: successors that evidence names, at most.
    """
    most = max(STRENGTHS, key=len)
    context = tuple(reversed(range(min(k, len(names)))))  # evidence repeats all but the first, the shortest
    successors = tuple((most, index) for index in range(min(named, len(names))))
    return ShortWording(names).prompt(Question(context, context[1:], successors)).text


@dataclass(frozen=True, eq=False)
class Prompts:
    """The prompts of many contexts, put into words only where somebody reads them.

    Two prompts are equal exactly when their `identities` are: these hold all that the wording reads beside
    the names, and names are unique, so that nothing of it is lost in the text.

    Attributes:
        wording: puts them into words.
        k: context length.
        keys: (n, k + 1 + 2m) the context, right-aligned; how many of its last interests evidence is about,
            0 where it is about all; then pairs of interest and place in `STRENGTHS`.
            Padded with -1.
        options: (n, M) interests to choose among, in order, padded with -1; M = 0: all.
        histories: titles of the last items of the single users that the n prompts are of; () = of nobody.
    """

    wording: Wording
    k: int
    keys: NDArray[np.int16]
    options: NDArray[np.int16]
    histories: Sequence[tuple[str, ...]] = ()

    @classmethod
    def of(
        cls,
        contexts: NDArray[np.int16],
        wording: Wording,
        evidence: Evidence,
        options: NDArray[np.int16] | None = None,
        histories: Sequence[tuple[str, ...]] = (),
    ) -> Prompts:
        """One prompt for each context (n, k), with what the evidence says about it, if anything is read.

        Contexts may be longer than those that evidence is about: it then tells of their last interests.
        """
        n, k = contexts.shape
        evidence = evidence if wording.reads_evidence else Evidence.none(1)
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
        chosen = np.zeros((n, 0), np.int16) if options is None else options
        return cls(wording, k, keys, chosen, histories if wording.reads_history else ())

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def contexts(self) -> NDArray[np.int16]:
        """(n, k) contexts of the prompts, right-aligned, padded with -1."""
        return self.keys[:, : self.k]

    def part(self, rows: NDArray[np.int64]) -> Prompts:
        """Some of the prompts."""
        histories = [self.histories[row] for row in rows.tolist()] if len(self.histories) else ()
        return Prompts(self.wording, self.k, self.keys[rows], self.options[rows], histories)

    def take(self, rows: Iterable[int]) -> list[Prompt]:
        """The prompts of these rows in words."""
        return [self.wording.prompt(self._question(row)) for row in rows]

    def identities(self) -> list[bytes]:
        """An identity of each prompt, whatever other prompts are beside it."""
        found = _rows(self.keys)
        if self.options.shape[1]:
            chosen = zip(found, _rows(self.options), strict=True)
            found = [key + (_OPTIONS + own if own else b"") for key, own in chosen]
        if len(self.histories):
            told = zip(found, self.histories, strict=True)
            found = [key + (_HISTORY + json.dumps(own).encode() if own else b"") for key, own in told]
        return found

    def __add__(self, more: Prompts) -> Prompts:
        keys = _joined(self.keys, more.keys)
        options = _joined(self.options, more.options)
        histories: Sequence[tuple[str, ...]] = ()
        if len(self.histories) or len(more.histories):
            histories = [history for part in (self, more) for history in part.histories or [()] * len(part)]
        return Prompts(self.wording, self.k, keys, options, histories)

    def _question(self, row: int) -> Question:
        key = self.keys[row].tolist()
        context = tuple(index for index in key[: self.k] if index >= 0)
        pairs = zip(key[self.k + 1 :: 2], key[self.k + 2 :: 2], strict=True)
        return Question(
            context,
            context[len(context) - key[self.k] :],
            tuple((STRENGTHS[place], interest) for interest, place in pairs if interest >= 0),
            tuple(index for index in self.options[row].tolist() if index >= 0),
            self.histories[row] if len(self.histories) else (),
        )


_OPTIONS, _HISTORY = b"\xfe\xff", b"\xfd\xff"
"""What parts of an identity begin with: -2 and -3, which no number in `keys` or `options` is."""


def _rows(numbers: NDArray[np.int16]) -> list[bytes]:
    """Each row's bytes, without the padding at its end.

    That is all 0xff; an index or a zero never ends with that byte.
    """
    data, width = numbers.astype("<i2").tobytes(), 2 * numbers.shape[1]
    return [data[start : start + width].rstrip(b"\xff") for start in range(0, len(data), width)]


def _joined(first: NDArray[np.int16], second: NDArray[np.int16]) -> NDArray[np.int16]:
    width = max(first.shape[1], second.shape[1])
    padded = [
        np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in (first, second)
    ]
    return np.concatenate(padded)
