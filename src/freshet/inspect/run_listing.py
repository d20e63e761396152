"""The runs of a workspace, a line each."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run.

    `rows` and `changed` (rows the planner had to infer) are None where the run made no table.
    """

    id: str
    command: str
    as_of: str
    started: str
    outcome: str
    seconds: float
    tokens: int
    money: float
    currency: str
    rows: int | None
    changed: int | None
    release: int | None
    message: str


def history(ws: Workspace, last: int | None = None) -> list[RunLine]:
    """All runs, or the last so many of them, oldest first."""
    return [line(ws, record) for record in ws.ledger.records(last)]


def line(ws: Workspace, record: Record) -> RunLine:
    """A run in a line."""
    made = [step.details for step in record.steps if step.name == "table" and step.details]
    inferred = [step.details for step in record.steps if step.name == "inference" and step.details]
    return RunLine(
        record.id,
        record.command,
        record.as_of,
        record.started,
        outcome(ws, record),
        record.seconds,
        sum(step.tokens for step in record.steps),
        record.money,
        record.currency,
        made[-1]["rows"] if made else None,
        inferred[-1]["changed"] if inferred else None,
        record.release,
        record.message,
    )


def outcome(ws: Workspace, record: Record) -> str:
    """How a run ended; a run that is `running` while nobody holds the workspace was killed."""
    return ws.outcome(record)
