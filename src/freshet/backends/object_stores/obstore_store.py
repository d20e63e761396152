"""A bucket through `obstore`: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.

Small objects are written in one part, since only these can be written on a condition. What the condition
compares is the ETag, but the generation on Google Cloud Storage. Requests are tried again by `obstore`: when
one was carried out whose answer was lost, the next finds its own object and reports that there is one. So
"there is one" only ever means "read again".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from freshet.backends.object_stores.opening import NO_BUCKET, open_url
from freshet.core.errors import MissingExtra, StoreUnreachable
from freshet.core.ports import Listed, Stored

if TYPE_CHECKING:
    from obstore import PutResult, UpdateVersion

CHUNK = 8 << 20
"""Bytes of a part of a large object, and of what is read at once."""


class ObstoreStore:
    """A bucket, or a part of it below a prefix.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

    Raises:
        MissingExtra: `obstore` is not installed.
        StoreUnreachable: the URL or the settings in the environment are wrong.
    """

    def __init__(self, url: str) -> None:
        try:
            import obstore
        except ModuleNotFoundError:
            raise MissingExtra(
                "a workspace in a bucket needs the package 'obstore'", hint="pip install 'freshet[buckets]'"
            ) from None
        self.url = url
        self._library = obstore
        self._by_generation = url.startswith("gs://")
        with self._reported("the bucket"):
            self._store = open_url(url)

    def get(self, key: str) -> Stored | None:
        with self._reported(key):
            try:
                found = self._library.get(self._store, key)
                return Stored(bytes(found.bytes()), self._tag(found.meta["e_tag"], found.meta["version"]))
            except FileNotFoundError as error:
                if any(sign in str(error) for sign in NO_BUCKET):
                    raise
                return None

    def tag(self, key: str) -> str | None:
        with self._reported(key):
            try:
                found = self._library.head(self._store, key)
                return self._tag(found["e_tag"], found["version"])
            except FileNotFoundError:
                return None

    def put_new(self, key: str, data: bytes) -> str | None:
        return self._conditional(
            key,
            lambda: self._library.put(self._store, key, data, mode="create", use_multipart=False),
        )

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        # an e_tag beside `version: None` would be compared without the latter on no service
        expected: UpdateVersion = {"version": tag} if self._by_generation else {"e_tag": tag}
        return self._conditional(
            key,
            lambda: self._library.put(self._store, key, data, mode=expected, use_multipart=False),
        )

    def upload(self, path: Path, key: str) -> None:
        with self._reported(key):
            self._library.put(self._store, key, path, chunk_size=CHUNK)

    def download(self, key: str, path: Path) -> bool:
        with self._reported(key):
            try:
                found = self._library.get(self._store, key)
            except FileNotFoundError:
                return False
            with path.open("wb") as file:
                for part in found.stream(min_chunk_size=CHUNK):
                    file.write(part)
        return True

    def listed(self, prefix: str) -> Iterator[Listed]:
        with self._reported(prefix):
            for page in self._library.list(self._store, prefix.rstrip("/")):
                for one in page:
                    yield Listed(one["path"], one["size"], one["last_modified"].timestamp())

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            with self._reported(key):
                try:
                    self._library.delete(self._store, key)
                except FileNotFoundError:
                    continue

    def _conditional(self, key: str, put: Callable[[], PutResult]) -> str | None:
        """The new tag; None where the condition didn't hold, or another write was going on (S3's 409)."""
        failed = self._library.exceptions
        with self._reported(key):
            try:
                done = put()
            except (failed.AlreadyExistsError, failed.PreconditionError):
                return None
            except failed.BaseError as error:
                if "409" in str(error) and "Conflict" in str(error):
                    return None
                raise
        return self._tag(done["e_tag"], done["version"])

    def _tag(self, e_tag: str | None, version: str | None) -> str:
        tag = version if self._by_generation else e_tag
        if not tag:
            raise StoreUnreachable(
                f"{self.url} gives its objects no {'generation' if self._by_generation else 'ETag'}, "
                "without which two writers can't be told apart",
                hint="use a service that supports conditional writes",
            )
        return tag

    @contextmanager
    def _reported(self, key: str) -> Iterator[None]:
        """A block in which the library's errors become one of ours, without the request's secrets."""
        failed = self._library.exceptions
        try:
            yield
        except (failed.PermissionDeniedError, failed.UnauthenticatedError) as error:
            raise StoreUnreachable(
                f"{self.url} refuses access to {key}: {_first_line(error)}",
                hint="check the credentials in the environment, and what they allow: get, put, list, delete",
            ) from None
        except FileNotFoundError as error:  # of a write: the bucket itself
            raise StoreUnreachable(
                f"{self.url}: there is no such bucket ({_first_line(error)})",
                hint="make the bucket first, or correct its name or the endpoint",
            ) from None
        except (failed.BaseError, ValueError) as error:
            raise StoreUnreachable(
                f"{self.url} can't be reached for {key}: {_first_line(error)}",
                hint="check the network, the endpoint and the service, then run the command again",
                retryable=True,
            ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
