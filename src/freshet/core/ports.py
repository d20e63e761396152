"""The seams of Freshet: one to three methods on plain types each.

Every backend of a port passes the port's public contract suite in `freshet.checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import PlannerError
from freshet.core.types import (
    BoolArray,
    CadenceDecision,
    Entry,
    Example,
    Fact,
    History,
    IntArray,
    Interests,
    Prompt,
    Ranking,
    RankingWeights,
    SequenceWeights,
    Signs,
    TuningReport,
    Usage,
)

Progress = Callable[[int, int], None]
"""Called with (done, total) as long work goes on."""


def silent(done: int, total: int) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a planner can do beside ranking, and how its answers are to be read.

    Whoever wraps a planner hands its abilities on. A gate that needs one that is missing fails.

    Attributes:
        generates: it can `generate`, which the exact-match gate of description mode needs.
        labels: it can tell its `label_mass`, which the gates of label mode need.
        relative: its probabilities say what a context changes about popularity, which then multiplies them;
            otherwise they say what comes next.
    """

    generates: bool = False
    labels: bool = False
    relative: bool = False


class Planner(Protocol):
    """Ranks successors for contexts.

    A class that derives from this one needs `version`, `rank` and `size`; all else has a default, which says
    that there is nothing more to it.
    """

    @property
    def version(self) -> str:
        """Identity of everything that decides the answers (weights, mode, decoding); part of fingerprints."""

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        """The `top` best successors of each prompt; a row must not depend on the other prompts.

        Raises:
            PlannerError: a prompt cannot be ranked; the caller isolates and reports it.
        """

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """Expected cost of ranking these prompts together, for the plan that is shown before a run."""

    @property
    def abilities(self) -> Abilities:
        """What it can do beside ranking."""
        return Abilities()

    @property
    def note(self) -> str:
        """A line that a person should read before the planner is used, or ''."""
        return ""

    @property
    def forerunner(self) -> Planner:
        """The planner tuned on what came before the held-out windows; itself where it was not tuned anew.

        What the forerunner answers there is a forecast.
        """
        return self

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:  # noqa: ARG002
        """Unconstrained greedy text of each prompt, without the prompt.

        Raises:
            PlannerError: it doesn't write freely (`abilities.generates`).
        """
        raise _lacks(self, "write freely", "generates")

    def label_mass(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:  # noqa: ARG002
        """(n,) share of the next token's probability, unconstrained, that lies on labels of interests.

        Raises:
            PlannerError: it has no labels (`abilities.labels`).
        """
        raise _lacks(self, "tell how much probability lies on labels", "labels")


def _lacks(planner: Planner, what: str, ability: str) -> PlannerError:
    return PlannerError(
        f"planner {planner.version} cannot {what}",
        hint=f"ask it only if its abilities say `{ability}`",
    )


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the successor of each of n examples was chosen from.

    Attributes:
        known: (n, N) interests the user knew; never a successor.
        popularity: (W, N) log-share of each interest among recent successors, before each of W windows.
        window: (n,) the window of each example.
    """

    known: BoolArray
    popularity: NDArray[np.float32]
    window: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Budget:
    """What one training may take; it may end earlier by its own recipe.

    Steps decide: jobs that are equal give equal weights, however busy the machine is. Seconds are a stop of
    last resort, which the report tells of; what it cut short is made again by the steps it had reached.

    Attributes:
        steps: of the optimiser, at most; None = as many as the recipe gives for the rows of the job.
        seconds: after which the step in hand is the last one; infinite for a training that was made before.
        stopped_after: steps after which the clock ended this very training before: it ends there again.
    """

    steps: int | None = None
    seconds: float = 3600.0
    stopped_after: int | None = None

    def of(self, steps: int) -> int:
        """How many of the steps of a recipe are made, at least one."""
        return max(1, steps if self.steps is None else min(steps, self.steps))


@dataclass(frozen=True, slots=True)
class TuningJob:
    """Everything a tuner needs, already chosen and worded.

    `epochs`, `learning_rate` and `batch_size` of 0 mean: the tuner's own default. `candidates` are those of
    `examples`, for tuners that learn from them.
    """

    interests: Interests
    examples: Sequence[Example]
    corpus: Sequence[str]
    mode: str
    epochs: float
    learning_rate: float
    batch_size: int
    lora_rank: int
    budget: Budget
    seed: int
    candidates: Candidates | None = None


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """What a tuning will ask of the model that it starts from, as far as it is known before it is prepared.

    Attributes:
        descriptions: of the interests.
        mode: `description` or `label`, what of an interest it reads and writes.
        k: interests of a context, at most.
        said: successors that evidence names in a prompt, at most.
        lora_rank: of the updates; 0 = all weights are trained.
    """

    descriptions: Sequence[str]
    mode: str
    k: int
    said: int
    lora_rank: int


class Tuner(Protocol):
    """Makes planners: fine-tunes a base model into a folder, and opens such a folder."""

    @property
    def recipe(self) -> str:
        """Identity of what decides the weights beside the job, such as the bytes of a base checkpoint.

        '' where the base isn't there (any more): models made from it before are as good as they were.
        """

    def check(self, plan: TuningPlan) -> None:
        """Refuse a plan that can't be carried out; quick, for it comes before all that is costly.

        Raises:
            ConfigError: the base checkpoint or a setting doesn't fit.
            MissingExtra: a package is not installed.
        """

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        """Write a model folder (safetensors, tokenizer, `freshet.json`).

        Equal jobs give equal files on one machine, unless the report says that the clock stopped one.
        """

    def version(self, model: Path, interests: Interests) -> str:
        """Version of the planner that `open` would give, told without loading the model."""

    def abilities(self, model: Path, interests: Interests) -> Abilities:
        """Abilities of the planner that `open` would give, told without loading the model."""

    def open(self, model: Path, interests: Interests) -> Planner:
        """A planner on a folder that `tune` wrote."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Which costly signs a cadence policy looks at; those it doesn't are left empty.

    Attributes:
        rows: transitions before today and before the last refresh.
        staleness: what old counts cost, against those of the day.
    """

    rows: bool = False
    staleness: bool = False


class CadencePolicy(Protocol):
    """Decides on which days the fast path is due."""

    @property
    def looks(self) -> Looks:
        """What it looks at beside days, traffic and cost."""

    def decide(self, signs: Signs) -> CadenceDecision:
        """Whether to refresh on the day of the signs; the same signs give the same decision."""


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
        passes: over the rows; 0 = as many as do best on the last fifth of them, after learning from the rest.
        budget: of the whole training; its `steps` are those of each of its phases.
    """

    sequences: Sequences
    vectors: NDArray[np.float32]
    passes: float
    budget: Budget
    seed: int


@dataclass(frozen=True, slots=True)
class SequenceReport:
    """What training a sequence model did.

    Attributes:
        rows: learned from.
        passes: over the rows, as chosen or as given.
        held_out: nats per row of the last fifth before it was learned from; None where `passes` was given.
        usage: of everything that was computed; a token is one recent thing read.
        steps: of the optimiser, in all phases.
        stopped_after: steps after which the clock ended a phase; None = it ended none.
    """

    rows: int
    passes: float
    held_out: float | None
    usage: Usage
    steps: int = 0
    stopped_after: int | None = None


class SequenceTrainer(Protocol):
    """Makes sequence models."""

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
        later: numbers of rows that are held out: they tell when to stop; None = `passes` does.
        passes: over the rows, where nothing is held out.
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
    passes: float
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


class Journal(Protocol):
    """Entries in the order in which they came, kept until they are trimmed."""

    def append(self, bodies: Sequence[bytes]) -> None:
        """Add entries; they are durable when this returns.

        If it raises, some may be there; the same entries again, maybe with more behind them, add the others.
        """

    def read(self, after: int, limit: int) -> list[Entry]:
        """The first `limit` entries behind a position, in order; 0 is before the first."""

    def end(self) -> int:
        """Position of the last entry that was added, 0 before any; one that was trimmed counts.

        Who reads up to it comes to an end while others go on adding.
        """

    def trim(self, upto: int) -> None:
        """Forget the entries up to and including a position, and the identities of the events among them.

        It goes in steps, oldest first: one that raises may have forgotten some.
        """


class Notes(Protocol):
    """A few small named values that outlive the process."""

    def get(self, name: str) -> bytes | None:
        """The value, None where there is none."""

    def put(self, name: str, value: bytes) -> None:
        """Replace the value; durable when this returns."""


class UserStore(Protocol):
    """What serving remembers: users' histories, a journal of events, a journal of impressions, notes.

    Histories merge: of an item or interest the later time stays, and of the items the last
    `freshet.core.types.REMEMBERED` by (time, key). So the order in which facts and merges come makes no
    difference, and doing one twice changes nothing.

    Raises (all methods):
        StateError: the store can't be reached or is full; retryable. What raised has either happened whole or
            not at all.
    """

    @property
    def note(self) -> str:
        """A line that a person should read before the state is used, or ''."""

    @property
    def events(self) -> Journal:
        """Bodies of recorded facts."""

    @property
    def impressions(self) -> Journal:
        """What was shown."""

    @property
    def notes(self) -> Notes:
        """Positions, and what has been loaded."""

    def histories(self, users: Sequence[bytes]) -> list[History]:
        """Of each user; empty for one who is not known."""

    def record(self, facts: Sequence[Fact]) -> list[bool]:
        """Remember facts, all or none, durably: histories and the journal of events in one step.

        Returns:
            For each whether it was new; False for an identity that the journal or an earlier fact of the call
            has: that one changes nothing.
        """

    def merge(self, histories: Iterable[tuple[bytes, History]]) -> None:
        """Join histories to what is remembered, such as those of an imported log; need not be atomic."""

    def close(self) -> None:
        """Let go of files and connections."""
