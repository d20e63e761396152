"""Artifacts, the pool of counted days, and releases: every file against its checksum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from freshet.core.errors import ArtifactError, WrongFormat
from freshet.doctor.finding import Finding, damaged, leftover
from freshet.stages import transitions
from freshet.storage import vector_cache
from freshet.storage.checksums import MANIFEST, remembered
from freshet.storage.release_parts import is_whole, missing_of, parts_of
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

KINDS = {
    "items": "the next run reads the item file again",
    "interests": "the next run builds them anew; releases that speak of these can't be opened",
    "assignments": "the next run assigns the items again; releases made with it can't be opened till then",
    "transitions": "the next run counts the log again; releases made with it can't be opened till then",
    "screens": "the next run screens the log again",
    "models": "the next run fine-tunes again; releases keep serving without it",
    "priors": "the next run asks the planner again; releases keep serving without it",
    "gates": "the next run judges its model again",
    "sequences": "the next refresh that wants it trains it again; tables hold their own copy",
    "texts": "the next refresh reads the catalogue's texts again",
    "content": "releases with it go by recent interests alone; the next refresh as of its day makes it again",
    "itemmodels": "the next refresh that wants it trains it again; rankers hold their own copy",
    "rankers": "releases with it serve without items; the next refresh as of its day makes it again",
    "tables": "the next refresh as of its day makes it again",
    "overlays": "releases with it serve without live signals; the next refresh as of its day makes it again",
    "user_rows": "releases with it go by pairs for its users; the next refresh as of its day makes it again",
    "feedback": "releases with it choose as if nobody had reacted; the next refresh makes another",
}
"""Kind of artifact -> what its loss means."""


def find_artifacts(ws: Workspace) -> Iterator[Finding]:
    """Damaged artifacts, damaged pool files with the counts that need them, and files nobody needs."""
    sound = True
    for kind, means in KINDS.items():
        for folder in sorted((ws.root / kind).glob("[!.]*")):  # not what the system hides, as .DS_Store
            finding = _artifact(ws, kind, folder, means)
            if finding is not None:
                sound = sound and kind != "transitions"
                yield finding
    yield from _pool(ws, sound)


def _artifact(ws: Workspace, kind: str, folder: Path, means: str) -> Finding | None:
    try:
        found = ws.store.find(kind, folder.name)
        if found is not None:
            _ = found.path  # compares every file with its checksum
            return None
        return damaged(f"{kind} without {MANIFEST}", ws.root, folder, f"nothing reads them; {means}")
    except WrongFormat as error:
        where = folder.relative_to(ws.root).as_posix()
        return Finding(f"{kind} of another Freshet", where, f"{error.message}: {error.hint}", "", True)
    except ArtifactError as error:
        return damaged(f"damaged {kind}", ws.root, folder, f"{error.message}; {means}")


def _pool(ws: Workspace, sound: bool) -> Iterator[Finding]:
    """`sound`: all counts can be read, so that what none of them names is garbage."""
    needed_by: dict[str, list[Path]] = defaultdict(list)
    for version in ws.store.versions("transitions"):
        if is_whole(ws.store, "transitions", version):
            folder = ws.root / "transitions" / version
            for name in transitions.referenced(folder):
                needed_by[name].append(folder)
    hit: dict[Path, str] = {}
    for name, folders in sorted(needed_by.items()):
        path = ws.pool / name
        if not path.exists():
            hit.update(dict.fromkeys(folders, f"{name} is missing"))
        elif not _intact(path):
            hit.update(dict.fromkeys(folders, f"{name} is damaged"))
            yield damaged("damaged counted day", ws.root, path, "the day is counted again")
    for folder, why in sorted(hit.items()):
        yield damaged("transitions without a day", ws.root, folder, f"{why}; {KINDS['transitions']}")
    if sound and not hit:
        for path in sorted(ws.pool.rglob("*.parquet")):
            if path.relative_to(ws.pool).as_posix() not in needed_by:
                yield leftover("unneeded counted day", ws.root, path, "no count names it")


def _intact(path: Path) -> bool:
    return remembered(path, _state_of) == "intact"


def _state_of(path: Path) -> str:
    return "intact" if transitions.intact(path) else "damaged"


def find_vectors(ws: Workspace) -> Iterator[Finding]:
    """Damaged files of vectors that were computed before."""
    for path in sorted((ws.root / vector_cache.PLACE).glob("*/*.npy")):
        if vector_cache.read_part(path) is None:
            yield damaged("damaged vectors of texts", ws.root, path, "their texts will be encoded again")


def find_releases(ws: Workspace) -> Iterator[Finding]:
    """Damaged releases, releases that can't be opened, a pointer to none or to one of those."""
    good: list[int] = []
    pointer = ws.releases.pointer()
    for number in ws.releases.numbers():
        where = f"releases/{number}.json"
        try:
            release = ws.releases.get(number)
        except ArtifactError as error:
            yield damaged("damaged release", ws.root, ws.root / where, f"{error.message}; its table is kept")
            continue
        lost = _lost(ws, release)
        if not lost:
            good.append(number)
            missing = missing_of(ws.store, release) if number == pointer else ()
            for part in missing:
                means = f"{part} is damaged or missing; the next `freshet refresh` makes another release"
                yield Finding(f"release {number} serves without it", part, means, "", True)
        elif number != pointer:
            yield Finding(
                f"release {number} can't be opened",
                where,
                f"{lost}: no way back to it; `freshet refresh --as-of {release.as_of}` makes a table "
                "that is not there again; moving this file elsewhere forgets the release",
                "",
                True,
            )
    if pointer not in good and not _never_served(ws, pointer):
        yield _broken_pointer(ws, pointer, good)


def _lost(ws: Workspace, release: Release) -> str:
    """What a release lacks to be opened, or ''."""
    try:
        parts_of(ws.store, release)
    except ArtifactError as error:
        return error.message
    return ""


def _never_served(ws: Workspace, pointer: int | None) -> bool:
    if pointer is not None:
        return False
    try:
        return ws.releases.current() is None
    except ArtifactError:
        return False


def _broken_pointer(ws: Workspace, pointer: int | None, good: list[int]) -> Finding:
    names = f"names release {pointer}, which can't be opened" if pointer else "names no release"
    target = _last_served(ws, good)
    if target is None:
        means = f"CURRENT {names}, and there is no other: `freshet refresh` makes the table again"
        return Finding("nothing serves", "CURRENT", means, "", True)
    return Finding(
        "nothing serves",
        "CURRENT",
        f"CURRENT {names}; the last good release that served is {target}",
        f"serve release {target}; `freshet refresh --publish` goes forward again",
        True,
        fix=partial(_point_to, ws, target),
    )


def _point_to(ws: Workspace, number: int) -> None:
    ws.releases.point_to(number)


def _last_served(ws: Workspace, good: list[int]) -> int | None:
    """The newest good release that the ledger says served, or the newest good one."""
    for path in reversed(ws.ledger.paths()):
        try:
            served = ws.ledger.get(path.stem).release
        except ArtifactError:
            continue
        if served in good:
            return served
    return max(good, default=None)
