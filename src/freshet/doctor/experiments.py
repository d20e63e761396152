"""Experiments, and the files of impressions that they are measured by."""

from __future__ import annotations

from collections.abc import Iterator

from freshet.core.errors import ArtifactError
from freshet.doctor.finding import Finding, damaged
from freshet.experiments.measurement import impression_files
from freshet.storage.workspace import Workspace


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
    for path in impression_files.files(ws.source)[1]:
        means = "what was shown there can't be judged by experiments and feedback, which pass over it"
        yield damaged("damaged file of impressions", ws.root, path, means)
