"""A bucket through `obstore`: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.

Credentials, region and endpoint come from the environment, by the names that the services' own tools read
(`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AZURE_STORAGE_*`, `GOOGLE_*`), or from the machine.

Small objects are written in one part, since only these can be written on a condition. What the condition
compares is the ETag, but the generation on Google Cloud Storage. Requests are tried again by `obstore`: when
one was carried out whose answer was lost, the next finds its own object and reports that there is one. So
"there is one" only ever means "read again".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from freshet.core.errors import MissingExtra, StoreUnreachable
from freshet.core.ports import Listed, Stored

if TYPE_CHECKING:
    from obstore import PutResult, UpdateVersion
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

    AnyStore = AzureStore | GCSStore | S3Store

TRIES = 5
"""Further tries of a request that failed."""
CHUNK = 8 << 20
"""Bytes of a part of a large object, and of what is read at once."""
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
"""Variables that name a server; one that speaks plain HTTP is talked to in plain HTTP."""


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
            self._store = self._opened()

    def _opened(self) -> AnyStore:
        from obstore.store import AzureStore, GCSStore, S3Store

        client, retries = _client(), _retries()
        if self.url.startswith("gs://"):
            return GCSStore.from_url(self.url, client_options=client, retry_config=retries)
        if self.url.startswith("az://"):
            return AzureStore.from_url(self.url, client_options=client, retry_config=retries)
        # a region must be named, although a server of one's own has no use for it
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return S3Store.from_url(self.url, client_options=client, retry_config=retries, region=region)

    def get(self, key: str) -> Stored | None:
        with self._reported(key):
            try:
                found = self._library.get(self._store, key)
                return Stored(bytes(found.bytes()), self._tag(found.meta["e_tag"], found.meta["version"]))
            except FileNotFoundError:
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


def _client() -> ClientConfig:
    plain = any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS)
    emulated = os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ("1", "true")
    return {
        "allow_http": plain or emulated,
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=30),
        "timeout": timedelta(minutes=10),  # of a whole request, such as a large download
    }


def _retries() -> RetryConfig:
    return {
        "max_retries": TRIES,
        "retry_timeout": timedelta(seconds=60),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
