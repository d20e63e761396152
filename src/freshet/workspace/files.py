"""Small files written so that a reader sees the old or the new content, never a part."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from freshet.errors import ArtifactError


def write_text(path: Path, text: str, *, exclusive: bool = False) -> None:
    """Write through a file aside and one rename.

    Raises:
        FileExistsError: `exclusive` and the file is there already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if exclusive:
        try:
            os.link(aside, path)
        finally:
            aside.unlink()
    else:
        aside.replace(path)


def write_json(path: Path, content: Any, *, exclusive: bool = False) -> None:
    """`write_text` of readable JSON with sorted keys."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_text(path, text, exclusive=exclusive)


def read_json(path: Path) -> Any:
    """Raises ArtifactError naming the file if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"{path} not found") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from None
