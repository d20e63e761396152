"""The seams of Freshet: one to three methods on plain types each.

Every backend of a port passes the port's public contract suite in `freshet.checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from freshet.checksums import verify
from freshet.types import Example, Interests, Prompt, Ranking, TuningReport, Usage

Progress = Callable[[int, int], None]
"""Called with (done, total) as long work goes on."""


def silent(done: int, total: int) -> None:
    """A Progress that shows nothing."""


class Planner(Protocol):
    """Ranks successors for contexts."""

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


@runtime_checkable
class Generator(Protocol):
    """Optional ability of a planner: write freely, which is what the exact-match gate measures."""

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        """Unconstrained greedy text of each prompt, without the prompt."""


@runtime_checkable
class Noted(Protocol):
    """Optional ability of a planner: say what a person should know before a run."""

    @property
    def note(self) -> str:
        """A line of text, or '' where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class TuningJob:
    """Everything a tuner needs, already chosen and worded.

    `max_seconds` bounds training; `epochs` and `learning_rate` of 0 mean: the tuner's own default.
    """

    interests: Interests
    examples: Sequence[Example]
    corpus: Sequence[str]
    mode: str
    epochs: float
    learning_rate: float
    batch_size: int
    lora_rank: int
    max_seconds: float
    seed: int


class Tuner(Protocol):
    """Makes planners: fine-tunes a base model into a folder, and opens such a folder."""

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        """Write a model folder (safetensors, tokenizer, `freshet.json`)."""

    def version(self, model: Path, interests: Interests) -> str:
        """Version of the planner that `open` would give, told without loading the model."""

    def open(self, model: Path, interests: Interests) -> Planner:
        """A planner on a folder that `tune` wrote."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A committed, immutable folder of files, valid because its manifest is there.

    `folder` is where it lies; `path` is the way to its files.
    """

    kind: str
    version: str
    folder: Path
    manifest: dict[str, Any]

    @property
    def path(self) -> Path:
        """The folder, after its files were compared with their checksums (once while they don't change).

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        verify(self.folder, self.manifest["files"])
        return self.folder


@dataclass(slots=True)
class Draft:
    """A folder being written; `manifest` is stored last, when the `create` block ends without an error."""

    path: Path
    manifest: dict[str, Any]


class Store(Protocol):
    """Where artifacts live."""

    def find(self, kind: str, version: str) -> Artifact | None:
        """The artifact if it was committed, else None."""

    def create(self, kind: str, version: str) -> AbstractContextManager[Draft]:
        """A draft that becomes the artifact when the block ends well and vanishes when it doesn't."""

    def versions(self, kind: str) -> list[str]:
        """Committed versions of a kind, oldest first."""
