"""Chooses where releases are given to, by `[export]` or a command's option."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from freshet.backends.export_targets.binary_file import BinaryTarget
from freshet.backends.export_targets.file_places import BucketPlace, FolderPlace
from freshet.backends.export_targets.parquet_release import ParquetTarget
from freshet.backends.object_stores.obstore_store import ObstoreStore
from freshet.backends.webhook import Webhook
from freshet.core.config import Config
from freshet.core.errors import ConfigError, MissingExtra
from freshet.core.masking import without_secret
from freshet.core.ports import ExportTarget, FilePlace
from freshet.core.urls import SCHEMES
from freshet.exports.deliveries import Deliveries

BINARY = ".freshet"
"""How names of files in the binary layout end; any other name is that of a folder of Parquet files."""

_REDIS = ("redis", "rediss", "unix")


def deliveries_of(root: Path, config: Config) -> Deliveries | None:
    """All that `[export]` names; None where it names nothing.

    Raises:
        ConfigError: a place can't be one, or is named twice.
    """
    settings = config.export
    if not settings.to and not settings.webhook:
        return None
    targets = {target_name(to): partial(open_target, root, to, settings.keep_seconds) for to in settings.to}
    if len(targets) < len(settings.to):
        raise ConfigError("[export] to names a place twice", hint=f"it has {', '.join(settings.to)}")
    webhook = None
    if settings.webhook:
        webhook = Webhook(settings.webhook, settings.webhook_secret_env, settings.timeout_seconds)
    return Deliveries(targets, webhook)


def target_name(to: str) -> str:
    """A place as it is shown and remembered: no user, no password.

    Raises:
        ConfigError: it can't be a place.
    """
    scheme, sign, rest = to.partition("://")
    known = ", ".join(f"{one}://" for one in (*_REDIS, *SCHEMES))
    if not to.strip() or (sign and (scheme not in (*_REDIS, *SCHEMES) or not rest)):
        raise ConfigError(
            f"{without_secret(to)!r} is no place to export to",
            hint=f"a folder, a file that ends in {BINARY}, or a URL with one of {known}",
        )
    if scheme not in _REDIS or not sign:
        return without_secret(to) if sign else to
    try:
        parts = urlsplit(to)
        where = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError:
        raise ConfigError(
            "[export] to holds a URL of Redis that is none", hint="redis://host:6379/0"
        ) from None
    prefix = parse_qs(parts.query).get("prefix", ["freshet"])[-1]
    return f"{scheme}://{where}?prefix={prefix}"


def open_target(root: Path, to: str, keep_seconds: int) -> ExportTarget:
    """A place, by what it is called.

    Args:
        root: of the workspace, from which folders are named.
        keep_seconds: for which Redis keeps the release before.

    Raises:
        ConfigError: it can't be a place.
        MissingExtra: a package is not installed.
        StoreUnreachable: the environment's settings for a bucket are wrong.
    """
    name = target_name(to)
    if "://" in to and to.partition("://")[0] in _REDIS:
        try:
            from freshet.backends.export_targets.redis_release import RedisTarget
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"exporting to Redis needs the package {error.name!r}", hint="pip install 'freshet[redis]'"
            ) from None
        return RedisTarget(to, name, keep_seconds)
    folder, _, file = to.rstrip("/").rpartition("/")
    if file.endswith(BINARY):
        return BinaryTarget(_place(root, folder or ("" if "/" not in to else "/")), file)
    return ParquetTarget(_place(root, to))


def _place(root: Path, where: str) -> FilePlace:
    """A folder, from the workspace or absolute, or a part of a bucket."""
    if "://" in where:
        return BucketPlace(ObstoreStore(where), where)
    return FolderPlace(root / Path(where).expanduser())
