"""Objects in a bucket: one, those below a prefix, or those that match a glob: by the laws of folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Literal

import duckdb

from freshet.core.errors import FreshetError
from freshet.core.ports import SourceObject, SourceStore
from freshet.core.urls import Url
from freshet.stages.events.source_listing import WORKSPACE, Found, Listing, Unread, fixed_parts


@dataclass(frozen=True, slots=True)
class BucketContent:
    """What an object held when it was listed; read after a change, it is refused."""

    found: SourceObject
    store: SourceStore

    @property
    def size(self) -> int:
        return self.found.size

    def version(self) -> str:
        return self.found.tag

    def open(self) -> BinaryIO:
        return self.store.open(self.found)

    def local(self, scratch: Path) -> Path:
        copy = scratch / "copied"
        self.store.copy(self.found, copy)
        return copy

    def in_sql(self, connection: duckdb.DuckDBPyConnection) -> str:
        return self.store.attach(self.found, connection)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        try:
            yield
        except FreshetError:
            failure = self.store.failure()
            if failure is not None:
                raise failure from None
            raise


def listed(source: Url, store: SourceStore) -> Listing:
    """The object of a key, those below a prefix, or those that match a glob (of prefixes: those below them).

    Of a workspace the objects beside its settings are looked at, not those below.

    Raises:
        InputError: there is no such bucket.
        ConfigError: the credentials are missing or refused.
        StoreUnreachable: the store can't be reached.
    """
    one = store.find(source)
    if one is not None:
        return Listing("file", source, (Found(source, BucketContent(one, store)),))
    count = fixed_parts(source.parts)
    base = Url(source.bucket, source.parts[:count])
    objects = sorted(_without_markers(list(store.below(base))))
    pattern = source.parts[count:]
    if not pattern:
        whole = [(each, count) for each in objects]
        return _listing("folder", base, whole, store) if objects else Listing("nothing", source)
    matching = [(each, _top(each.url.parts[count:], pattern)) for each in objects]
    return _listing("glob", base, [(each, count + top) for each, top in matching if top is not None], store)


def _without_markers(objects: list[SourceObject]) -> Iterator[SourceObject]:
    """Leave out the empty objects that stand for folders, as consoles make them."""
    folders = {each.url.parts[:end] for each in objects for end in range(1, len(each.url.parts))}
    return (each for each in objects if each.size or each.url.parts not in folders)


def _listing(
    what: Literal["folder", "glob"], base: Url, objects: list[tuple[SourceObject, int]], store: SourceStore
) -> Listing:
    """The listing of objects, each with the number of parts that the source itself names."""
    workspaces = {each.url.parts[:-1] for each, _ in objects if each.url.name == WORKSPACE}
    found: list[Found] = []
    unread: dict[Url, Unread] = {}
    hidden: list[Found] = []
    for each, top in objects:
        path, why = _passed_over(each.url, top, workspaces)
        if why:
            unread.setdefault(path, Unread(path, why))
            hidden += [Found(path, BucketContent(each, store))] if path == each.url else []
        elif path.name != WORKSPACE:
            found.append(Found(path, BucketContent(each, store)))
    return Listing(what, base, tuple(found), tuple(unread.values()), tuple(hidden))


def _passed_over(url: Url, top: int, workspaces: set[tuple[str, ...]]) -> tuple[Url, str]:
    """What an object is passed over as, and why ('' = it is read)."""
    own = url.parts[top:] or url.parts[-1:]
    for end in range(top, len(url.parts) - 1):
        if url.parts[:end] in workspaces:
            return Url(url.bucket, url.parts[: end + 1]), "a folder of a workspace"
    return url, "hidden" if any(part.startswith((".", "_")) for part in own) else ""


def _top(parts: Sequence[str], pattern: Sequence[str]) -> int | None:
    """How many of an object's parts a glob matches: all of them, or those of a folder; None = no part."""
    return next((end for end in range(len(parts) + 1) if _matches(parts[:end], pattern)), None)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
