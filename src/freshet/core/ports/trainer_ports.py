"""Trainers of sequence models over recent things, and of rankers of items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports.run_ports import Budget, Progress, silent
from freshet.core.types import (
    BoolArray,
    IntArray,
    RankingWeights,
    SequenceWeights,
    Usage,
)


@dataclass(frozen=True, slots=True)
class Sequences:
    """What a sequence model learns from, n rows in the order of time.

    Attributes:
        recent: (n, R) numbers of recent things, most recent last, right-aligned, -1 padded; none is empty.
        following: (n,) what came next.
        known: (n, V) what could not come next.
        prior: (g, P, V) what was known beforehand at g moments, as log-probabilities of P kinds, such as
            popularity at several half-lives: the model learns what histories say beyond it.
        moment: (n,) which of those moments a row belongs to.
    """

    recent: IntArray
    following: IntArray
    known: BoolArray
    prior: NDArray[np.float32]
    moment: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.following)

    def take(self, rows: NDArray[np.int64] | BoolArray | slice) -> Sequences:
        """The chosen rows."""
        return Sequences(
            self.recent[rows], self.following[rows], self.known[rows], self.prior, self.moment[rows]
        )


@dataclass(frozen=True, slots=True)
class SequenceJob:
    """Everything a trainer of a sequence model needs.

    Attributes:
        sequences: to learn from.
        vectors: (V, a) what is known of each thing beforehand.
        epochs: over the rows; 0 = as many as do best on the last fifth of them, after learning from the rest.
        budget: of the whole training; its `steps` are those of each of its phases.
    """

    sequences: Sequences
    vectors: NDArray[np.float32]
    epochs: float
    budget: Budget
    seed: int


@dataclass(frozen=True, slots=True)
class SequenceReport:
    """What training a sequence model did.

    Attributes:
        rows: learned from.
        epochs: over the rows, as chosen or as given.
        holdout_nll: per row of the last fifth before it was learned from; None where `epochs` was given.
        usage: of everything that was computed; a token is one recent thing read.
        steps: of the optimiser, in all phases.
        stopped_after: steps after which the clock ended a phase; None = it ended none.
    """

    rows: int
    epochs: float
    holdout_nll: float | None
    usage: Usage
    steps: int = 0
    stopped_after: int | None = None


class SequenceTrainer(Protocol):
    """Trains sequence models, the same from the same job."""

    @property
    def version(self) -> str:
        """Identity of the recipe: what decides the weights beside the job."""

    def train(self, job: SequenceJob, progress: Progress = silent) -> tuple[SequenceWeights, SequenceReport]:
        """The weights, equal for equal jobs unless the report says that the clock stopped one."""


@dataclass(frozen=True, slots=True)
class RankingJob:
    """Everything a trainer of a ranker needs: which item was engaged next, n rows in the order of time.

    Attributes:
        recent: (n, R) numbers of the items engaged last, most recent last, right-aligned, -1 padded; none is
            empty.
        following: (n,) the item engaged next.
        moment: (n,) which of g moments a row belongs to.
        prior: (g, V) scores of the items before each moment without any history: histories are to say what
            they add.
        there: (g, V) items that were there at each moment: the others are no candidates.
        start: (N + 1,) items of interest i are start[i] to start[i + 1], not included.
        vectors: (V, a) what items are about.
        later: numbers of rows that are held out: they decide when to stop; None = `epochs` does.
        epochs: over the rows, where nothing is held out.
        budget: of the whole training; its `steps` are those of each of its phases.
    """

    recent: NDArray[np.int32]
    following: NDArray[np.int32]
    moment: NDArray[np.int64]
    prior: NDArray[np.float32]
    there: BoolArray
    start: NDArray[np.int64]
    vectors: NDArray[np.float32]
    later: NDArray[np.int64] | None
    epochs: float
    budget: Budget
    seed: int

    def __len__(self) -> int:
        return len(self.following)

    def take(self, rows: NDArray[np.int64]) -> RankingJob:
        """The same job with the chosen rows, and none held out."""
        return replace(
            self,
            recent=self.recent[rows],
            following=self.following[rows],
            moment=self.moment[rows],
            later=None,
        )


class RankingTrainer(Protocol):
    """Makes what ranks items."""

    @property
    def version(self) -> str:
        """Identity of the recipe: what decides the weights beside the job."""

    def train(self, job: RankingJob, progress: Progress = silent) -> tuple[RankingWeights, SequenceReport]:
        """The weights, equal for equal jobs unless the report says that the clock stopped one."""
