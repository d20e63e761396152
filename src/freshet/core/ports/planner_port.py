"""Planners, which rank successors for contexts, and tuners, which make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import PlannerError
from freshet.core.isolation import rank_isolated
from freshet.core.ports.run_ports import Budget, Progress, silent
from freshet.core.prompts import TEMPLATE
from freshet.core.types import (
    BoolArray,
    Example,
    Interests,
    Prompt,
    Ranking,
    TuningReport,
    Usage,
)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a planner can do beside ranking, and how its answers are to be read.

    Whoever wraps a planner hands its abilities on. A gate that needs one that is missing fails.

    Attributes:
        generates: it can `generate`, which the exact-match gate of description mode needs.
        labels: it has a `label_mass`, which the gates of label mode need.
        relative: its probabilities say what a context changes about popularity, which then multiplies them;
            otherwise they say what comes next.
        prepares: it wants to learn of all prompts before the first is ranked (`prepare`).
        options: it chooses among the `options` of a prompt, where there are any; others rank all interests.
    """

    generates: bool = False
    labels: bool = False
    relative: bool = False
    prepares: bool = False
    options: bool = False


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
            PlannerGone: no further prompt will be answered.
            PlannerError: a prompt cannot be ranked; the caller isolates and reports it. A planner that knows
                which one says so in `Ranking.failures` instead.
        """

    def rank_each(self, chunks: Iterable[Sequence[Prompt]], top: int) -> Iterator[tuple[int, Ranking]]:
        """(number of a chunk, its ranking with `top` columns), as they come; a bad prompt has failed alone.

        Chunks are taken as they can be asked. Here they are asked one after the other; a planner of which
        there are copies elsewhere has several asked at once.
        """
        for number, prompts in enumerate(chunks):
            yield number, rank_isolated(self, prompts, top)

    def prepare(self, prompts: Sequence[Prompt]) -> None:  # noqa: ARG002
        """Learn of prompts that are about to be ranked, chunk by chunk, before the first of them is.

        Called where `abilities.prepares`; `ready` ends it.
        """
        return

    def ready(self) -> None:
        """No more prompts will be prepared: a planner that asks in bulk sends what it has to ask now.

        Raises:
            AnswersPending: answers come later; the same command goes on then.
        """
        return

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
    def holdout_model(self) -> Planner:
        """The planner tuned on what came before the held-out windows; itself where it was not tuned anew.

        What the holdout model answers there is a forecast.
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
class Begin:
    """What a training begins with instead of its base.

    Attributes:
        model: folder of a model that this tuner made for the same interests and settings.
        share: of the epochs that a training from the base makes, between 0 and 1: most was learned before.
    """

    model: Path
    share: float


@dataclass(frozen=True, slots=True)
class TuningJob:
    """Everything a tuner needs, already chosen and worded.

    `epochs`, `learning_rate` and `batch_size` of 0 mean: the tuner's own default. `candidates` are those of
    `examples`, for tuners that learn from them. `template` is the version of the wording of the prompts,
    `until` the day (ISO) before which the examples lie. `kept`: a folder in which this very
    training may keep what it did so far, so that it goes on from there when it was killed; None = nothing is
    kept. `begin`: None = the tuner's base; it is given to tuners that say that they continue models.
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
    template: int | str = TEMPLATE
    kept: Path | None = None
    until: str = ""
    begin: Begin | None = None


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """What a tuning will ask of the model that it starts from, as far as it is known before it is prepared.

    Attributes:
        descriptions: of the interests.
        mode: `description` or `label`, what of an interest it reads and writes.
        k: interests of a context, at most.
        evidence_top: successors that evidence names in a prompt, at most.
        lora_rank: of the updates; 0 = all weights are trained.
        batch_size: examples of a step of the optimiser; 0 = the tuner's own default.
    """

    descriptions: Sequence[str]
    mode: str
    k: int
    evidence_top: int
    lora_rank: int
    batch_size: int = 0


class Tuner(Protocol):
    """Makes planners: fine-tunes a base model into a folder, and opens such a folder.

    A model that is not trained here, such as one behind an endpoint, has a tuner too: its folder says what
    the model is and what its server can do.
    """

    @property
    def trains(self) -> bool:
        """Whether `tune` learns from the job's examples; otherwise it gets none, and nothing is refitted."""
        return True

    def continues_models(self, mode: str) -> bool:  # noqa: ARG002
        """Whether a training in a mode can begin at the weights of a model that was made before."""
        return False

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

    def forecast(self, plan: TuningPlan) -> str:  # noqa: ARG002
        """What the tuning will take of this machine, in a line that is shown before it starts; '' = little.

        Raises:
            ConfigError: more than there is.
        """
        return ""

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        """Write a model folder (safetensors, tokenizer, `freshet.json`).

        Equal jobs give equal files on one machine, unless the report says that the clock stopped one.
        """

    def preview(self, interests: Interests) -> Planner | None:  # noqa: ARG002
        """A planner that can tell what asking would cost (`size`), before there is a model folder.

        None where tuning comes first anyway, which costs more than a plan.
        """
        return None

    def version(self, model: Path, interests: Interests) -> str:
        """Version of the planner that `open` would give, without loading the model."""

    def abilities(self, model: Path, interests: Interests) -> Abilities:
        """Abilities of the planner that `open` would give, without loading the model."""

    def open(self, model: Path, interests: Interests) -> Planner:
        """A planner on a folder that `tune` wrote."""
