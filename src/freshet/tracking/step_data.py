"""What a step read and made, as its artifact's manifest and its own details say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from freshet.core.errors import ArtifactError
from freshet.core.masking import masked
from freshet.core.ports import TrackedData
from freshet.storage.ledger import StepRecord
from freshet.storage.workspace import Workspace

LOG = "events"
"""The log, as inputs in manifests call it."""

LOG_COLUMNS = (
    *(("id", "VARCHAR"), ("user", "VARCHAR"), ("item", "VARCHAR")),
    *(("time", "TIMESTAMP"), ("value", "DOUBLE")),
)
"""What every day of the log has; a log that keeps columns for metrics has more."""

_KINDS = {
    "assignment": "assignments",
    "itemmodel": "itemmodels",
    "model": "models",
    "sequence": "sequences",
    "table": "tables",
}
"""Kinds of artifacts that manifests name otherwise."""

_ROWS = {"tables": "rows", "transitions": "transitions", "content": "items", "texts": "items"}
"""By kind of artifact, what details call the number of its rows."""


def inputs_of(ws: Workspace, step: StepRecord) -> tuple[TrackedData, ...]:
    """What a step read: the sources of an import, a stream, or what the manifest of its artifact names."""
    if step.name == "import":
        sources = step.details.get("sources", ())
        rows = step.details.get("read") if len(sources) == 1 else None  # they are counted together
        return tuple(_source(str(source), rows) for source in sources)
    if step.name == "stream":
        kind, _, topic = str(step.details.get("stream", "")).partition("/")
        server = masked(ws.config.stream.servers).split(",")[0].rpartition("://")[2]
        return (TrackedData(f"{kind}://{server}", topic, rows=step.details.get("read")),)
    return tuple(_named(ws, step.artifact))


def outputs_of(step: StepRecord) -> tuple[TrackedData, ...]:
    """What a step made, or checked."""
    if step.name in ("import", "stream"):
        return (TrackedData("", LOG, rows=step.details.get("added"), columns=LOG_COLUMNS),)
    if not step.artifact:
        return ()
    kind, _, version = step.artifact.partition("/")
    rows = step.details.get(_ROWS.get(kind, "rows"))
    return (TrackedData("", kind, version, rows if isinstance(rows, int) else None),)


def checks_of(step: StepRecord) -> dict[str, bool]:
    """What a step asserted of what it read."""
    if step.name == "verify":
        return {str(name): bool(held) for name, held in step.details.get("checks", {}).items()}
    gates = step.details.get("gates", {}) if step.name == "gates" else {}
    return {str(name): bool(gate.get("passed")) for name, gate in gates.items()}


def _named(ws: Workspace, artifact: str) -> Iterator[TrackedData]:
    kind, _, version = artifact.partition("/")
    if not version:
        return
    try:
        made = ws.store.find(kind, version)
    except ArtifactError:  # damaged since: what it was made from is not known any more
        return
    inputs: dict[str, Any] = made.manifest.get("inputs", {}) if made is not None else {}
    for name, of in inputs.items():
        if isinstance(of, str) and of:
            yield TrackedData("", _KINDS.get(name, name), of)


def _source(source: str, rows: int | None) -> TrackedData:
    """A file or URL as OpenLineage names it: by the place and the path in it."""
    if "://" in source:
        parts = urlsplit(masked(source))
        return TrackedData(f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/"), rows=rows)
    return TrackedData("file", str(Path(source).absolute()), rows=rows)
