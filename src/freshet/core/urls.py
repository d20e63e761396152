"""Addresses in buckets: `s3://lake/events/part-0.parquet`, `gs://...`, `az://...`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from freshet.core.errors import ConfigError

SCHEMES = ("s3", "gs", "az")
"""Amazon S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Url:
    """An object in a bucket, the objects below a prefix, or a glob of them. Text alone: nothing is looked up.

    Its names are those of a path, so that what goes by names treats files and objects alike.

    Attributes:
        bucket: `s3://lake`.
        parts: of the key, between its slashes; none for the bucket as a whole.
    """

    bucket: str
    parts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The object's key in its bucket, or the prefix without a slash at its end."""
        return "/".join(self.parts)

    @property
    def name(self) -> str:
        """The last part; of a whole bucket its name."""
        return self.parts[-1] if self.parts else self.bucket.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The last ending of the name, with its dot, or ''."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Url:
        """One part shorter; that of a whole bucket is itself."""
        return Url(self.bucket, self.parts[:-1])

    def __str__(self) -> str:
        return "/".join((self.bucket, *self.parts))


Location = Path | Url
"""Where a file or a folder of files lies."""


def location(text: str) -> Location:
    """A URL of a bucket, or a path.

    Raises:
        ConfigError: it is a URL of another kind, or names no bucket.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return Path(text)
    scheme, rest = match[1].lower(), match[2]
    if scheme not in SCHEMES:
        raise ConfigError(
            f"{text!r}: nothing is read from {scheme}://",
            hint=f"give a path, or a bucket: {', '.join(f'{known}://' for known in SCHEMES)}",
        )
    bucket, *parts = rest.split("/")
    if not bucket or "@" in bucket or any(sign in bucket for sign in "*?["):
        raise ConfigError(
            f"{scheme}:// must be followed by the name of a bucket, as in {scheme}://lake/events",
            hint="credentials are read from the environment, not from the URL",
        )
    return Url(f"{scheme}://{bucket}", tuple(part for part in parts if part))
