"""What can't be made again: events, experiments, the user store, and the planner's base checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

from freshet.backends.user_stores import lmdb_salvage
from freshet.backends.user_stores.lmdb_file import DATA, LOCK
from freshet.core.errors import ArtifactError, FreshetError, MissingExtra, StateError, WrongFormat
from freshet.doctor.finding import Finding, damaged, leftover
from freshet.experiments.measurement import impression_files
from freshet.stages.events import quarantine, snapshots
from freshet.stages.tuning.step import planned
from freshet.storage.durable import move_folder, set_aside
from freshet.storage.workspace import DRAFTS, Workspace


def find_events(ws: Workspace) -> Iterator[Finding]:
    """Damaged snapshots, damaged days of the newest whole one, day files nobody names, damaged quarantine."""
    root = ws.root
    newest = None
    named: set[str] = set()
    sound = not (root / "damaged" / "events").exists()  # what is set aside may name files
    for number in reversed(snapshots.listed(root)):
        path = snapshots.place(root, number)
        try:
            snapshot = snapshots.read(root, number)
        except WrongFormat as error:
            sound = False
            where = path.relative_to(root).as_posix()
            yield Finding("log of another Freshet", where, f"{error.message}: {error.hint}", "", True)
            continue
        except ArtifactError as error:
            sound = False
            yield damaged(
                "damaged snapshot of the log", root, path,
                f"{error.message}; the log falls back to the one before: import the files since again",
            )  # fmt: skip
            continue
        newest = newest or snapshot
        named |= {str(day.path) for day in snapshot.days}
    for day in newest.days if newest else ():
        try:
            day.verify()
        except ArtifactError as error:
            where = day.path.relative_to(root).as_posix()
            means = f"{error.message}: the {day.rows:,} events of {day.day} can't be read; {error.hint}"
            yield Finding("damaged day of events", where, means, "", True)
    if sound:
        for path in sorted((root / "events").glob("date=*/*.parquet")):
            if str(path) not in named:
                yield leftover(
                    "unneeded day of events",
                    root,
                    path,
                    "an import died before it named this file; repeat it",
                )
    for path in sorted((root / "quarantine").glob("*.parquet")):
        if not quarantine.is_whole(path):
            yield damaged(
                "damaged quarantine file",
                root,
                path,
                "importing its source again writes the refused rows again",
            )


def find_experiments(ws: Workspace) -> Iterator[Finding]:
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


_SHOWN = 3
_LOST = (
    "histories are loaded from the event log again; what was recorded since the last `freshet collect` and "
    "stood in damaged records is only in the damaged file"
)


def find_user_store(ws: Workspace) -> Iterator[Finding]:
    """A damaged state; while a process has it open it is named, not repaired."""
    folder = ws.root / "state"
    if ws.config.serving.state != "lmdb" or not (folder / DATA).exists():
        return
    try:
        wrong, readable = lmdb_salvage.problems(folder)
    except StateError as error:
        yield Finding("state that can't be read", "state", error.message, error.hint, True)
        return
    if not wrong:
        return
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    means = f"{'; '.join(wrong[:_SHOWN])}{more}: serving doesn't start with it; {_LOST}"
    if lmdb_salvage.in_use(folder):
        yield Finding("damaged state", "state", f"{means}; stop what uses it to repair it", "", True)
        return
    kept = ", keep its sound records in a new one" if readable else ""
    fix = partial(_renew, ws.root, folder, readable)
    yield Finding("damaged state", "state", means, f"move it to damaged/state{kept}", True, fix=fix)


def _renew(root: Path, folder: Path, readable: bool) -> None:
    draft = root / DRAFTS / f"state-{uuid4().hex[:8]}"
    if readable:
        lmdb_salvage.salvage(folder, draft)
        (draft / LOCK).unlink()  # that of a process that is through with it
    set_aside(root, folder)
    if readable:
        move_folder(draft, folder)


def find_encoder(ws: Workspace) -> Iterator[Finding]:
    """An encoder that can't be found; a machine that only serves, without the packages, can't tell."""
    if ws.encoder is None:
        return
    try:
        _ = ws.encoder.version
    except MissingExtra:
        return
    except FreshetError as error:
        means = f"{error.message}; releases keep serving, the next refresh can't be made: {error.hint}"
        yield Finding("encoder that can't be found", "freshet.toml", means, "", True)


def find_planner(ws: Workspace) -> Iterator[Finding]:
    """A base that can't be tuned; a machine that only serves, without the packages, can't tell."""
    tuner = ws.tuner or ws.prior_tuner
    if tuner is None:
        return
    try:
        plan = planned(ws)
        tuner.check(plan)
        tuner.forecast(plan)  # raises where there is too little memory
    except MissingExtra:
        return
    except FreshetError as error:
        means = f"{error.message}; releases keep serving, the next run that needs it fails: {error.hint}"
        yield Finding("planner that can't be used", "freshet.toml", means, "", True)
