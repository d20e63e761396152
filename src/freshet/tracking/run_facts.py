"""A run of the ledger as it is told to others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from freshet.core.masking import masked
from freshet.core.ports import RunState, TrackedData, TrackedRun, TrackedStep
from freshet.storage.ledger import Record, StepRecord
from freshet.storage.workspace import Workspace
from freshet.tracking.run_figures import run_figures
from freshet.tracking.step_data import checks_of, inputs_of, outputs_of

_STATES: dict[str, RunState] = {"done": "complete", "approved": "complete", "failed": "failed"}
"""By outcome; every other one that is final is `aborted`."""

_LONGEST = 500
"""Letters of a message that are told."""


def run_facts(ws: Workspace, record: Record) -> TrackedRun | None:
    """What is told of a run; None while it is running."""
    ended_as = ws.outcome(record)
    if ended_as == "running":
        return None
    state = _STATES.get(ended_as, "aborted")
    workspace, started = name_of(ws), datetime.fromisoformat(record.started)
    return TrackedRun(
        key=f"{workspace}/{record.id}@{record.started}",
        workspace=workspace,
        number=record.id,
        command=record.command.split()[0],
        started=started,
        ended=started + timedelta(seconds=record.seconds),
        state=state,
        message=masked(record.message)[:_LONGEST],
        settings={key: _text(value) for key, value in record.settings.items()},
        figures=run_figures(record),
        tags=_tags(record, ended_as),
        documents=_documents(record),
        steps=tuple(_steps(ws, record, started)),
    )


def name_of(ws: Workspace) -> str:
    """The workspace's name in front of others."""
    place = ws.root.absolute().name if ws.bucket is None else ws.bucket.url.rstrip("/").rpartition("/")[2]
    return ws.config.tracking.namespace or re.sub(r"[^A-Za-z0-9._-]", "_", place) or "freshet"


def _tags(record: Record, ended_as: str) -> dict[str, str]:
    """What is known in words; nothing that is empty."""
    found = {
        "as_of": record.as_of,
        "outcome": ended_as,
        "command": record.command,
        "currency": record.currency,
        "log_from": record.window[0] if record.window else "",
        "log_until": record.window[1] if record.window else "",
        "reviewer": record.reviewer,
        "message": masked(record.message)[:_LONGEST],
        **{f"version.{name}": version for name, version in record.libraries.items()},
    }
    for step in record.steps:
        kind, _, version = step.artifact.partition("/")
        found[f"artifact.{kind}"] = version
    if record.release is not None:
        found["release"] = str(record.release)
    return {name: value for name, value in found.items() if value and not name.endswith(".")}


def _documents(record: Record) -> dict[str, Any]:
    """What each step found, and what a run waits for."""
    said = [step for step in record.steps if step.details]
    documents: dict[str, Any] = {
        "steps.json": {
            "steps": [{"name": one.name, "artifact": one.artifact, **one.details} for one in said]
        },
        "gates.json": next((one.details for one in reversed(said) if one.name == "gates"), {}),
        "waiting.json": record.waiting or {},
    }
    return {name: json.loads(masked(json.dumps(content))) for name, content in documents.items() if content}


def _steps(ws: Workspace, record: Record, run_began: datetime) -> Iterator[TrackedStep]:
    """In the order of their end."""
    began = run_began
    checked: dict[str, TrackedData] = {}
    for step in record.steps:
        if step.started:
            began = datetime.fromisoformat(step.started)
        ended = began + timedelta(seconds=step.seconds)
        made = outputs_of(step)
        inputs = (*inputs_of(ws, step), *_asserted(step, checked))
        yield TrackedStep(step.name, began, ended, _state(step), step.cached, inputs, made)
        checked.update({data.name: data for data in made})
        began = ended  # of records that don't say when a step began: one came after the other


def _asserted(step: StepRecord, made: dict[str, TrackedData]) -> Iterator[TrackedData]:
    """What a step checked: the table, or the model, as a step before made it."""
    checks = checks_of(step)
    about = {"verify": "tables", "gates": "models"}.get(step.name, "")
    if checks:
        yield replace(made.get(about, TrackedData("", about)), checks=checks)


def _state(step: StepRecord) -> RunState:
    return "failed" if step.failed else "complete"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
