"""Which releases stay, and every artifact that is needed as long as they do.

What stays:

- releases: the current one, all later ones (one of them may have been rolled back), as many before it as
  asked for, the one it replaced, and those of experiments that run;
- what these are opened with, and what the runs made and used that published them;
- what the last run of each command made and used, and those that wait for a review or for answers;
- the newest few of what the next run looks for, such as the last model that was judged, so that it is not
  trained again; and all answers that were asked for beforehand, which were paid for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from freshet.core.errors import ArtifactError
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Record
from freshet.storage.manifests import (
    AssignmentManifest,
    ContentManifest,
    GatesManifest,
    InterestsManifest,
    RankerManifest,
    TableManifest,
    TransitionsManifest,
)
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

NEWEST = {
    "interests": 3, "models": 3, "sequences": 3, "itemmodels": 3, "transitions": 3, "items": 1, "tables": 1,
    "screens": 1, "user_rows": 1, "feedback": 1,
}  # fmt: skip
"""So many of a kind stay, whoever needs them."""

KINDS = (
    "user_rows", "feedback", "overlays", "rankers", "itemmodels", "tables", "gates", "models", "sequences",
    "content", "texts", "screens", "transitions", "assignments", "interests", "items",
)  # fmt: skip
"""Of artifacts that are ever deleted, those that need others before these."""

Name = tuple[str, str]
"""Kind and version of an artifact."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays.

    Attributes:
        releases: numbers of them; `gone` of the others.
        artifacts: of `KINDS`, by kind and version.
    """

    releases: tuple[int, ...]
    gone: tuple[int, ...]
    artifacts: frozenset[Name]


def keep(ws: Workspace, releases: int) -> Kept:
    """What stays.

    Args:
        releases: so many before the current one; people can roll back to each.

    Raises:
        ArtifactError: a release, a run or an experiment can't be read: what it needs is not known.
    """
    numbers = ws.releases.numbers()
    known = {number: ws.releases.get(number) for number in numbers}
    staying = _releases(ws, known, releases)
    records = ws.ledger.records()
    roots: set[Name] = set()
    for number in staying:
        roots |= set(_of_release(known[number]))
    roots |= set(_of_runs(records, {known[number].run for number in staying}))
    for kind, number in NEWEST.items():
        roots |= {(kind, version) for version in ws.store.versions(kind)[-number:]}
    found = _closure(ws, roots)
    # a table that is made again names the one before it, of which nothing else is read
    for kind, version in [one for one in found if one[0] == "tables"]:
        with suppress(ArtifactError):
            made = ws.store.find(kind, version)
            if made is not None and (before := TableManifest.of(made).inputs.previous):
                found.add((kind, before))
    found |= set(_gates(ws, found))
    gone = tuple(number for number in numbers if number not in staying)
    return Kept(tuple(sorted(staying)), gone, frozenset(found))


def _releases(ws: Workspace, known: dict[int, Release], before: int) -> set[int]:
    current = ws.releases.pointer()
    if current is None:
        return set(known)
    staying = {number for number in known if number >= current}
    served = [number for number in known if number < current and not known[number].arm]
    staying |= set(served[-before:] if before else ())
    if current in known and (replaced := known[current].previous) in known:
        staying.add(replaced)
    experiments, unreadable = ws.experiments.found()
    for one in experiments:
        if one.running:
            for arm in one.arms:
                named = {one.began, ws.experiments.pointer(one, arm.name), arm.serves.release}
                staying |= {number for number in named if number in known}
    if unreadable:
        raise next(iter(unreadable.values()))
    return staying


def _of_release(release: Release) -> Iterator[Name]:
    named = {
        "tables": release.table,
        "models": release.model,
        "interests": release.interests,
        "overlays": release.overlay,
        "rankers": release.ranker,
        "feedback": release.feedback,
        "user_rows": release.users,
    }
    return ((kind, version) for kind, version in named.items() if version)


def _of_runs(records: Iterable[Record], published: set[str]) -> Iterator[Name]:
    """What runs made and used that published what stays, that were the last, or that wait."""
    last = {record.command.split(" ")[0]: record.id for record in records}
    for record in records:
        if record.id in published | {*last.values()} or record.outcome in ("waiting", "pending"):
            for step in record.steps:
                kind, _, version = step.artifact.partition("/")
                if kind in KINDS and version:
                    yield kind, version


def _closure(ws: Workspace, roots: set[Name]) -> set[Name]:
    """The artifacts and everything they need."""
    found: set[Name] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name[0] not in KINDS or not name[1]:
            continue
        found.add(name)
        with suppress(ArtifactError):  # one that is damaged stays; what it needs is not known
            artifact = ws.store.find(*name)
            if artifact is not None:
                waiting += _needed_by(artifact)
    return found


def _needed_by(artifact: Artifact) -> list[Name]:
    """What an artifact is opened or made again with."""
    kind = artifact.kind
    if kind == "tables":
        inputs = TableManifest.of(artifact).inputs
        return [
            ("transitions", inputs.transitions),
            ("interests", inputs.interests),
            ("models", inputs.model),
            ("sequences", inputs.sequence),
            ("content", inputs.content),
        ]
    if kind == "transitions":
        counted = TransitionsManifest.of(artifact)
        return [
            ("assignments", counted.inputs.assignment),
            ("transitions", counted.inputs.transitions),
            ("interests", str(counted.settings.get("interests", ""))),
        ]
    if kind == "assignments":
        assigned = AssignmentManifest.of(artifact).inputs
        return [("interests", assigned.interests), ("items", assigned.items)]
    if kind == "interests":
        return [("items", InterestsManifest.of(artifact).inputs.items)]
    if kind == "content":
        described = ContentManifest.of(artifact)
        return [("texts", described.texts), ("assignments", described.inputs.assignment)]
    if kind == "rankers":
        return [("itemmodels", RankerManifest.of(artifact).inputs.itemmodel)]
    return []


def _gates(ws: Workspace, found: set[Name]) -> Iterator[Name]:
    """Reports of the gates on models that stay."""
    models = {version for kind, version in found if kind == "models"}
    for version in ws.store.versions("gates"):
        with suppress(ArtifactError):
            report = ws.store.find("gates", version)
            if report is not None and GatesManifest.of(report).model in models:
                yield "gates", version
