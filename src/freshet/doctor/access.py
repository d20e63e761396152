"""Files of the workspace that more people may read or write than its setting says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.doctor.artifacts import KINDS
from freshet.doctor.finding import Finding
from freshet.storage.durable import read_json
from freshet.storage.permissions import folder_mode, is_wide, narrow
from freshet.storage.workspace import DRAFTS, LEASE, Workspace

OURS = (
    *KINDS, "runs", "decisions", "releases", "events", "quarantine", "days", "work", "impressions", "state",
    "experiments", "replay", "cadence", "drift", "damaged", DRAFTS, "keys.json", "CURRENT", LEASE,
)  # fmt: skip
"""What Freshet writes there; settings and files beside are their owner's business."""


def find(ws: Workspace) -> Iterator[Finding]:
    """One finding for all of them; none where others can't enter the workspace at all. And damaged keys."""
    yield from _keys(ws)
    if not ws.root.stat().st_mode & 0o077 & ~folder_mode():
        return
    wide = [path for name in OURS if (path := ws.root / name).exists() and is_wide(path)]
    if wide:
        names = ", ".join(path.name for path in wide)
        means = "others on this machine may read or change them: an older Freshet, or a hand, left them so"
        fix = partial(_close, wide)
        yield Finding(
            "open to others", names, means, "make them as private as the setting says", False, fix=fix
        )


def _keys(ws: Workspace) -> Iterator[Finding]:
    """Keys that can't be read; never moved away, since a service without the file asks nobody for a key."""
    path = ws.root / "keys.json"
    if not path.exists():
        return
    try:
        said = read_json(path)
        sound = isinstance(said, dict) and isinstance(said.get("keys"), list)
    except ArtifactError:
        sound = False
    if not sound:
        means = "nobody's API key can be checked; remove it and make the keys anew with `freshet keys add`"
        yield Finding("damaged keys", path.name, means, "", True)


def _close(wide: list[Path]) -> None:
    for path in wide:
        narrow(path)
        for folder, inside, names in os.walk(path):
            for name in (*inside, *names):
                narrow(Path(folder, name))
