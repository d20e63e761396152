"""Gates that halted a run: their evidence, and the decision of a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freshet import inspect
from freshet.core.errors import ArtifactError, ConfigError
from freshet.dashboard.acting import commanded, person
from freshet.dashboard.paging import paged
from freshet.dashboard.run_view import run_view
from freshet.dashboard.visit import Act, Done, Page, Values, Visit
from freshet.inspect.release_diff import differences
from freshet.inspect.release_view import open_waiting
from freshet.stages.tuning import Gate, gates_of
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace

LONGEST_EXAMPLE = 3000
"""Characters of an example's prompt that are shown: its end."""


@dataclass(frozen=True, slots=True)
class Example:
    """Something that went wrong: at which gate, what was asked (its end), what was wrong with the answer."""

    gate: str
    prompt: str
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ModelEvidence:
    """What the gates found out about a model.

    Attributes:
        recall: by who ranks, on the same transitions.
    """

    gates: tuple[Gate, ...]
    recall: dict[str, float]
    sample: int
    users: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Churn:
    """Share of the top-5 successors that a table changes; `floor`: what chance alone changes; `bound`."""

    share: float
    floor: float
    bound: float


@dataclass(frozen=True, slots=True)
class TableEvidence:
    """Why a table was halted, and how it differs from the one that serves.

    Attributes:
        churn: where it changes too much; None where something else halted it.
        crowd: first places that rest on new users alone, as the record has them (`Resting`).
        diff: what changes most; None where it can't be told, and `why` says why.
    """

    churn: Churn | None
    crowd: tuple[dict[str, Any], ...]
    diff: inspect.Diff | None
    why: str


def _if_waiting(record: Record) -> Record | None:
    return record if record.outcome == "waiting" else None


def reviews(visit: Visit) -> Values:
    """What waits, and what was decided."""
    ws = visit.ws

    def found() -> tuple[list[Record], list[Any], str]:
        waiting, damage = [], ""
        for path in ws.ledger.paths():
            try:
                if (record := ws.ledger.digest(path, _if_waiting)) is not None:
                    waiting.append(record)
            except ArtifactError as error:
                damage = error.message
        try:
            decided = ws.decisions.all()[::-1]
        except ArtifactError as error:
            decided, damage = [], error.message
        return waiting, decided, damage

    waiting, decided, damage = visit.cached("reviews", make=found)
    return {"waiting": waiting[::-1], "paging": paged(decided, visit.number("page", 1)), "damage": damage}


def review(visit: Visit) -> Values:
    """One halted run with the evidence for a decision."""
    ws = visit.ws
    record = ws.ledger.get(visit.text("run"))
    waiting = record.waiting or {}
    if not waiting:
        raise ConfigError(f"no gate halted run {record.id}", hint="the list of reviews shows what waits")
    model = _model(waiting) if "model" in waiting else None
    table = visit.cached("review", record.id, make=lambda: _table(ws, record)) if "table" in waiting else None
    return {
        "run": run_view(ws, record),
        "open": record.outcome == "waiting",
        "model": model,
        "table": table,
        "version": waiting.get("model") or waiting.get("table"),
    }


def approve(visit: Visit) -> Done:
    """Let it be used, or served."""
    return _decided(visit, "approve", "approved")


def reject(visit: Visit) -> Done:
    """Refuse it."""
    return _decided(visit, "reject", "rejected")


def _decided(visit: Visit, command: str, word: str) -> Done:
    run = visit.ws.ledger.get(visit.text("run")).id
    by, reason = person(visit)
    commanded(visit.root, command, run, by=by, reason=reason)
    return Done(f"reviews/{run}", f"Run {run} is {word}.")


def _model(waiting: dict[str, Any]) -> ModelEvidence:
    """From a record, whatever it lacks."""
    report = waiting["report"]
    examples = [
        Example(
            str(one.get("gate", "")),
            str(one.get("prompt", ""))[-LONGEST_EXAMPLE:],
            tuple((name, str(text)) for name, text in one.items() if name not in ("gate", "prompt")),
        )
        for one in report.get("failures", ())
    ]
    return ModelEvidence(
        gates_of(report), report["recall"], int(report["sample"]), int(report["users"]), tuple(examples)
    )


def _table(ws: Workspace, record: Record) -> TableEvidence:
    waiting = record.waiting or {}
    churn = None
    if "churn" in waiting:
        floor = float(waiting["floor"])
        churn = Churn(float(waiting["churn"]), floor, max(ws.config.table.max_churn, 2 * floor))
    crowd = tuple(waiting.get("crowd", ()))
    try:
        made = open_waiting(ws, str(waiting["table"]), record.id)
        diff = differences(ws, inspect.open_release(ws), made)
    except (ArtifactError, ConfigError) as error:
        return TableEvidence(churn, crowd, None, error.message)
    return TableEvidence(churn, crowd, diff, "")


PAGES = (
    Page("reviews", "reviews.html", reviews, nav="Reviews"),
    Page("reviews/{run}", "review.html", review),
)
ACTS = (Act("reviews/{run}/approve", approve), Act("reviews/{run}/reject", reject))
