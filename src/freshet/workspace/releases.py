"""Releases: numbered, immutable names for a table and what is behind it. `CURRENT` names the one serving."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from freshet.errors import ArtifactError
from freshet.workspace.files import read_json, write_json, write_text


@dataclass(frozen=True, slots=True)
class Release:
    """A published table with the model, interests and evidence (kept beside the table) behind it.

    `model` is empty where plain counts were published. `previous` is the release it replaced.
    """

    number: int
    as_of: str
    table: str
    model: str
    interests: str
    run: str
    previous: int | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Releases:
    """All releases of a workspace.

    Args:
        root: the workspace folder.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "releases"
        self._current = root / "CURRENT"

    def numbers(self) -> list[int]:
        """Numbers of all releases, oldest first."""
        return sorted(int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdigit())

    def get(self, number: int) -> Release:
        """Raises ArtifactError if there is no such release."""
        path = self._folder / f"{number}.json"
        if not path.exists():
            known = ", ".join(map(str, self.numbers())) or "none"
            raise ArtifactError(f"there is no release {number}", hint=f"releases: {known}")
        return Release(**read_json(path))

    def current(self) -> Release | None:
        """The release that serves, or None before the first one."""
        if not self._current.exists():
            return None
        text = self._current.read_text(encoding="utf-8").strip()
        if not text.isdigit():
            raise ArtifactError(
                f"{self._current} holds '{text[:40]}', expected a release number",
                hint="write the number of the release that should serve, or run `freshet rollback N`",
            )
        return self.get(int(text))

    def publish(self, as_of: str, table: str, model: str, interests: str, run: str) -> Release:
        """Number the table and make it current: the release file first, the pointer last."""
        current = self.current()
        number = max([0, *self.numbers()]) + 1
        release = Release(number, as_of, table, model, interests, run, current.number if current else None)
        write_json(self._folder / f"{number}.json", release.as_dict(), exclusive=True)
        self.point_to(number)
        return release

    def point_to(self, number: int) -> Release:
        """Swap `CURRENT` in one step."""
        release = self.get(number)
        write_text(self._current, f"{number}\n")
        return release
