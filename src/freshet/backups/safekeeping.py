"""Keys and secrets of a workspace in a folder elsewhere: without them a backup tells nothing of users.

They are copied with every backup. A key that is dropped is dropped there at once.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from freshet.backups.contents import APART
from freshet.core.errors import ArtifactError, ConfigError
from freshet.storage.durable import PART, written
from freshet.storage.user_keys import PLACE, UserKeys

SECRETS = "privacy"


def keys_of(root: Path, folder: str) -> UserKeys:
    """The keys of a workspace, with their copy in a folder; '' = there is no copy."""
    return UserKeys(root, copy_in(root, folder) if folder else None)


def copy_in(root: Path, folder: str) -> Path:
    """Where the copy of the keys lies."""
    return root / Path(folder).expanduser() / PLACE.name


def keep_apart(root: Path, folder: Path) -> None:
    """Bring the secrets in a folder up to date; the keys of users keep themselves so.

    Raises:
        ArtifactError: the folder can't be written.
    """
    for path in sorted((root / SECRETS).rglob("*")):
        if path.is_file() and not path.name.endswith(PART):
            target = folder / path.relative_to(root)
            content = path.read_bytes()
            if not target.exists() or target.read_bytes() != content:
                try:
                    with written(target) as aside:
                        aside.write_bytes(content)
                except OSError as error:
                    raise ArtifactError(
                        f"{target} can't be written: {error.strerror}", hint="see to [backup] keys"
                    ) from None
                target.chmod(0o600)


def bring(kept: Path, root: Path) -> UserKeys:
    """Give a new workspace keys and secrets: of a folder of safekeeping, or of a workspace.

    Raises:
        ConfigError: there are no keys.
    """
    found = [path for path in (kept / PLACE.name, kept / PLACE) if path.is_file()]
    if kept.is_file():
        found, kept = [kept], kept.parent
    if not found:
        raise ConfigError(
            f"{kept} holds no {PLACE.name}",
            hint="name the folder of [backup] keys, or the workspace that was backed up",
        )
    keys = UserKeys(root)
    keys.adopt(found[0])
    if (kept / SECRETS).is_dir():
        shutil.copytree(kept / SECRETS, root / SECRETS, dirs_exist_ok=True)
    return keys


assert set(APART) == {PLACE.parts[0], SECRETS}
