"""The format of a workspace as a whole: a number in its file `FORMAT`, which only grows.

A workspace of 0.1 has no such file: its format is 1. Each step from one to the next is a migration
(`freshet.upgrades`). A newer workspace is refused; an older one can be read, and written to as well unless a
migration says otherwise.
"""

from __future__ import annotations

from pathlib import Path

from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError, WrongFormat
from freshet.storage.durable import write_text

FILE = "FORMAT"
FIRST = 1
CURRENT = 2
UPGRADE = "upgrade"
"""The command that may always write."""
WRITABLE = 1
"""The oldest that is written to before `freshet upgrade`."""


def format_of(root: Path) -> int:
    """The format of the workspace in a folder.

    Raises:
        ArtifactError: the file holds no number.
    """
    path = root / FILE
    try:
        found = names.number(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return FIRST
    except (OSError, UnicodeDecodeError):
        found = None
    if found is None or found < FIRST:
        raise ArtifactError(
            f"{path} is damaged, expected the format of the workspace, such as {CURRENT}",
            hint=f"remove it, then `freshet upgrade` writes it again (this Freshet has format {CURRENT})",
        )
    return found


def check_readable(root: Path) -> None:
    """Raises WrongFormat where a newer Freshet made the workspace, ArtifactError where nobody can tell."""
    found = format_of(root)
    if found > CURRENT:
        raise WrongFormat(
            f"the workspace {root} has format {found}, this Freshet reads up to {CURRENT}: "
            "a newer one wrote it",
            hint="update this Freshet",
        )


def check_writable(root: Path) -> None:
    """Raises WrongFormat where the workspace has to be upgraded first."""
    found = format_of(root)
    if found < WRITABLE:
        raise WrongFormat(
            f"the workspace {root} has format {found}, this Freshet writes to {WRITABLE} and newer",
            hint="`freshet upgrade` brings it up to date; `freshet backup` first",
        )


def write_format(root: Path, number: int = CURRENT) -> None:
    """Note the format."""
    write_text(root / FILE, f"{number}\n")


def note_format(root: Path) -> None:
    """Note the format of a new workspace; one that has runs is upgraded instead."""
    if not (root / FILE).exists() and not (root / "runs").exists():
        write_format(root)
