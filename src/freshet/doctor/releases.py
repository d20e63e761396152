"""Releases and `CURRENT`: whether what serves, and what one could go back to, can be opened."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from freshet.core.errors import ArtifactError
from freshet.doctor.finding import Finding, damaged
from freshet.storage.release_parts import missing_of, parts_of
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


def find(ws: Workspace) -> Iterator[Finding]:
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
        fix=partial(_serve, ws, target),
    )


def _serve(ws: Workspace, number: int) -> None:
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
