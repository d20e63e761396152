"""How each part of the mixture ranks what may follow a context, and in words where they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import RECENT, Context
from freshet.inspect.release_view import Opened
from freshet.stages.counts import PlannerScores, SingleUserScorer, UserScores
from freshet.stages.table.format import open_planner, open_scorer, open_single_user_scorer

FIRST = 5
"""How many of each part are compared."""
FAR = 5
"""Places by which two parts disagree about an interest, to be worth a sentence."""
_WORDS = {"counts": "the counts", "planner": "the planner", "sequence": "the sequence model"}


@dataclass(frozen=True, slots=True)
class Standing:
    """What one part says of an interest: its probability, and the place that gives it, from 1."""

    probability: float
    place: int


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """An interest by every part.

    Attributes:
        fused: by all of them.
        parts: by name: `counts`, and `planner` and `sequence` where there are such.
        content: how many times as likely content makes it; None without content.
        evidence: share of the recent transitions in the prompt; None where it is not among them.
    """

    id: int
    description: str
    fused: Standing
    parts: Mapping[str, Standing]
    content: float | None
    evidence: float | None


@dataclass(frozen=True, slots=True)
class ContextScores:
    """The best successors of a context; `differences` says in sentences where the parts disagree."""

    lines: tuple[ScoreLine, ...]
    parts: tuple[str, ...]
    differences: tuple[str, ...]


class ContextScorer:
    """Scores contexts as serving scores a user who engaged just these interests; opened once per release.

    Raises:
        ArtifactError: a part of the release is missing or damaged.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        size = len(opened.interests)
        self._mixture: SingleUserScorer = open_single_user_scorer(opened.made, open_scorer(opened.made, size))
        self._planner: PlannerScores | None = open_planner(opened.made, size)

    def __call__(self, context: Context, top: int = 10) -> ContextScores:
        """The `top` successors of a context, and whatever one part alone puts among its first."""
        size = len(self._opened.interests)
        recent = np.full(RECENT, -1, np.int16)
        if context:
            recent[-len(context) :] = context
        excluded = np.zeros(size, bool)
        excluded[list(context)] = True
        scores = self._mixture(recent, excluded)
        parts = self._parts(scores, recent, excluded)
        chosen = list(dict.fromkeys([*_first(scores.fused, top), *_own_first(parts)]))
        eligible = [index for index in chosen if not excluded[index]]
        lines = tuple(self._line(index, scores, parts, context) for index in eligible)
        return ContextScores(lines, tuple(parts), tuple(differences(lines)))

    def _parts(
        self, scores: UserScores, recent: NDArray[np.int16], excluded: NDArray[np.bool_]
    ) -> dict[str, NDArray[np.float64]]:
        """Log-probabilities by part; the planner's also where it is left out of the mixture."""
        found = {"counts": scores.count}
        if scores.planner is not None:
            found["planner"] = scores.planner
        elif self._planner is not None and recent[-1] >= 0:
            shares = np.exp(scores.count)[None]
            asked = self._planner.feature(recent[None], shares)[0].astype(np.float64)
            found["planner"] = np.where(excluded, -np.inf, asked)
        if scores.sequence is not None:
            found["sequence"] = scores.sequence
        return found

    def _line(
        self, index: int, scores: UserScores, parts: Mapping[str, NDArray[np.float64]], context: Context
    ) -> ScoreLine:
        named = self._opened.named(index)
        evidence = self._opened.evidence.get(context)
        shares = {one.interest: one.share for one in evidence.successors} if evidence else {}
        return ScoreLine(
            named.id,
            named.description,
            _standing(scores.fused, index),
            {name: _standing(logp, index) for name, logp in parts.items()},
            _factor(scores, index),
            shares.get(index),
        )


def differences(lines: Sequence[ScoreLine]) -> list[str]:
    """Where planner and sequence model disagree with the counts, and what is first by all of them."""
    if not lines:
        return []
    found = []
    for part in ("planner", "sequence"):
        if part in lines[0].parts:
            found += _against_counts(lines, part)
    moved = max(lines, key=lambda line: line.parts["counts"].place - line.fused.place)
    gained = moved.parts["counts"].place - moved.fused.place
    if moved.fused.place <= FIRST and gained >= FAR:
        found.append(
            f"All parts together put '{moved.description}' {_ordinal(moved.fused.place)}; "
            f"by counts alone it would be {_ordinal(moved.parts['counts'].place)}."
        )
    best = min(lines, key=lambda line: line.fused.place)
    agreed = [_WORDS[part] for part, standing in best.parts.items() if standing.place == 1]
    if agreed:
        found.append(f"First by all parts together is '{best.description}', as by {' and by '.join(agreed)}.")
    else:
        found.append(f"First by all parts together is '{best.description}', which no part alone puts first.")
    return found


def _against_counts(lines: Sequence[ScoreLine], part: str) -> list[str]:
    """How many of its first interests a part shares with the counts, and the widest gap in each direction."""
    words = _WORDS[part]
    mine = {line.id for line in lines if line.parts[part].place <= FIRST}
    theirs = {line.id for line in lines if line.parts["counts"].place <= FIRST}
    shared = len(mine & theirs)
    found = [f"{words.capitalize()} and the counts share {shared} of their first {len(mine)} interests."]

    def gap(line: ScoreLine) -> int:
        return line.parts["counts"].place - line.parts[part].place

    for line, ahead in ((max(lines, key=gap), True), (min(lines, key=gap), False)):
        first = line.parts[part].place if ahead else line.parts["counts"].place
        if abs(gap(line)) < FAR or first > FIRST or (gap(line) > 0) != ahead:
            continue
        by_part, by_counts = (_ordinal(line.parts[name].place) for name in (part, "counts"))
        found.append(
            f"{words.capitalize()} puts '{line.description}' {by_part}, the counts put it {by_counts}."
        )
    return found


def _first(logp: NDArray[np.float64], count: int) -> list[int]:
    order = np.argsort(-logp, kind="stable")[:count]
    return [int(index) for index in order if logp[index] > -np.inf]


def _own_first(parts: Mapping[str, NDArray[np.float64]]) -> list[int]:
    """What any part puts among its first."""
    return [index for logp in parts.values() for index in _first(logp, FIRST)]


def _standing(logp: NDArray[np.float64], index: int) -> Standing:
    return Standing(math.exp(float(logp[index])), int((logp > logp[index]).sum()) + 1)


def _factor(scores: UserScores, index: int) -> float | None:
    """How many times as likely content makes an interest; as explanations of answers say it."""
    if scores.content is None:
        return None
    without = scores.fused - scores.content
    return math.exp(scores.content[index] + float(np.logaddexp.reduce(without)))


def _ordinal(place: int) -> str:
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
