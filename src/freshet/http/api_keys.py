"""API keys: `<workspace>/keys.json` holds salted hashes, never a key.

A key is `fk_<id>_<secret>`. Its secret has 256 random bits, so one round of BLAKE2b, keyed with a salt, is as
safe at rest as a slow hash and costs a request microseconds.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes, token_hex, token_urlsafe

from freshet.core.errors import ArtifactError, ConfigError
from freshet.storage.durable import locked, read_json, write_text

FILE = "keys.json"
SCOPES = ("read", "write", "admin")
"""Each may do what those before it may: read explores, write posts events too, admin switches releases."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key; `salt` and `hash` in hex, `made` a day."""

    id: str
    name: str
    scope: str
    made: str
    salt: str
    hash: str

    def allows(self, scope: str) -> bool:
        """Whether it may do what a scope may."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


def _hashed(secret: str, salt: str) -> str:
    return blake2b(secret.encode(), key=bytes.fromhex(salt), digest_size=32).hexdigest()


def make_key(scope: str, name: str, made: str) -> tuple[Key, str]:
    """A new key, and its text, which is shown once."""
    identity, secret, salt = token_hex(4), token_urlsafe(32), token_bytes(16).hex()
    return Key(identity, name, scope, made, salt, _hashed(secret, salt)), f"fk_{identity}_{secret}"


def find(keys: Mapping[str, Key], text: str) -> Key | None:
    """The key that a text is, None if it is none; takes as long for a wrong secret as for the right one."""
    prefix, _, rest = text.partition("_")
    identity, _, secret = rest.partition("_")
    key = keys.get(identity)
    if prefix != "fk" or key is None:
        return None
    return key if hmac.compare_digest(_hashed(secret, key.salt), key.hash) else None


def load_keys(root: Path) -> dict[str, Key]:
    """The keys of a workspace by id; empty where there never was one.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = root / FILE
    if not _is_there(path):
        return {}
    try:
        keys = [Key(**entry) for entry in read_json(path)["keys"]]
        if not all(_is_sound(key) for key in keys):
            raise ValueError("a key's scope, salt, hash or name is none")
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path} is damaged: {error}",
            hint="restore it from a copy; or move it aside and `freshet keys add`",
        ) from None
    return {key.id: key for key in keys}


def _is_sound(key: Key) -> bool:
    """Whether it can be shown, and compared with what clients send; raises TypeError or ValueError if not."""
    if key.scope not in SCOPES or not all(isinstance(text, str) for text in asdict(key).values()):
        return False
    return 0 < len(bytes.fromhex(key.salt)) <= blake2b.MAX_KEY_SIZE and bool(bytes.fromhex(key.hash))


def _is_there(path: Path) -> bool:
    """Also as a link to nowhere: a service is open to all only where there never was a file."""
    return path.exists() or path.is_symlink()


def save_keys(root: Path, keys: Mapping[str, Key]) -> None:
    """Replace the keys of a workspace."""
    content = {"keys": [asdict(key) for key in keys.values()]}
    write_text(root / FILE, json.dumps(content, indent=1) + "\n")


def change_keys(root: Path, change: Callable[[dict[str, Key]], Mapping[str, Key]]) -> None:
    """Load, change and save the keys, one process at a time; what `change` raises leaves them as they are."""
    with locked(root):
        save_keys(root, change(load_keys(root)))


def revoke(keys: Mapping[str, Key], identity: str) -> dict[str, Key]:
    """All keys but one.

    Raises:
        ConfigError: there is no such key.
    """
    if identity not in keys:
        known = ", ".join(keys) or "none"
        raise ConfigError(f"there is no key '{identity}'", hint=f"keys: {known}")
    return {key: kept for key, kept in keys.items() if key != identity}


class Keyring:
    """The keys of a workspace as a running server knows them.

    Once there was a key, requests need one, as long as the file is there: revoking the last one closes the
    service, now and at its next start, instead of opening it.

    Args:
        root: the workspace.
        off: serve everyone whatever keys there are.
    """

    def __init__(self, root: Path, *, off: bool = False) -> None:
        self.root = root
        self.off = off
        self.required = False
        self._keys: dict[str, Key] = {}
        self._seen: tuple[int, ...] | None = None
        self.refresh()

    def refresh(self) -> bool:
        """Read the keys again if their file changed; returns whether it did."""
        path = self.root / FILE
        stat = path.stat() if path.exists() else path.lstat() if _is_there(path) else None
        seen = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino) if stat else None
        if seen == self._seen:
            return False
        self.required = not self.off and (self.required or stat is not None)
        self._keys = load_keys(self.root)
        self._seen = seen
        return True

    def find(self, text: str) -> Key | None:
        """The key that a text is, None if it is none."""
        return find(self._keys, text)

    def get(self, identity: str) -> Key | None:
        """The key with an id, None if there is none."""
        return self._keys.get(identity)
