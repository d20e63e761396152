"""Constrained search over a model that is somewhere else, by the log-probabilities of single next tokens.

It gives what `bulk.search` gives on a model in this process, by the same rules: a name's probability is the
product of the renormalised probabilities of its choices in the trie; per prompt and level the `beam` most
probable open branches are read, and none that is less probable than the `top`-th name found. All that it
needs of a model is a `TokenReader`. No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners.bulk.trie import Trie
from freshet.core.types import Usage

TOGETHER = 512
"""Prompts that are searched level by level at once."""


@dataclass(frozen=True, slots=True)
class Question:
    """How probable are these next tokens?

    Attributes:
        tokens: token ids of the text so far; never empty.
        wanted: (c,) ids of the next tokens asked about, without repeats.
    """

    tokens: Sequence[int]
    wanted: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a reader found for m questions.

    Attributes:
        logp: per question (c,) natural log-probabilities of the wanted tokens, which may all be off by one
            amount: only their differences are used. Of a question in `failures` nothing is used.
        usage: what the reading cost.
        failures: question -> why it got no answer.
        gone: why no further question will be answered, '' where others may be; then an empty array stands
            for a question that was not asked.
    """

    logp: Sequence[NDArray[np.float64]]
    usage: Usage = field(default_factory=Usage)
    failures: Mapping[int, str] = field(default_factory=dict)
    gone: str = ""


Decode = Callable[[list[int]], str]
"""The text of tokens."""


class TokenReader(Protocol):
    """A model read token by token: in a server, or in a library that keeps it."""

    @property
    def limit(self) -> int | None:
        """Tokens that a text may have, its answer included; None where that isn't known."""

    def requests(self, questions: int, wanted: int) -> int:
        """Requests that so many questions about so many tokens take; 0 for a model in this process."""

    def logprobs(self, asked: Sequence[Question]) -> Answers:
        """Answer questions; the answer to one must not depend on the others."""

    def mass(self, asked: Sequence[Question]) -> NDArray[np.float64]:
        """(m,) share of the whole next token's probability that lies on the wanted ones.

        Where a reader can't see all of them, it is the share of those that it sees: at least so much.

        Raises:
            PlannerError: a question has no answer.
        """

    def write(self, prompts: Sequence[Sequence[int]], most: int, end: int, decode: Decode) -> list[str]:
        """The most probable text after each prompt, up to the `end` token, `most` tokens long at most.

        Raises:
            PlannerError: a prompt has no answer.
        """


@dataclass(slots=True)
class Found:
    """Names after n prompts.

    Attributes:
        scores: (n, N) log-probabilities; -inf where a name was not found, NaN in rows with bad scores.
        usage: what the reading cost.
        failures: row -> why it has no answer.
        gone: why the reader stopped in the middle, '' where it didn't.
    """

    scores: NDArray[np.float64]
    usage: Usage
    failures: dict[int, str]
    gone: str = ""


@dataclass(frozen=True, slots=True)
class _Open:
    """A branch of the trie still to be read for a row, and the log-probability of getting there."""

    row: int
    branch: int
    mass: float


def search(reader: TokenReader, trie: Trie, prompts: Sequence[Sequence[int]], beam: int, top: int) -> Found:
    """Log-probabilities of the names of a trie after prompts given as token ids.

    Some prompts are brought to their end before others begin, so that a reader that stops in the middle
    leaves whole rows.

    Args:
        trie: of the names, with at least one branch.
        beam: branches read per prompt and level.
        top: how many names of a row are wanted; only these are sure to be there.
    """
    found = Found(np.full((len(prompts), trie.size), -np.inf), Usage(), {})
    for start in range(0, len(prompts), TOGETHER):
        if not found.gone:
            _search(
                reader, trie, prompts, range(start, min(start + TOGETHER, len(prompts))), beam, top, found
            )
    return found


def _search(
    reader: TokenReader,
    trie: Trie,
    prompts: Sequence[Sequence[int]],
    rows: range,
    beam: int,
    top: int,
    found: Found,
) -> None:
    """Find the names of some rows."""
    lost: set[int] = set()
    waiting = [_Open(row, 0, 0.0) for row in rows]
    while waiting:
        asked = [
            Question((*prompts[one.row], *trie.branches[one.branch].path), trie.branches[one.branch].tokens)
            for one in waiting
        ]
        answers = reader.logprobs(asked)
        found.usage += answers.usage
        found.gone = answers.gone
        for question, reason in answers.failures.items():
            found.failures.setdefault(waiting[question].row, reason)
        unasked = (one.row for one, logp in zip(waiting, answers.logp, strict=True) if not len(logp))
        lost.update(unasked, found.failures)
        below: list[_Open] = []
        for one, logp in zip(waiting, answers.logp, strict=True):
            if one.row not in lost:
                below += _choices(trie, one, logp, found.scores[one.row])
        waiting = _kept(below, found, beam, top)
        if found.gone:
            lost.update(one.row for one in waiting)
            break
    found.scores[sorted(lost)] = -np.inf


def _choices(
    trie: Trie, one: _Open, logp: NDArray[np.float64], scores: NDArray[np.float64]
) -> Iterable[_Open]:
    """Enter the names that a branch decides into the row's scores (N,); what is still open below it."""
    if np.isnan(logp).any() or not np.isfinite(logp.max()):
        scores[:] = np.nan
        return ()
    score = one.mass + logp - np.logaddexp.reduce(logp)
    targets = trie.branches[one.branch].targets
    leaves = targets < 0
    scores[~targets[leaves]] = score[leaves]
    return [
        _Open(one.row, branch, mass)
        for branch, mass in zip(targets[~leaves].tolist(), score[~leaves].tolist(), strict=True)
    ]


def _kept(below: Sequence[_Open], found: Found, beam: int, top: int) -> list[_Open]:
    """Of each row's open branches the `beam` most probable, without those that can't enter its `top`."""
    rows: dict[int, list[_Open]] = {}
    for one in below:
        rows.setdefault(one.row, []).append(one)
    kept: list[_Open] = []
    for row, some in rows.items():
        scores = found.scores[row]
        if np.isnan(scores).any():
            continue
        least = np.partition(scores, -top)[-top] if top < len(scores) else -np.inf
        best = sorted(some, key=lambda one: (-one.mass, one.branch))[:beam]
        kept += [one for one in best if one.mass >= least and one.mass > -np.inf]
    return kept


def best(scores: NDArray[np.float64], top: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """The `top` largest of each row of log-probabilities (n, N), ties by index; -inf is never an answer.

    Returns (n, top) names, -1 where there are fewer, and their log-probabilities.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    logp = np.minimum(np.take_along_axis(scores, order, axis=1), 0.0).astype(np.float32)
    return np.where(np.isneginf(logp), -1, order).astype(np.int16), logp
