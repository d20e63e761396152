"""Which files of a workspace belong into a backup, and how each of them is kept."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from freshet.core.config import Config
from freshet.core.errors import ArtifactError
from freshet.stages import transitions
from freshet.stages.events import snapshots
from freshet.storage import run_log
from freshet.storage.artifacts import Store
from freshet.storage.remote.checkout import LOCAL, Checkout

APART = ("backup", "privacy")
"""Folders of keys and secrets, which are kept elsewhere (`safekeeping`)."""
NOTES = ".backup"
"""What is known of the files since the last backup; can be deleted."""
FOLDERS = (
    "items", "interests", "assignments", "screens", "transitions", "models", "priors", "gates", "sequences",
    "texts", "content", "itemmodels", "rankers", "tables", "overlays", "user_rows", "feedback",
    "runs", "logs", "decisions", "releases", "events", "quarantine", "days", "work", "impressions",
    "experiments", "batches", "hosted", "answers", "exports",
)  # fmt: skip
FILES = ("keys.json", "CURRENT", "FORMAT", "PAUSED")
"""Beside those that end so."""
_ENDS = (".toml", ".jinja")
STATE = "state"
LEFT_OUT = LOCAL - {run_log.FOLDER}
"""Of the machine, and in no backup; what runs said is."""


class Kind(StrEnum):
    """How a file is kept.

    Attributes:
        PLAIN: as it is. EVENTS, COUNTED, SHOWN: rows of each user under a key of theirs. SHARED: as a whole
            under the key of everybody. STATE: records of the user store, those of each user under their key.
    """

    PLAIN = "plain"
    EVENTS = "events"
    COUNTED = "counted"
    SHOWN = "shown"
    SHARED = "shared"
    STATE = "state"


MANY_USERS = ("user_rows", "screens", "overlays")
"""Artifacts that tell of many users at once; the next run makes them again."""


def kind_of(path: str) -> Kind:
    """How a file of a workspace is kept."""
    top = path.split("/")[0]
    if path.endswith(".parquet"):
        tables = {"events": Kind.EVENTS, "days": Kind.COUNTED, "impressions": Kind.SHOWN}
        if top in tables:
            return tables[top]
    if top in (*MANY_USERS, "quarantine", run_log.FOLDER) or path.startswith("runs/error-"):
        return Kind.SHARED
    return Kind.STATE if top == STATE else Kind.PLAIN


def tops(root: Path, config: Config) -> list[str]:
    """Names in a workspace that are looked at: what Freshet writes there, and the files it is set up with."""
    found = [path.name for path in root.iterdir() if path.is_file() and path.name.endswith(_ENDS)]
    wanted = {*FOLDERS, *FILES, *found, _items(config).split("/")[0]} - {""}
    return sorted(name for name in wanted - LEFT_OUT - set(APART) if (root / name).exists())


def _items(config: Config) -> str:
    """Path of the item file, if it lies in the workspace; source files of events tell of users, and stay."""
    path = Path(config.events.items)
    outside = "://" in config.events.items or path.is_absolute() or ".." in path.parts
    return "" if outside or path == Path() else path.as_posix()


def needed(checkout: Checkout, store: Store, config: Config) -> Iterator[str]:
    """Paths of all files to keep: of the log the newest state alone, of counted days those that count.

    Raises:
        ArtifactError: the log or the counts can't be read.
    """
    root = checkout.root
    number, newest = snapshots.latest(root)
    log = {day.path.relative_to(root).as_posix() for day in newest.days}
    if number:
        log.add(snapshots.place(root, number).relative_to(root).as_posix())
    counted = {
        f"days/{name}"
        for version in store.versions("transitions")
        for name in transitions.referenced(_folder(store, version))
    }
    missing = sorted(path for path in log | counted if not (root / path).is_file())
    if missing:
        raise ArtifactError(
            f"{root / missing[0]} is missing", hint="`freshet doctor` tells what can be repaired"
        )
    items = _items(config)
    for path in checkout.contents(*tops(root, config)):
        top = path.split("/")[0]
        if "/" in path and top not in FOLDERS and path != items and not path.startswith(f"{items}/"):
            continue
        is_log = path.startswith(("events/log/", "events/date="))
        if (top != "days" and not is_log) or path in log or path in counted:
            yield path


def _folder(store: Store, version: str) -> Path:
    found = store.find("transitions", version)
    if found is None:
        raise ArtifactError(f"transitions/{version} vanished", hint="run the command again", retryable=True)
    return found.path
