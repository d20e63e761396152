"""Servers that are told of runs: what they are told, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

RunState = Literal["complete", "failed", "aborted"]
"""How a run or step ended; `aborted`: it was killed, waits for a person or for answers, or was rejected."""


@dataclass(frozen=True, slots=True)
class TrackedData:
    """Something that a step read or made.

    Attributes:
        place: '' = the workspace; else where it lies, as OpenLineage names it: `file`, `s3://bucket`.
        name: of the kind of artifact, or a path.
        version: of the artifact; '' = it has none.
        rows: in it, where the ledger knows.
        columns: name and type of each, of data whose layout is fixed.
        checks: what was asserted of it, and whether it held.
    """

    place: str
    name: str
    version: str = ""
    rows: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    checks: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrackedStep:
    """One step of a run; `cached`: what it makes was there already."""

    name: str
    started: datetime
    ended: datetime
    state: RunState
    cached: bool
    inputs: tuple[TrackedData, ...]
    outputs: tuple[TrackedData, ...]


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """One run of the ledger, as it is told to others. No secret is in it.

    Attributes:
        key: identity, the same however often it is told: workspace, number and start.
        workspace: its name there.
        number: of the run in the ledger, such as `00004`.
        command: as it was given, such as `refresh`.
        message: why it failed or waits, else ''.
        settings: by `section.key`.
        figures: measured, by name; all are finite.
        tags: words about the run, such as its outcome and the versions of what serves.
        documents: small JSON documents by file name.
    """

    key: str
    workspace: str
    number: str
    command: str
    started: datetime
    ended: datetime
    state: RunState
    message: str
    settings: Mapping[str, str]
    figures: Mapping[str, float]
    tags: Mapping[str, str]
    documents: Mapping[str, Mapping[str, Any]]
    steps: tuple[TrackedStep, ...]


class Tracker(Protocol):
    """Tells one server, or file, of runs that have ended."""

    @property
    def target(self) -> str:
        """Who is told, and where, such as `mlflow http://mlflow:5000`; without a secret."""

    def send(self, run: TrackedRun) -> None:
        """Tell of a run; telling twice leaves one run there, as it was told last.

        Raises:
            TrackingError: it was not told whole, and may be told again. Nothing else is raised, and a server
                that keeps silent is given up.
        """
