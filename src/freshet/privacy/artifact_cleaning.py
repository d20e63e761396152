"""Takes people out of artifacts: counted days, rows of single users, and tables of replays that name users.

An artifact is written anew beside its place and changes places with the old one at once, under its own name:
releases go on naming it. Its manifest says how often that happened (`forgotten`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.backends.local_store import LocalStore, write_manifest
from freshet.core import config
from freshet.core.errors import ArtifactError
from freshet.core.types import UserRows
from freshet.privacy.person import Names
from freshet.privacy.traces import hits, of_parquet
from freshet.stages import transitions
from freshet.stages.events.refused_rows import OfPeople
from freshet.stages.live import format as overlays
from freshet.stages.screen import format as screens
from freshet.stages.transitions.count_forgetting import without_users
from freshet.stages.users import format as rows_of_users
from freshet.storage.artifacts import Artifact, Draft
from freshet.storage.checksums import MANIFEST
from freshet.storage.durable import make_folder, narrow_tree, sync, written

_STORES_OWN = ("kind", "version", "format", "files", "seal")
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2
_HERE = -100  # AT_FDCWD


@dataclass
class Cleaned:
    """What artifacts have lost: rows by kind, established users of live signals; `artifacts` that changed."""

    transitions: int = 0
    user_rows: int = 0
    held_back: int = 0
    established: int = 0
    artifacts: list[str] = field(default_factory=list)


def clean(root: Path, names: Names, renamed: Mapping[str, str]) -> Cleaned:
    """Take people out of all artifacts below a folder of a workspace; doing it again changes nothing.

    Args:
        root: of the workspace, or of what its replays keep.
        renamed: name of an event file -> that of the day without them.

    Raises:
        ArtifactError: a counted day can't be read: `freshet doctor --repair` first.
    """
    store, done = LocalStore(root), Cleaned()
    pool = root / "days"
    for version in store.versions("transitions"):
        _clean_counts(store, version, pool, names, renamed, done)
    _drop_unneeded(store, pool)
    for version in store.versions("user_rows"):
        _clean_user_rows(store, version, names, done)
    for version in store.versions("screens"):
        _clean_screen(store, version, names, done)
    for version in store.versions("overlays"):
        _clean_overlay(store, version, names, done)
    return done


def _clean_counts(
    store: LocalStore, version: str, pool: Path, names: Names, renamed: Mapping[str, str], done: Cleaned
) -> None:
    artifact = store.find("transitions", version)
    assert artifact is not None  # its version was listed
    with _rewriting(store, artifact) as draft:
        gone = without_users(artifact.path, pool, names.numbers, renamed, draft.path)
        if gone is None:
            draft.manifest.clear()
            return
        done.transitions += gone
        summary = draft.manifest.get("summary", {})
        if "transitions" in summary:
            kept = transitions.count_of(draft.path)
            draft.manifest["summary"] = {**summary, "days": kept[0], "transitions": kept[1]}
    done.artifacts.append(f"transitions/{version}")


def _drop_unneeded(store: LocalStore, pool: Path) -> None:
    """Delete day files that no count names: those that were replaced, and what was left before."""
    try:
        needed = {
            name
            for version in store.versions("transitions")
            for name in transitions.referenced(store.root / "transitions" / version)
        }
    except ArtifactError:
        return  # the search tells what is left
    for path in pool.rglob("*.parquet"):
        if path.relative_to(pool).as_posix() not in needed:
            path.unlink()


def _clean_user_rows(store: LocalStore, version: str, names: Names, done: Cleaned) -> None:
    artifact = store.find("user_rows", version)
    assert artifact is not None
    before = rows_of_users.read(artifact.path)
    keep = ~np.isin(before.user, names.numbers)
    if keep.all():
        return
    with _rewriting(store, artifact) as draft:
        weights, relative = rows_of_users.read_weights(artifact.path)
        after = UserRows(np.asarray(before.user[keep]), before.rows.take(np.flatnonzero(keep)))
        calibration = rows_of_users.read_calibration(artifact.path)
        rows_of_users.write(after, calibration, weights, relative, draft.path)
        draft.manifest["rows"] = int(keep.sum())
    done.user_rows += int((~keep).sum())
    done.artifacts.append(f"user_rows/{version}")


def _clean_screen(store: LocalStore, version: str, names: Names, done: Cleaned) -> None:
    artifact = store.find("screens", version)
    assert artifact is not None
    before = screens.read(artifact.path)
    keep = ~np.isin(before.moves["user"], names.numbers)
    if keep.all():
        return
    with _rewriting(store, artifact) as draft:
        screens.write(replace(before, moves=before.moves[keep]), draft.path)
    done.held_back += int((~keep).sum())
    done.artifacts.append(f"screens/{version}")


def _clean_overlay(store: LocalStore, version: str, names: Names, done: Cleaned) -> None:
    artifact = store.find("overlays", version)
    assert artifact is not None
    before = overlays.read(artifact.path)
    if before is None:
        return
    keep = ~np.isin(before.established, names.numbers)
    if keep.all():
        return
    with _rewriting(store, artifact) as draft:
        overlays.write(replace(before, established=before.established[keep]), draft.path)
    done.established += int((~keep).sum())
    done.artifacts.append(f"overlays/{version}")


def clean_results(root: Path, names: Names, columns: config.Columns) -> int:
    """Take rows of people out of Parquet files that no other step knows, such as those of replays.

    One that is an artifact's changes places with the artifact as a whole.
    """
    gone, rows = 0, OfPeople(names.ids, columns)
    for path in sorted(root.rglob("*.parquet")):
        found = list(of_parquet(path, names, rows))
        if any(count for _, count in found):
            artifact = _artifact_of(path)
            if artifact is None:
                gone += _without_rows(path, names)
                continue
            with _rewriting(LocalStore(artifact.folder.parent.parent), artifact) as draft:
                shutil.copytree(artifact.folder, draft.path, dirs_exist_ok=True)
                (draft.path / MANIFEST).unlink()
                gone += _without_rows(draft.path / path.relative_to(artifact.folder), names)
        elif found:
            path.unlink()  # it can't be read, so nobody can tell whose rows it holds
    return gone


def _artifact_of(path: Path) -> Artifact | None:
    """The artifact that a file belongs to; None where it lies by itself."""
    for folder in path.parents:
        if (folder / MANIFEST).exists():
            return LocalStore(folder.parent.parent).find(folder.parent.name, folder.name)
    return None


def _without_rows(path: Path, names: Names) -> int:
    table = pq.read_table(path)
    mine = np.zeros(table.num_rows, bool)
    for name, column in zip(table.column_names, table.columns, strict=True):
        hit = None if name == "item" else hits(column, names)
        mine |= False if hit is None else hit
    with written(path) as aside:
        pq.write_table(table.filter(pa.array(~mine)), aside, compression="zstd")
    return int(mine.sum())


@contextmanager
def _rewriting(store: LocalStore, artifact: Artifact) -> Iterator[Draft]:
    """A draft that takes the artifact's place when the block ends well; one without a manifest vanishes."""
    rest = {key: value for key, value in artifact.manifest.items() if key not in _STORES_OWN}
    folder = store.root / ".drafts" / f"forget-{artifact.kind}-{uuid4().hex[:8]}"
    draft = Draft(folder, {**rest, "forgotten": int(rest.get("forgotten", 0)) + 1})
    make_folder(folder)
    try:
        yield draft
        if draft.manifest:
            write_manifest(artifact.kind, artifact.version, draft)
            narrow_tree(folder)
            _exchange(folder, artifact.folder)
            sync(artifact.folder.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exchange(new: Path, old: Path) -> None:
    """Let two folders change places, at once where the system can."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is not None:
        if renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE) == 0:
            return
        if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(old))
    aside = new.with_name(f"{new.name}.old")
    old.rename(aside)
    new.rename(old)
    aside.rename(new)
