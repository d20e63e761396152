"""Questions to planners, their answers, and what they are tuned on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types.interests import Context, positions


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a planner: which interest comes after this context?

    Attributes:
        context: what it is about.
        text: what the planner reads.
        system: an instruction that a chat model gets before the text; '' = none.
        options: the interests to choose among, in the order in which they are listed; () = all.
        listing: how each option reads, in their order; () = by its name.
    """

    context: Context
    text: str
    system: str = ""
    options: tuple[int, ...] = ()
    listing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call cost.

    Attributes:
        tokens: read and written by the model.
        flops: floating point operations for them; 0 where the model runs elsewhere.
        written: those of the tokens that the model wrote, which providers price higher.
        requests: sent to a server; 0 for models in this process.
        invalid: answers that were no valid choice, so that the prompt was asked again or left unanswered.
        trained: tokens that a provider fine-tuned a model on; none of the others.
    """

    tokens: int = 0
    flops: float = 0.0
    written: int = 0
    requests: int = 0
    invalid: int = 0
    trained: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.tokens + other.tokens,
            self.flops + other.flops,
            self.written + other.written,
            self.requests + other.requests,
            self.invalid + other.invalid,
            self.trained + other.trained,
        )


@dataclass(frozen=True, slots=True)
class Ranking:
    """A planner's answer to n prompts.

    Attributes:
        successors: (n, m) interest indices, best first, -1 where fewer than m were found.
        logp: (n, m) natural log of the renormalised probability, non-increasing along a row; -inf at -1.
            The probabilities of a row sum to at most 1; what is missing is the mass outside the top m.
        failures: (row, reason) of prompts without an answer; their rows are all -1.
        gone: why the planner stopped in the middle, '' where it didn't: other rows that are all -1 were not
            asked, and the next call raises `PlannerGone`.
    """

    successors: NDArray[np.int16]
    logp: NDArray[np.float32]
    usage: Usage = Usage()
    failures: tuple[tuple[int, str], ...] = ()
    gone: str = ""

    def __len__(self) -> int:
        return len(self.successors)


@dataclass(frozen=True, slots=True)
class ShortLists:
    """The interests among which a planner chose, for C prompts.

    Attributes:
        options: (C, M) best first when the list was made, -1 padded.
        mass: (C,) what the probabilities of an answer are multiplied by: a planner that chose among some says
            nothing about how likely they are together.
        day: (C,) days since 1970: what was known before that day made the list and its mass.
    """

    options: NDArray[np.int16]
    mass: NDArray[np.float32]
    day: NDArray[np.int32]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> ShortLists:
        """The lists of some of the prompts."""
        return ShortLists(self.options[rows], self.mass[rows], self.day[rows])

    @classmethod
    def concatenate(cls, parts: Sequence[ShortLists]) -> ShortLists:
        """All lists of at least one part, in the order given."""
        width = max(part.options.shape[1] for part in parts)
        options = [
            np.pad(part.options, ((0, 0), (0, width - part.options.shape[1])), constant_values=-1)
            for part in parts
        ]
        return cls(
            np.concatenate(options),
            np.concatenate([part.mass for part in parts]),
            np.concatenate([part.day for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class PlannerRows:
    """Planner answers for many contexts, each under the fingerprint of the prompt that produced it.

    Attributes:
        contexts: (C, k) right-aligned, -1 padded.
        fingerprints: (C, 16) bytes; equal exactly when model, wording, evidence and decoding are equal.
        successors: (C, m) interest indices, best first, -1 padded; all -1 where the prompt failed.
        logp: (C, m) log-probabilities, -inf at -1.
        origin: (C,) index into `origins` of the table for which the row was inferred.
        origins: versions of those tables; of rows of single users, the days as of which they were asked.
        lists: what the planner chose among; None = all interests.
    """

    contexts: NDArray[np.int16]
    fingerprints: NDArray[np.uint8]
    successors: NDArray[np.int16]
    logp: NDArray[np.float32]
    origin: NDArray[np.int32]
    origins: tuple[str, ...]
    lists: ShortLists | None = None

    def __len__(self) -> int:
        return len(self.contexts)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> PlannerRows:
        """Some of the rows."""
        return PlannerRows(
            self.contexts[rows],
            self.fingerprints[rows],
            self.successors[rows],
            self.logp[rows],
            self.origin[rows],
            self.origins,
            None if self.lists is None else self.lists.take(rows),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[PlannerRows]) -> PlannerRows:
        """All rows of at least one part, in the order given; equal contexts may occur several times."""
        origins = sorted({name for part in parts for name in part.origins})
        number = {name: index for index, name in enumerate(origins)}
        renamed = [
            np.array([number[name] for name in part.origins], np.int32)[np.asarray(part.origin)]
            for part in parts
        ]
        lists = [part.lists for part in parts if part.lists is not None]
        return cls(
            np.concatenate([part.contexts for part in parts]),
            np.concatenate([part.fingerprints for part in parts]),
            np.concatenate([part.successors for part in parts]),
            np.concatenate([part.logp for part in parts]),
            np.concatenate(renamed),
            tuple(origins),
            ShortLists.concatenate(lists) if len(lists) == len(parts) else None,
        )


@dataclass(frozen=True, slots=True)
class UserRows:
    """Planner answers about single users, each asked with that user's own recent interests.

    Attributes:
        user: (n,) numbers of the users (`types.user_number`), ascending.
        rows: their answers; a context holds the interests that the planner was asked with.
    """

    user: NDArray[np.uint64]
    rows: PlannerRows

    def __len__(self) -> int:
        return len(self.user)

    def of(self, user: NDArray[np.uint64], recent: NDArray[np.int16]) -> NDArray[np.int64]:
        """(m,) row of each user with these recent interests (m, R), -1 where none speaks of them.

        A row speaks of its user until the user engages something else; interests that have become too old
        to be recent may be missing by then.
        """
        place = positions(self.user, user)
        asked = self.rows.contexts
        now = recent[:, recent.shape[1] - asked.shape[1] :]
        same = (now == asked[place]) | (now < 0) if len(asked) else np.zeros(now.shape, bool)
        return np.where((place >= 0) & same.all(axis=1) & (now[:, -1] >= 0), place, -1)


@dataclass(frozen=True, slots=True)
class PlannerPrior:
    """What a planner says comes after each interest alone, asked without a word about the log.

    Attributes:
        version: of the artifact that holds it.
        planner: version of the planner.
        rows: its answers; contexts are single interests, those that failed have empty rows.
        relative: they say what an interest changes about popularity, which then multiplies them.
    """

    version: str
    planner: str
    rows: PlannerRows
    relative: bool = False

    @property
    def answered(self) -> int:
        """For how many interests there is an answer."""
        return int((np.asarray(self.rows.successors) >= 0).any(axis=1).sum())


@dataclass(frozen=True, slots=True)
class Example:
    """One fine-tuning sample: a prompt and the interest that came next."""

    prompt: Prompt
    successor: int
    completion: str


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What fine-tuning did: number of examples, passes, losses (nats per completion token), and cost.

    `relative`: the planner's answers are relative to recent popularity (see `ports.Abilities`). `steps` of
    the optimiser were made; the clock ended training after `stopped_after` of them, None = it didn't.
    `ended`, `holdout_nll`, `noise`: as in `ports.SequenceReport`, where examples were held out.
    """

    examples: int
    epochs: float
    losses: tuple[float, ...]
    usage: Usage
    base: str
    relative: bool = False
    steps: int = 0
    stopped_after: int | None = None
    ended: str = ""
    holdout_nll: float | None = None
    noise: float | None = None
