"""Secrets of a workspace in files that their owner alone may read, whatever the workspace's permissions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from freshet.core.errors import ConfigError
from freshet.storage.durable import written

PRIVACY = "privacy"
"""Folder of keys, tombstones and receipts."""
RECEIPTS = "receipts"
LEAST = 32
"""Characters of a secret in an environment variable."""


def secret_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of a file, which is made where it is missing; two processes at once agree on one.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", hint="see to its owner") from None
    try:
        with written(path, exclusive=True) as aside:
            aside.write_bytes(make())
    except FileExistsError:
        pass
    path.chmod(0o600)  # narrower than the workspace may be
    return path.read_bytes()


def user_secret(root: Path, env: str = "") -> bytes:
    """What user ids are hashed with.

    Args:
        env: the variable that holds it; '' = the file `privacy/key`, made at the first call.

    Raises:
        ConfigError: the variable is not set, or holds too little.
    """
    if not env:
        return secret_file(root / PRIVACY / "key", lambda: os.urandom(32))
    value = os.environ.get(env, "")
    if len(value) < LEAST:
        raise ConfigError(
            f"[privacy] key_env: the environment variable {env} has {len(value)} characters, "
            f"expected {LEAST} or more",
            hint="set it as it was when the first event came in: another secret names everybody anew",
        )
    return value.encode()
