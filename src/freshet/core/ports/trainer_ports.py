"""Trainers of sequence models over recent things, and of rankers of items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

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
        user: (n,) whose the rows are: equal numbers are one user.
        day: (n,) days since 1970.
    """

    recent: IntArray
    following: IntArray
    known: BoolArray
    prior: NDArray[np.float32]
    moment: NDArray[np.int64]
    user: NDArray[np.integer]
    day: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.following)

    def take(self, rows: NDArray[np.int64] | BoolArray | slice) -> Sequences:
        """The chosen rows."""
        return Sequences(
            self.recent[rows],
            self.following[rows],
            self.known[rows],
            self.prior,
            self.moment[rows],
            self.user[rows],
            self.day[rows],
        )


@dataclass(frozen=True, slots=True)
class SequenceJob:
    """Everything a trainer of a sequence model needs.

    Attributes:
        sequences: to learn from.
        vectors: (V, a) what is known of each thing beforehand.
        later: numbers of rows that are held out: they decide when to stop; None = `epochs` does.
        epochs: over the rows, where nothing is held out.
        budget: of the training.
        begin: weights that it begins at, of the same things; None = random ones.
    """

    sequences: Sequences
    vectors: NDArray[np.float32]
    later: NDArray[np.int64] | None
    epochs: float
    budget: Budget
    seed: int
    begin: SequenceWeights | None = None

    def __len__(self) -> int:
        return len(self.sequences)

    def take(self, rows: NDArray[np.int64]) -> SequenceJob:
        """The same job with the chosen rows, and none held out."""
        return replace(self, sequences=self.sequences.take(rows), later=None)


Ended = Literal["", "no gain", "epochs", "budget", "clock"]
"""Why a training ended: held-out rows gained no more than their noise, its epochs were made, it had made as
many steps as it may, or the time was up; "" = it doesn't say."""


@dataclass(frozen=True, slots=True)
class SequenceReport:
    """What training a sequence model or a ranker did.

    Attributes:
        rows: learned from.
        epochs: over the rows: made, or until what is kept where rows were held out.
        holdout_nll: nats per held-out row by what is kept; None where none were held out.
        usage: of everything that was computed; a token is one recent thing read.
        steps: of the optimiser.
        stopped_after: steps after which the clock ended it; None = it didn't.
        ended: why it ended.
        noise: standard error of the last gain on held-out rows, nats per row, by user.
    """

    rows: int
    epochs: float
    holdout_nll: float | None
    usage: Usage
    steps: int = 0
    stopped_after: int | None = None
    ended: Ended = ""
    noise: float | None = None


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
        user: (n,) whose the rows are: equal numbers are one user.
        prior: (g, V) scores of the items before each moment without any history: histories are to say what
            they add.
        there: (g, V) items that were there at each moment: the others are no candidates.
        start: (N + 1,) items of interest i are start[i] to start[i + 1], not included.
        vectors: (V, a) what items are about.
        later: numbers of rows that are held out: they decide when to stop; None = `epochs` does.
        epochs: over the rows, where nothing is held out.
        budget: of the training.
    """

    recent: NDArray[np.int32]
    following: NDArray[np.int32]
    moment: NDArray[np.int64]
    user: NDArray[np.integer]
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
            user=self.user[rows],
            later=None,
        )


class RankingTrainer(Protocol):
    """Makes what ranks items."""

    @property
    def version(self) -> str:
        """Identity of the recipe: what decides the weights beside the job."""

    def train(self, job: RankingJob, progress: Progress = silent) -> tuple[RankingWeights, SequenceReport]:
        """The weights, equal for equal jobs unless the report says that the clock stopped one."""
