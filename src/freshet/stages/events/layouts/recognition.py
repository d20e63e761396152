"""Which published layout a source has: told by the names and first lines of its files, never by a guess."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from freshet.core.errors import InputError
from freshet.core.urls import Location
from freshet.stages.events.layouts.published import PLAIN, Layout, Part, Reading, Role
from freshet.stages.events.source_listing import Found

NONE, AUTO = "none", "auto"
_MISSES = 5
"""After so many files of a name with other first lines, no more are looked at: each may cost a request."""


@dataclass(frozen=True, slots=True)
class LaidOut:
    """Files of a published data set.

    Attributes:
        parts: what each of them is; files that are no part are not among them.
        left_out: event files of a kind that tells of what others tell -> why they are not read.
    """

    layout: Layout
    parts: Mapping[Location, tuple[Part, ...]]
    left_out: Mapping[Location, str]

    def of(self, role: Role) -> list[Location]:
        """The files that are read in a role."""
        return [path for path in self.parts if self.part(path, role) is not None]

    def part(self, path: Location, role: Role) -> Part | None:
        """What a file is in a role."""
        if path in self.left_out and role == "events":
            return None
        return next((part for part in self.parts.get(path, ()) if part.role == role), None)

    def why_not(self, path: Location) -> str:
        """Why a file that is a part isn't read in a role; '' where another role says it."""
        if path in self.left_out:
            return self.left_out[path]
        first = self.parts[path][0]
        return first.why or first.role

    def reading(self, path: Location, role: Role) -> Reading:
        """How a file is read."""
        part = self.part(path, role)
        return part.reading if part else PLAIN

    def check(self, source: Location, role: Role, whole: bool) -> None:
        """Refuse what can't be a log, and a folder that lacks a file.

        Args:
            whole: whether the source is a folder, which is to be complete.

        Raises:
            InputError: so it is; the message names what is missing.
        """
        if self.layout.refused:
            raise InputError(f"{source} is {self.layout.title}: {self.layout.refused}", hint=self.layout.hint)
        if role != "events" or not whole:
            return
        present = {part.shown for parts in self.parts.values() for part in parts}
        missing = [one.shown for one in self.layout.parts if one.required and one.shown not in present]
        if self.of("events") and missing:
            raise InputError(
                f"{source} is {self.layout.title} by its {self.of('events')[0].name}, but it has no "
                f"{', '.join(missing)} as {self.layout.source} describes it",
                hint="complete the folder; or name its event files themselves to go without the rest",
            )

    def notes(self, source: Location, positive: str) -> tuple[str, ...]:
        """What is taken, in words.

        Args:
            positive: the rule of the settings.
        """
        kinds = dict.fromkeys(part for path in self.of("events") if (part := self.part(path, "events")))
        said = [f"{source.name}: recognised as {self.layout.title}: {part.taken}" for part in kinds]
        usual = self.positive
        if usual and not positive.strip():
            said.append(
                f"{source.name}: every event counts as an engagement, as [events] positive is empty; usual "
                f"is `{usual}`"
            )
        return tuple(said)

    @property
    def positive(self) -> str:
        """The usual positive rule, '' = every event is an engagement."""
        parts = (self.part(path, "events") for path in self.of("events"))
        return next((part.positive for part in parts if part is not None), "")


def recognise(
    layouts: Sequence[Layout],
    files: Sequence[Found],
    name: Callable[[Location], str],
    head: Callable[[Found], str],
    wanted: str = AUTO,
) -> LaidOut | None:
    """The layout of some files, None if they are of none.

    Args:
        name: a file's name without the endings of packing.
        head: its first line; of Parquet, names and types of its columns.
        wanted: [events] layout: a name, `auto`, or `none`.

    Raises:
        InputError: files of two layouts are there; or a file isn't as its layout describes it; or nothing is
            of the layout that is wanted.
    """
    if wanted == NONE:
        return None
    heads = _Heads(head)
    known = [one for one in layouts if wanted in (AUTO, one.name)]
    found = [laid_out for one in known if (laid_out := _matched(one, files, name, heads)) is not None]
    if len(found) > 1:
        names = " and of ".join(f"{one.layout.title} ({next(iter(one.parts)).name})" for one in found)
        raise InputError(
            f"there are files of {names}: they are told apart by their folders",
            hint="give one data set at a time, or name one with [events] layout",
        )
    if not found and wanted != AUTO and files:
        signs = dict.fromkeys(part.shown for part in known[0].parts if part.sign)
        raise InputError(
            f"no file is one of {known[0].title}, which has {', '.join(signs)}; there is "
            + ", ".join(one.path.name for one in files[:5]),
            hint=f"see {known[0].source}, or leave [events] layout at 'auto'",
        )
    return found[0] if found else None


class _Heads:
    """First lines, each read once."""

    def __init__(self, read: Callable[[Found], str]) -> None:
        self.read = read
        self.known: dict[Location, str] = {}

    def of(self, one: Found) -> str:
        if one.path not in self.known:
            self.known[one.path] = self.read(one)
        return self.known[one.path]


def _matched(
    layout: Layout, files: Sequence[Found], name: Callable[[Location], str], heads: _Heads
) -> LaidOut | None:
    """The files that are parts of a layout, None if none of them is a sign of it."""
    parts: dict[Location, tuple[Part, ...]] = {}
    misses: Counter[Part] = Counter()
    for one in files:
        path = one.path
        named = [part for part in layout.parts if part.named(name(path))]
        good: dict[Role, Part] = {}
        for part in named:
            if part.role in good or misses[part] >= _MISSES:
                continue
            if not part.head or re.search(part.head, heads.of(one)):
                good[part.role] = part
            elif not part.distinct:
                misses[part] += 1
        if good:
            parts[path] = tuple(good.values())
        elif any(part.distinct for part in named):
            raise InputError(
                f"{path} has the name of a file of {layout.title}, but its first line is "
                f"{heads.of(one)[:120]!r}, not as {layout.source} describes it",
                hint='is it complete and unchanged? `[events] layout = "none"` reads it as any other file',
            )
    if not any(part.sign for found in parts.values() for part in found):
        return None
    return LaidOut(layout, parts, _told_twice(layout, parts))


def _told_twice(layout: Layout, parts: Mapping[Location, tuple[Part, ...]]) -> dict[Location, str]:
    """Event files that tell of the same events as a more wanted kind."""
    kinds = {path: part for path, found in parts.items() for part in found if part.role == "events"}
    if not layout.one_kind or not kinds:
        return {}
    first = min((part for part in kinds.values()), key=layout.parts.index).shown
    return {path: f"beside {first}" for path, part in kinds.items() if part.shown != first}
