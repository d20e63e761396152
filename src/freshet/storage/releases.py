"""Releases: numbered, immutable names for a table and what is behind it. `CURRENT` names the one serving."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError
from freshet.core.types import AsOf
from freshet.storage.durable import read_json, write_json, write_text

DELETED = "deleted"
"""Folder of releases that `freshet gc` has deleted: what they were, without what they served."""


@dataclass(frozen=True, slots=True)
class Release:
    """A published table with the model, interests and evidence (kept beside the table) behind it.

    `model` is empty where plain counts were published. `previous` is the release it replaced.
    `overlay` weighs live signals, `ranker` ranks items, `feedback` says what people did with proposals and
    `users` holds rows of single users; each is empty where there is none. `arm` is the `EXPERIMENT/ARM` that
    alone is served with it, '' = it serves everybody.
    """

    number: int
    as_of: str
    table: str
    model: str
    interests: str
    run: str
    previous: int | None
    overlay: str = ""
    ranker: str = ""
    arm: str = ""
    feedback: str = ""
    users: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _same(a: Release, b: Release) -> bool:
    """Whether two releases differ in no more than their number and run."""
    return replace(a, number=b.number, run=b.run) == b


def _release(number: int, content: dict[str, Any]) -> Release:
    """A release as its file says; raises TypeError or ValueError where it says something else."""
    release = Release(**content)
    texts = [value for name, value in content.items() if name not in ("number", "previous")]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a name is no text")
    if release.number != number or not isinstance(release.previous, int | None):
        raise ValueError("its number is another")
    AsOf.parse(release.as_of)
    return release


class Releases:
    """All releases of a workspace.

    Args:
        root: the workspace folder.
        pointer: the file that names the release which serves; None = `CURRENT`.
    """

    def __init__(self, root: Path, pointer: Path | None = None) -> None:
        self._folder = root / "releases"
        self._current = pointer or root / "CURRENT"

    def numbers(self) -> list[int]:
        """Numbers of all releases, oldest first."""
        found = (names.number(path.stem) for path in self._folder.glob("*.json"))
        return sorted(number for number in found if number is not None)

    def get(self, number: int) -> Release:
        """Raises ArtifactError if there is no such release."""
        path = self._folder / f"{number}.json"
        if not path.exists():
            known = ", ".join(map(str, self.numbers())) or "none"
            if (self._folder / DELETED / path.name).exists():
                raise ArtifactError(
                    f"release {number} was deleted by `freshet gc`", hint=f"releases: {known}"
                )
            raise ArtifactError(f"there is no release {number}", hint=f"releases: {known}")
        try:
            return _release(number, dict(read_json(path)))
        except (TypeError, ValueError):
            raise ArtifactError(
                f"{path} is no release that this Freshet can read",
                hint="it is damaged, or was made by a newer Freshet: `freshet doctor` tells",
            ) from None

    def pointer(self) -> int | None:
        """The number `CURRENT` names; None if it is missing or names none."""
        try:
            text = self._current.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return names.number(text)

    def current(self) -> Release | None:
        """The release that serves, or None before the first one.

        Raises:
            ArtifactError: `CURRENT` or the release it names is missing or damaged.
        """
        number = self.pointer()
        if number is not None:
            return self.get(number)
        if not self._current.exists() and all(self.get(n).previous is None for n in self.numbers()):
            return None  # nothing has ever served; a first publication may have been cut off
        raise ArtifactError(
            f"{self._current} is {'damaged' if self._current.exists() else 'missing'}, "
            "expected the number of the release that serves",
            hint="`freshet rollback N` serves release N; `freshet doctor` tells which one served last",
        )

    def publish(
        self,
        as_of: str,
        table: str,
        model: str,
        interests: str,
        run: str,
        overlay: str = "",
        ranker: str = "",
        arm: str = "",
        feedback: str = "",
        users: str = "",
        serve: bool = True,
    ) -> Release:
        """Number the table and make it current: the release file first, the pointer last.

        A publication that was cut off between the two is finished under the number it had. That of an
        experiment's arm, and one that does not `serve` yet, is numbered only: `CURRENT` stays.
        """
        current = self.current()
        number = max([0, *self.numbers()])
        release = Release(
            number + 1,
            as_of,
            table,
            model,
            interests,
            run,
            current.number if current else None,
            overlay,
            ranker,
            arm,
            feedback,
            users,
        )
        if number and _same(last := self.get(number), release):
            release = last
        else:
            write_json(self._folder / f"{release.number}.json", release.as_dict(), exclusive=True)
        return self.point_to(release.number) if serve and not arm else release

    def point_to(self, number: int) -> Release:
        """Swap `CURRENT` in one step."""
        release = self.get(number)
        write_text(self._current, f"{number}\n")
        return release
