"""The `--json` documents, as pure functions of what the commands found. docs/reference/cli.md describes them.

Every document has `command` and `schema`; a key is never renamed or removed within a schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freshet.cli.replaying import Replayed
    from freshet.doctor import Result
    from freshet.experiments.measurement.collect import Collected
    from freshet.inspect import Diff, Drives, Explanation, Listing, RunLine, Status
    from freshet.operations import Imported
    from freshet.stages.tuning import Gate
    from freshet.storage.ledger import Record
    from freshet.storage.releases import Release

SCHEMA = 1


def document(command: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A document: the command, the schema, and what it found as plain JSON values."""
    return {"command": command, "schema": SCHEMA, **{key: plain(value) for key, value in content.items()}}


def plain(value: Any) -> Any:
    """JSON values only: no NaN or infinity (null), no tuples, no paths."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def initialised(folder: Path, path: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Of init."""
    return document("init", {"workspace": folder, "settings": path, "chosen": chosen})


def ran(command: str, record: Record, drives: Drives | None) -> dict[str, Any]:
    """Of run, finetune and refresh."""
    return document(command, {"run": run(record), "drives": asdict(drives) if drives else None})


def run(record: Record) -> dict[str, Any]:
    """One run in detail."""
    from freshet.stages.tuning import gates_of

    content = asdict(record)
    content["tokens"] = sum(step.tokens for step in record.steps)
    content["flops"] = sum(step.flops for step in record.steps)
    content["peak_mb"] = max([0.0, *(step.peak_mb for step in record.steps)])
    judged = [step.details for step in record.steps if step.name == "gates" and step.details]
    content["gates"] = [gate(one) for report in judged for one in gates_of(report)]
    return {key: plain(value) for key, value in content.items()}


def gate(found: Gate) -> dict[str, Any]:
    """One gate, with its verdict in words."""
    return {**asdict(found), "verdict": found.verdict}


def collected(record: Record, found: Collected) -> dict[str, Any]:
    """Of collect."""
    return document("collect", {"run": record.id, **asdict(found)})


def imported(record: Record, found: Imported) -> dict[str, Any]:
    """Of import."""
    files = [
        {
            "source": report.source,
            "rows": report.rows_read,
            "added": report.added,
            "duplicates": report.duplicates,
            "replaced": report.replaced,
            "quarantined": report.quarantined,
            "notes": report.notes,
            "unread": [{"path": one.path, "why": one.why} for one in report.unread],
        }
        for report in found.events
    ]
    snapshot = found.events[-1].snapshot
    return document(
        "import",
        {
            "run": record.id,
            "files": files,
            "items": catalogue(found),
            "notes": found.notes,
            "snapshot": snapshot,
        },
    )


def catalogue(found: Imported) -> dict[str, Any] | None:
    """Of an import of items; None where there is no item file."""
    keys = ("rows", "items", "duplicates", "quarantined", "without_text", "notes")
    counts = {key: found.items[key] for key in keys}
    return {"sources": found.item_sources, **counts} if found.item_sources else None


def interests(run: str | None, listed: Listing) -> dict[str, Any]:
    """`run` is the run that formed them, or None where they were there."""
    return document("interests", {"run": run, **asdict(listed)})


def explained(explanation: Explanation) -> dict[str, Any]:
    """Of explain."""
    return document("explain", asdict(explanation))


def status(workspace: Path, state: Status) -> dict[str, Any]:
    """Of status."""
    gates = [gate(one) for one in state.gates]
    return document("status", {"workspace": workspace, **asdict(state), "gates": gates})


def history(lines: Sequence[RunLine]) -> dict[str, Any]:
    """Of history, all runs."""
    return document("history", {"runs": [asdict(line) for line in lines]})


def one_run(record: Record, outcome: str) -> dict[str, Any]:
    """Of history, one run."""
    return document("history", {"run": run(record) | {"outcome": outcome}})


def diff(found: Diff) -> dict[str, Any]:
    """Of diff."""
    return document("diff", asdict(found))


def rolled_back(release: Release, before: int | None) -> dict[str, Any]:
    """Of rollback."""
    return document("rollback", {"release": asdict(release), "before": before})


def decided(command: str, record: Record) -> dict[str, Any]:
    """Of approve and reject."""
    return document(command, {"run": run(record)})


def report(path: Path) -> dict[str, Any]:
    """Of report."""
    return document("report", {"path": path})


def replayed(found: Replayed) -> dict[str, Any]:
    """Of replay: the content of `replay.json`, and where it lies."""
    return document("replay", {**found.found, "folder": found.folder, "page": found.page})


def examined(result: Result) -> dict[str, Any]:
    """Of doctor."""
    findings = [
        {
            "what": finding.what,
            "where": finding.where,
            "means": finding.means,
            "repair": finding.repair,
            "damage": finding.damage,
            "bytes": finding.bytes,
            "repaired": repaired,
        }
        for finding, repaired in zip(result.findings, result.repaired, strict=True)
    ]
    return document("doctor", {"healthy": result.healthy, "writing": result.writing, "findings": findings})
