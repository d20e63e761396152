"""The interests of a workspace, with what tells a person whether they are any good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freshet.inspect.release_view import artifact
from freshet.storage.durable import read_json
from freshet.storage.parquet_columns import read_columns
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class InterestLine:
    """One interest: items, share of all engagements, coherence (mean cosine to its centre), busiest items."""

    id: int
    description: str
    items: int
    traffic: float
    coherence: float
    samples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """All interests of one build, and figures of the build: `quality` over all interests, `summary` of it."""

    version: str
    as_of: str
    interests: tuple[InterestLine, ...]
    quality: dict[str, Any]
    summary: dict[str, Any]


def formed(ws: Workspace) -> str | None:
    """Version of the newest interests, or None if there are none yet."""
    built = [artifact(ws, "interests", version).manifest for version in ws.store.versions("interests")]
    newest = max(built, key=lambda manifest: (manifest["as_of"], manifest["generation"]), default=None)
    return None if newest is None else str(newest["version"])


def busiest_items(ws: Workspace, version: str) -> dict[int, list[str]]:
    """Ids of the busiest items of each interest, by the interest's stable id."""
    rows = read_columns(artifact(ws, "interests", version).path / "interests.parquet")
    return dict(zip(rows["id"].to_pylist(), rows["sample_items"].to_pylist(), strict=True))


def listing(ws: Workspace, version: str) -> Listing:
    """The interests of an artifact, busiest first."""
    built = artifact(ws, "interests", version)
    quality = read_json(built.path / "quality.json")
    titles = quality.pop("samples")
    columns = ["id", "description", "items", "traffic", "coherence"]
    rows = read_columns(built.path / "interests.parquet", columns=columns).to_pylist()
    lines = [InterestLine(**row, samples=tuple(titles[row["description"]])) for row in rows]
    lines.sort(key=lambda line: (-line.traffic, line.id))
    return Listing(version, built.manifest["as_of"], tuple(lines), quality, built.manifest["summary"])
