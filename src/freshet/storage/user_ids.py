"""By which name the workspace knows a user, and whose events it refuses.

`People` stands at every border: import, streams, the service, impressions of other systems. Behind it a user
id is what `stored` made of it, and nobody else sees the id as it came.

A *person* is a keyed hash of a user id (HMAC-SHA-256, 128 bits of it): it can't be turned into an id, nor be
compared with the hash of a guessed one, without the workspace's secret. Tombstones name persons, never ids.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from freshet.core.config import PrivacyConfig
from freshet.core.errors import ArtifactError, ConfigError
from freshet.core.safe_names import checked
from freshet.storage.durable import locked, read_json, write_json
from freshet.storage.secrets import PRIVACY, user_secret

if TYPE_CHECKING:
    import duckdb

FORGOTTEN = "user was forgotten"
"""Why a row is refused; of such a row nothing is kept."""

EVER = 1 << 62
"""A moment after all others (microseconds since 1970)."""
_BLOCK, _BYTES = 64, 16


@dataclass(frozen=True, slots=True)
class Tombstone:
    """That a person was forgotten.

    Attributes:
        at: when (ISO, UTC); what they did before is refused, whenever it comes in.
        block: what they do later is refused as well.
        done: nothing of them was left; until then the same command goes on.
    """

    at: str
    block: bool = False
    done: bool = False

    @property
    def until(self) -> int:
        """Events before this moment (microseconds since 1970) are refused."""
        moment = datetime.fromisoformat(self.at)
        return EVER if self.block else int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)


@dataclass(frozen=True, slots=True)
class _Naming:
    """How a workspace names users: by hashes or not, of which secret, and what tells another secret."""

    format: int
    hashed: bool
    key_env: str
    check: str


_NAMING, _TOMBSTONES = TypeAdapter(_Naming), TypeAdapter(dict[str, Tombstone])


@dataclass(frozen=True)
class People:
    """The users of one workspace.

    Attributes:
        secret: what ids are hashed with; b'' where nothing needs it.
        hashed: the log holds persons in place of ids.
        tombstones: by person.
        inside: the ids given are those that the log holds already.
    """

    secret: bytes = b""
    hashed: bool = False
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    inside: bool = False

    def person(self, user: str) -> str:
        """32 hex digits that name the person in tombstones and receipts."""
        if self.hashed and self.inside:
            return user
        return hmac.digest(self.secret, _said(user), "sha256")[:_BYTES].hex()

    def stored(self, user: str) -> str:
        """The id by which the log knows a user."""
        return self.person(user) if self.hashed and not self.inside else user

    @cached_property
    def finished(self) -> int:
        """Changes when a forgetting has ended."""
        return hash(frozenset((person, one.at) for person, one in self.tombstones.items() if one.done))

    def as_stored(self) -> People:
        """The same for ids that the log, or the user store, holds already."""
        return replace(self, inside=True)

    def refuses(self, user: str, time: int) -> bool:
        """Whether an event of a user at a moment (microseconds since 1970) must not come in."""
        if not self.tombstones:
            return False
        found = self.tombstones.get(self.person(user))
        return found is not None and time < found.until

    def stored_sql(self, id: str) -> str:
        """`stored` as SQL over an SQL expression; NULL where that is."""
        return self._person_sql(id) if self.hashed and not self.inside else id

    def refuses_sql(self, id: str, time: str) -> str:
        """`refuses` as SQL over `tombstone_table`; an event without a time is refused with the others.

        Args:
            id: SQL of the id as it is given.
            time: SQL of the time, a TIMESTAMP in UTC.
        """
        if not self.tombstones:
            return "false"
        person = id if self.hashed and self.inside else self._person_sql(id)
        return (
            f"EXISTS (FROM {TABLE} AS gone WHERE gone.person = {person} "
            f"AND coalesce(epoch_us({time}), 0) < gone.until)"
        )

    def _person_sql(self, id: str) -> str:
        """HMAC by its definition: DuckDB has SHA-256, and a call into Python for each row is slow."""
        padded = hashlib.sha256(self.secret).digest() if len(self.secret) > _BLOCK else self.secret
        padded = padded.ljust(_BLOCK, b"\0")
        inner, outer = (bytes(byte ^ pad for byte in padded).hex() for pad in (0x36, 0x5C))
        said = f"unhex('{inner}') || encode('{_SAID}' || {id})"
        return f"substr(sha256(unhex('{outer}') || unhex(sha256({said}))), 1, {2 * _BYTES})"

    def tombstone_rows(self) -> list[tuple[str, int]]:
        """(person, until) of every tombstone, for `TABLE`."""
        return [(person, one.until) for person, one in self.tombstones.items()]


NOBODY = People()
"""Ids stay as they are, and nobody is refused."""
TABLE = "freshet_forgotten"
"""(person VARCHAR, until BIGINT): what `People.refuses_sql` reads."""
_SAID = "freshet user "


def _said(user: str) -> bytes:
    return (_SAID + user).encode()


def add_table(connection: duckdb.DuckDBPyConnection, people: People) -> None:
    """Make `TABLE` in a database, where anybody is refused."""
    if people.tombstones:
        import pyarrow as pa  # late: every command opens a workspace, and few make this table

        connection.execute(f"CREATE OR REPLACE TEMP TABLE {TABLE} (person VARCHAR, until BIGINT)")
        rows = people.tombstone_rows()
        table = pa.table({"person": [one for one, _ in rows], "until": [until for _, until in rows]})
        connection.register(f"{TABLE}_rows", table)
        connection.execute(f"INSERT INTO {TABLE} FROM {TABLE}_rows")
        connection.unregister(f"{TABLE}_rows")


_known: dict[Path, tuple[tuple[Any, ...], People]] = {}


def people_of(root: Path) -> People:
    """The people of a workspace, read again where they changed; two looks at the disk where they didn't.

    Raises:
        ConfigError: the secret of an environment variable is not set, or is another one.
    """
    stamp = tuple(map(_stamp, _looked_at(root)))
    known = _known.get(root)
    if known is not None and known[0] == stamp:
        return known[1]
    found = _read(root)
    _known[root] = stamp, found
    return found


def settle(root: Path, wanted: PrivacyConfig, write: bool = True) -> None:
    """Compare `[privacy]` with how the workspace names users; note it where there is nobody yet.

    Args:
        write: whether it may be noted: the lease is held.

    Raises:
        ConfigError: the log holds ids in another way, or was hashed with another secret.
    """
    there = _names(root).exists()
    if there and not wanted.hash_users and _naming(root).hashed:
        raise ConfigError(
            "the log holds hashed user ids, and [privacy] hash_users is false",
            hint="set hash_users = true: what comes in as it is would be other people",
        )
    if not wanted.hash_users:
        return
    if there and people_of(root).hashed:  # compares the secret
        return
    used = [name for name in ("events/log", "impressions", "state/data.mdb") if (root / name).exists()]
    if used or there:
        raise ConfigError(
            f"[privacy] hash_users is true, and {[*used, root][0]} holds user ids as they came",
            hint="make a new workspace with hash_users = true and import the source files there, or set "
            "it to false: in one log everybody would be two people",
        )
    if write:
        _note(root, user_secret(root, wanted.key_env), hashed=True, env=wanted.key_env)


def prepare(root: Path, wanted: PrivacyConfig) -> People:
    """The people of a workspace, with a secret: one is made where it has none. Under the lease."""
    if not _names(root).exists():
        _note(root, user_secret(root, wanted.key_env), hashed=False, env=wanted.key_env)
    return people_of(root)


def bury(root: Path, persons: Iterable[str], now: datetime, *, block: bool = False) -> dict[str, Tombstone]:
    """Write tombstones; those of a forgetting that was begun and not ended stay as they are.

    Returns:
        those of the persons.
    """
    at = now.astimezone(UTC).isoformat(timespec="microseconds")

    def again(before: Tombstone | None) -> Tombstone:
        if before is None or before.done:
            return Tombstone(at, block or (before is not None and before.block))
        return replace(before, block=before.block or block)

    with locked(root / PRIVACY):
        found = dict(people_of(root).tombstones)
        mine = {person: again(found.get(person)) for person in persons}
        _write(root, found | mine)
    return mine


def finish(root: Path, persons: Iterable[str]) -> None:
    """Note that nothing is left of these persons."""
    with locked(root / PRIVACY):
        found = dict(people_of(root).tombstones)
        _write(root, found | {person: replace(found[person], done=True) for person in persons})


def _write(root: Path, tombstones: Mapping[str, Tombstone]) -> None:
    content = {person: asdict(one) for person, one in sorted(tombstones.items())}
    write_json(_tombstones(root), {"format": 1, "persons": content})


def _note(root: Path, secret: bytes, *, hashed: bool, env: str) -> None:
    write_json(
        _names(root),
        {"format": 1, "hashed": hashed, "key_env": env, "check": People(secret).person("check")},
    )


def _read(root: Path) -> People:
    """Raises ArtifactError or ConfigError; nobody is named, and nobody forgotten, by what is damaged."""
    tombstones = _buried(root) if _tombstones(root).exists() else {}
    if not _names(root).exists():
        return People(tombstones=tombstones)
    names = _naming(root)
    secret = user_secret(root, names.key_env)
    found = People(secret, names.hashed, tombstones)
    if replace(found, hashed=False).person("check") != names.check:
        raise ConfigError(
            f"the secret that user ids of {root} are hashed with is not the one of before",
            hint="restore privacy/key, or set the variable of [privacy] key_env as it was",
        )
    return found


def _naming(root: Path) -> _Naming:
    """How users are named; raises ArtifactError."""
    content = read_json(_names(root))
    try:
        return _NAMING.validate_python(content)
    except ValidationError as error:
        raise _damaged(_names(root), error) from None


def _buried(root: Path) -> dict[str, Tombstone]:
    """Persons who were forgotten; raises ArtifactError."""
    content = read_json(_tombstones(root))
    try:
        found = _TOMBSTONES.validate_python(content["persons"])
        for person, one in found.items():
            checked(person, "person")
            _ = one.until  # its moment can be read
    except (KeyError, TypeError, ValueError, ArtifactError) as error:
        raise _damaged(_tombstones(root), error) from None
    return found


def _damaged(path: Path, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"{path} is damaged: {' '.join(str(error).split())[:300]}",
        hint="restore it from a copy, such as that of [backup] keys: it says how users are named",
    )


def _names(root: Path) -> Path:
    return root / PRIVACY / "names.json"


def _tombstones(root: Path) -> Path:
    return root / PRIVACY / "forgotten.json"


@lru_cache(maxsize=64)
def _looked_at(root: Path) -> tuple[str, str]:
    """Both as text: to put them together again would cost each request more than to look at them."""
    return str(_names(root)), str(_tombstones(root))


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


__all__ = ["FORGOTTEN", "NOBODY", "TABLE", "People", "Tombstone", "bury", "finish", "people_of",
           "prepare", "settle"]  # fmt: skip
