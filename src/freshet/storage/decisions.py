"""Decisions: what a person or a guardrail decided about releases, models, tables and experiments.

The ledger records what runs did; a decision says who changed the course, when and why. Each is one file,
`decisions/<run>-<n>.json`, written once and **before** what it decides is done: a run that is killed in
between leaves a decision without effect, which is made again, never an effect that nobody decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError
from freshet.storage.durable import read_json, write_json
from freshet.storage.ledger import Ledger, Record

GUARDRAIL = "guardrail"
"""`Decision.by` of what guardrails decide."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Release `release` serves again instead of `before` (None: `CURRENT` named none)."""

    release: int
    before: int | None


@dataclass(frozen=True, slots=True)
class Stop:
    """An experiment ended."""

    experiment: str


@dataclass(frozen=True, slots=True)
class Review:
    """The model or table at which a gate halted a run, by version, may be used, or not."""

    of: Literal["model", "table"]
    version: str
    accepted: bool


Subject = Rollback | Stop | Review
Kind = Literal["rollback", "stop", "approval", "rejection"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision.

    Attributes:
        run: id of the run that it was made in; of a review, of the run that waited for it.
        by: `GUARDRAIL`, or the person as far as known ('' where not).
        reason: in words, '' where none was given.
        at: moment (ISO 8601, UTC, seconds); '' where the ledger of an earlier Freshet doesn't say.
    """

    run: str
    subject: Subject
    by: str = ""
    reason: str = ""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def kind(self) -> Kind:
        match self.subject:
            case Rollback():
                return "rollback"
            case Stop():
                return "stop"
            case Review(accepted=accepted):
                return "approval" if accepted else "rejection"

    def as_dict(self) -> dict[str, Any]:
        """As in its file."""
        subject = asdict(self.subject)
        subject.pop("accepted", None)  # the kind says so
        return {
            "kind": self.kind,
            "run": self.run,
            "by": self.by,
            "reason": self.reason,
            "at": self.at,
        } | subject


class Decisions:
    """All decisions of a workspace; those of runs by an earlier Freshet are read from its ledger.

    Args:
        root: the workspace folder.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "decisions"
        self._ledger = Ledger(root)

    def record(self, decision: Decision) -> None:
        """Write a decision; whoever calls holds the lease."""
        number = 1 + max((place for run, place, _ in self._files() if run == decision.run), default=0)
        write_json(self.folder / f"{decision.run}-{number}.json", decision.as_dict(), exclusive=True)

    def all(self) -> list[Decision]:
        """In the order of their runs.

        Raises:
            ArtifactError: a file, or a record of the ledger, is damaged.
        """
        recorded = [self.read(path) for path in self.paths()]
        known = {(one.run, one.kind) for one in recorded}
        earlier = [
            one
            for path in self._ledger.paths()
            for one in self._ledger.digest(path, _of_record)
            if (one.run, one.kind) not in known
        ]
        return sorted([*recorded, *earlier], key=lambda one: one.run)

    def rollbacks(self) -> list[tuple[Decision, Rollback]]:
        """Those that serve an earlier release again, oldest first."""
        return [(one, one.subject) for one in self.all() if isinstance(one.subject, Rollback)]

    def review(self, of: Literal["model", "table"], version: str) -> Decision | None:
        """The last approval or rejection of a model or table; None where nobody decided."""
        found = [
            one
            for one in self.all()
            if isinstance(one.subject, Review) and (one.subject.of, one.subject.version) == (of, version)
        ]
        return found[-1] if found else None

    def paths(self) -> list[Path]:
        """Files of all decisions, in order."""
        return [path for *_, path in sorted(self._files())]

    def read(self, path: Path) -> Decision:
        """Raises ArtifactError if a file can't be read as a decision."""
        try:
            return _decision(dict(read_json(path)), path.stem.partition("-")[0])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{path} is no decision that this Freshet can read: {error}",
                hint="it is damaged, or was made by a newer Freshet: `freshet doctor` tells",
            ) from None

    def _files(self) -> Iterator[tuple[str, int, Path]]:
        """(run, place within the run, file) of each."""
        for path in self.folder.glob("*.json"):
            run, _, place = path.stem.partition("-")
            if names.number(run) is not None and (number := names.number(place)) is not None:
                yield run, number, path


def _decision(stored: dict[str, Any], run: str) -> Decision:
    """A decision of a run as its file says; raises KeyError, TypeError or ValueError where it is none."""
    kind, common = stored.pop("kind"), {name: stored.pop(name) for name in ("run", "by", "reason", "at")}
    if not all(isinstance(value, str) for value in common.values()):
        raise TypeError("a name is no text")
    if common["run"] != run:
        raise ValueError(f"it is of run {common['run']!r}")
    match kind:
        case "rollback":
            return Decision(subject=_checked(Rollback(**stored)), **common)
        case "stop":
            return Decision(subject=_checked(Stop(**stored)), **common)
        case "approval" | "rejection":
            return Decision(subject=_checked(Review(accepted=kind == "approval", **stored)), **common)
    raise ValueError(f"kind {kind!r}")


def _checked(subject: Subject) -> Subject:
    """The subject, whose values are of the types that its class names; else raises ValueError."""
    try:
        checked: Subject = TypeAdapter(type(subject)).validate_python(asdict(subject))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    return checked


def _of_record(record: Record) -> tuple[Decision, ...]:
    """What a run's record says of decisions: an earlier Freshet kept them nowhere else."""
    return tuple(_told(record))


def _told(record: Record) -> Iterator[Decision]:
    guarded = any(step.name == "guard" for step in record.steps)
    for step in record.steps:
        if step.name == "rollback" and record.release is not None:
            reason = str(step.details.get("reason", ""))
            subject = Rollback(record.release, step.details.get("from"))
            yield Decision(record.id, subject, GUARDRAIL if reason else "", reason, record.started)
        elif step.name == "experiment" and "stopped" in step.details:
            by, reason = GUARDRAIL if guarded else "", str(step.details["stopped"])
            yield Decision(record.id, Stop(step.details["experiment"]), by, reason, record.started)
    if record.outcome in ("approved", "rejected"):
        accepted, halted = record.outcome == "approved", record.waiting or {}
        if "model" in halted:
            yield Decision(record.id, Review("model", halted["model"], accepted), record.reviewer, at="")
        if "table" in halted:
            yield Decision(record.id, Review("table", halted["table"], accepted), record.reviewer, at="")
