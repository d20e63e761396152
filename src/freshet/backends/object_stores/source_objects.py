"""Event and item files in buckets: listed by pages, read by ranges, of one content throughout."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from freshet.backends.object_stores.opening import NO_BUCKET, open_url
from freshet.core.errors import ConfigError, FreshetError, InputError, MissingExtra, StoreUnreachable
from freshet.core.ports.source_port import SourceObject
from freshet.core.urls import Url

if TYPE_CHECKING:
    import duckdb

    from freshet.backends.object_stores.opening import AnyStore
    from freshet.backends.object_stores.ranged_files import AttachedFiles

_PIECE = 8 << 20
_BUFFER = 64 << 10
_TELL_EVERY = 2.0
"""Seconds between two lines of progress."""
_ENVIRONMENT = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION (AWS_ENDPOINT_URL for a server of your own, "
    "AWS_SKIP_SIGNATURE=true for a public bucket)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS (GOOGLE_SKIP_SIGNATURE=true for a public bucket)",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_REFUSED = (
    *("401 Unauthorized", "403 Forbidden", "SignatureDoesNotMatch", "InvalidAccessKeyId"),
    *("AuthenticationFailed", "Account must be specified", "Invalid Access Key"),
    *("169.254.169.254", "metadata.google.internal", "token request"),
)
"""In messages of clients: the credentials are wrong, or there are none (the machine itself is then asked)."""


class BucketObjects:
    """Objects of buckets, with credentials, region and endpoint from the environment, as `obstore` reads it.

    Args:
        say: is told how far a long copy has come.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self._stores: dict[str, AnyStore] = {}
        self._failure: FreshetError | None = None
        self._attached: AttachedFiles | None = None

    def find(self, url: Url) -> SourceObject | None:
        """The object of this key; None where there is none."""
        if not url.parts:
            return None
        with self._told(url):
            try:
                return _as_found(url, self._store(url).head(url.key))
            except FileNotFoundError:
                return None

    def below(self, url: Url) -> Iterator[SourceObject]:
        """The objects whose keys begin with these parts, however many there are."""
        with self._told(url):
            for page in self._store(url).list(url.key or None):
                for meta in page:
                    yield _as_found(Url(url.bucket, tuple(meta["path"].split("/"))), meta)

    def open(self, found: SourceObject) -> BinaryIO:
        """Its content, of which only the ranges travel that are read."""
        with self._told(found.url):
            from freshet.backends.object_stores.ranged_files import RangedFile

        ranged = RangedFile(found.size, lambda start, end: self._range(found, start, end))
        return cast(BinaryIO, io.BufferedReader(ranged, _BUFFER))

    def copy(self, found: SourceObject, path: Path) -> None:
        """Its whole content into a file, telling the progress."""
        done, told = 0, time.monotonic()
        with self._told(found.url), path.open("wb") as file:
            content = self._store(found.url).get(found.url.key, options={"if_match": found.tag})
            for piece in content.stream(min_chunk_size=_PIECE):
                done += file.write(piece)
                if time.monotonic() - told > _TELL_EVERY:
                    told = time.monotonic()
                    self._say(f"  {found.url}: {done / 1e6:,.0f} of {found.size / 1e6:,.0f} MB")
        if done != found.size:
            raise StoreUnreachable(
                f"{found.url}: {done:,} of {found.size:,} bytes arrived", hint="try again", retryable=True
            )

    def attach(self, found: SourceObject, connection: duckdb.DuckDBPyConnection) -> str:
        """Make it readable to a database: the name that `read_parquet` takes."""
        if self._attached is None:
            with self._told(found.url):
                from freshet.backends.object_stores.ranged_files import AttachedFiles

            self._attached = AttachedFiles()
        return self._attached.attach(
            connection, found.url.name, found.size, lambda start, end: self._range(found, start, end)
        )

    def failure(self) -> FreshetError | None:
        """What went wrong while a database read; asked once, then forgotten."""
        failure, self._failure = self._failure, None
        return failure

    def _range(self, found: SourceObject, start: int, end: int) -> bytes:
        try:
            with self._told(found.url):
                content = self._store(found.url).get(
                    found.url.key, options={"range": (start, end), "if_match": found.tag}
                )
                return bytes(content.bytes())
        except FreshetError as error:
            self._failure = error
            raise

    def _store(self, url: Url) -> AnyStore:
        if url.bucket not in self._stores:
            self._stores[url.bucket] = open_url(url.bucket)
        return self._stores[url.bucket]

    @contextmanager
    def _told(self, url: Url) -> Iterator[None]:
        """A block in which a client's errors become one of ours."""
        try:
            from obstore.exceptions import BaseError
        except ModuleNotFoundError as error:
            raise _missing(error) from None
        try:
            yield
        except ModuleNotFoundError as error:
            raise _missing(error) from None
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise _meaning(url, error) from None


def _meaning(url: Url, error: Exception) -> FreshetError:
    """What a client's error says.

    It has one type for a wrong bucket, wrong credentials and a server that is gone: its text tells which.
    """
    from obstore.exceptions import PermissionDeniedError, PreconditionError, UnauthenticatedError

    scheme, text = url.bucket.partition("://")[0], str(error)
    if any(sign in text for sign in NO_BUCKET):
        hint = "check its name, and the endpoint and region"
        return InputError(f"{url.bucket}: there is no such bucket", hint=hint)
    if isinstance(error, FileNotFoundError | PreconditionError):
        return InputError(
            f"{url} was changed or removed while it was read: nothing of it is taken",
            hint="import it again once its writer is through",
        )
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or any(
        sign in text for sign in _REFUSED
    ):
        return ConfigError(
            f"{url} can't be read: its credentials are missing or refused",
            hint=f"set {_ENVIRONMENT[scheme]} in the environment, for an account that may list and read",
        )
    return StoreUnreachable(
        f"{url} can't be reached: {_first_words(text)}",
        hint="check the network and the endpoint, and try again",
        retryable=True,
    )


def _as_found(url: Url, meta: Any) -> SourceObject:
    tag = str(meta["e_tag"] or "")
    quoted = tag.startswith(('"', "W/"))  # Azure's listings leave the quotes out, which conditions have
    return SourceObject(url, int(meta["size"]), tag if quoted or not tag else f'"{tag}"')


def _first_words(text: str) -> str:
    return text.partition("Debug source")[0].partition("<?xml")[0].strip().splitlines()[0][:300]


def _missing(error: ModuleNotFoundError) -> MissingExtra:
    return MissingExtra(
        f"reading from buckets needs the package {error.name!r}", hint="pip install 'freshet[buckets]'"
    )
