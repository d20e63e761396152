"""What may become part of a path: names and numbers are checked here before any path is made of them.

Ids of runs, releases, snapshots, experiments, arms and artifacts come from command lines, requests and files
that a person or a failing disk may have changed; none of them may lead out of its folder.
"""

from __future__ import annotations

import re

from freshet.core.errors import ArtifactError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NUMBER = re.compile(r"[0-9]{1,9}")


def is_name(text: object) -> bool:
    """Whether it can be one part of a path: ASCII letters, digits, `._-`; 128 at most, no dot first."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def checked(text: str, what: str) -> str:
    """The name as it is.

    Args:
        what: is named by it, for the message, such as 'version of an artifact'.

    Raises:
        ArtifactError: it can't be part of a path.
    """
    if not is_name(text):
        raise ArtifactError(
            f"{shortened(text)} is no {what}",
            hint="letters, digits, `.`, `_` and `-`, 128 at most, without a dot at the beginning",
        )
    return text


def checked_path(text: str, what: str) -> str:
    """A relative path, each part of which is a name, such as `text/idf.npy`; raises ArtifactError."""
    parts = text.split("/") if isinstance(text, str) else []
    if not parts or not all(map(_is_part, parts)):
        raise ArtifactError(f"{shortened(text)} is no {what}", hint="expected a path below its own folder")
    return text


def number(text: str) -> int | None:
    """A number as ids are counted, leading zeros or not; None where it is none (ASCII digits, 9 at most)."""
    return int(text) if _NUMBER.fullmatch(text) else None


def shortened(text: object) -> str:
    """What was given, quoted, as far as a message has room for it."""
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _is_part(text: str) -> bool:
    """Files of artifacts may have other characters, such as `=` and blanks, but none that means a path."""
    return bool(text) and text not in (".", "..") and not re.search(r"[\x00-\x1f\x7f/\\]", text)
