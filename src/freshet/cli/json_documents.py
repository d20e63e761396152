"""The `--json` documents: what all of them have in common. docs/reference/cli.md describes them.

Every document has `command` and `schema`; a key is never renamed or removed within a schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freshet.core.urls import Url

if TYPE_CHECKING:
    from freshet.inspect import ServiceLevels
    from freshet.operations import Imported
    from freshet.stages.tuning import Gate
    from freshet.storage.ledger import Record

SCHEMA = 1


def document(command: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A command's document: its name, the schema, and what it found as plain JSON values."""
    return {"command": command, "schema": SCHEMA, **plain_mapping(content)}


def plain_mapping(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object of plain values; see `plain`."""
    return {str(key): plain(value) for key, value in content.items()}


def plain(value: Any) -> Any:
    """A value as JSON has it: NaN and infinity as null, tuples as lists, paths as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return plain_mapping(value)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path | Url) else value


def run_content(record: Record) -> dict[str, Any]:
    """One run with the sums of its steps, and the gates that were decided in it."""
    from freshet.stages.tuning import gates_of

    content = asdict(record)
    content["tokens"] = sum(step.tokens for step in record.steps)
    content["written"] = sum(step.written for step in record.steps)
    content["requests"] = sum(step.requests for step in record.steps)
    content["flops"] = sum(step.flops for step in record.steps)
    content["peak_mb"] = max([0.0, *(step.peak_mb for step in record.steps)])
    reports = [step.details for step in record.steps if step.name == "gates" and step.details]
    content["gates"] = [gate_content(gate) for report in reports for gate in gates_of(report)]
    return plain_mapping(content)


def gate_content(gate: Gate) -> dict[str, Any]:
    """One gate, with its verdict in words."""
    return {**asdict(gate), "verdict": gate.verdict}


def levels_content(found: ServiceLevels) -> dict[str, Any]:
    """Service levels, the worst state of all, and what was measured of drift and loss."""
    freshness = None if found.freshness is None else asdict(found.freshness)
    return {"state": found.state, "levels": [asdict(one) for one in found.levels], "freshness": freshness}


def catalogue_counts(found: Imported) -> dict[str, Any] | None:
    """Rows of the item files, read, kept and refused; None where there is no item file."""
    keys = ("rows", "items", "duplicates", "quarantined", "without_text", "notes")
    counts = {key: found.items[key] for key in keys}
    return {"sources": found.item_sources, **counts} if found.item_sources else None
