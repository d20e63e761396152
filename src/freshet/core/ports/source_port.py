"""Event and item files that lie in no folder: objects in buckets, which are read and never written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from freshet.core.errors import FreshetError
from freshet.core.urls import Url

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, order=True)
class SourceObject:
    """An object as it was found.

    Attributes:
        size: in bytes.
        tag: names this very content (its ETag); what is read later is of this content or refused.
    """

    url: Url
    size: int
    tag: str


class SourceStore(Protocol):
    """The objects of any bucket that the environment has credentials for.

    Raises (all methods):
        InputError: there is no such bucket, or an object changed while it was read.
        ConfigError: the credentials are missing or refused.
        StoreUnreachable: the service can't be reached, or answers with errors after all tries; retryable.
        MissingExtra: the package that speaks to buckets is not installed.
    """

    def find(self, url: Url) -> SourceObject | None:
        """The object of this key; None where there is none."""

    def below(self, url: Url) -> Iterator[SourceObject]:
        """The objects whose keys begin with these parts, however many there are."""

    def open(self, found: SourceObject) -> BinaryIO:
        """Its content, of which only the ranges travel that are read."""

    def copy(self, found: SourceObject, path: Path) -> None:
        """Its whole content into a file, telling the progress."""

    def attach(self, found: SourceObject, connection: duckdb.DuckDBPyConnection) -> str:
        """Make it readable to a database, by ranges: the name that `read_parquet` takes."""

    def failure(self) -> FreshetError | None:
        """What went wrong while a database read, in the store's words; asked once, then forgotten."""
