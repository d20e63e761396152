"""Experiments, and the files of impressions that they are judged by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.doctor.finding import Finding, damaged
from freshet.errors import ArtifactError
from freshet.steps.collecting import IMPRESSIONS
from freshet.workspace import Workspace


def find(ws: Workspace) -> Iterator[Finding]:
    """Experiments that can't be read, arms whose release is not named, files of impressions that are none."""
    found, unreadable = ws.experiments.found()
    for name, error in unreadable.items():
        path = ws.root / "experiments" / name
        means = f"{error.message}: its users are served like all others; better restore it from a copy"
        yield damaged("damaged experiment", ws.root, path, means)
    for one in found:
        for arm in one.arms:
            try:
                ws.experiments.pointer(one, arm.name)
            except ArtifactError as problem:
                path = ws.experiments.pointer_path(one.name, arm.name)
                means = f"{problem.message}: the arm falls back to the release of the start"
                yield damaged("damaged release of an arm", ws.root, path, means)
    for path in sorted((ws.source / IMPRESSIONS).glob("*/*.parquet")):
        if not _is_day(path.parent) or not _is_whole(path):
            means = "what was shown there can't be judged by experiments and feedback, which pass over it"
            yield damaged("damaged file of impressions", ws.root, path, means)


def _is_day(folder: Path) -> bool:
    name, _, day = folder.name.partition("=")
    try:
        return name == "date" and bool(date.fromisoformat(day))
    except ValueError:
        return False


def _is_whole(path: Path) -> bool:
    """Whether the end of a Parquet file, written last, is there."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return False
    return True
