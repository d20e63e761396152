"""The workspace as the dashboard looks at it: opened anew when settings change, figures remembered."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

from freshet.dashboard.explorer import Explorer
from freshet.storage.workspace import LEASE, Workspace
from freshet.wiring import SETTINGS, open_workspace

REMEMBERED = 256
"""Figures that are kept in memory; the one that was asked for longest ago makes way."""
WATCHED = ("CURRENT", SETTINGS, LEASE, "keys.json", "runs", "releases", "decisions")
"""Files, and folders whose files are only ever moved into place, which changes the folder."""
FOLDERS = ("experiments",)
Made = TypeVar("Made")


class WorkspaceView:
    """A workspace, and what was found out of it as long as it stays as it is.

    Args:
        root: its folder.

    Attributes:
        explorer: the release that serves, for pages to explore.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.explorer = Explorer(self.workspace)
        self._opened: Workspace | None = None
        self._seen: tuple[int, ...] = ()
        self._opening = threading.Lock()
        self._memory: OrderedDict[Hashable, Any] = OrderedDict()
        self._remembering = threading.Lock()

    def workspace(self) -> Workspace:
        """The workspace, opened.

        Raises:
            FreshetError: its settings are wrong, or a package that they need is missing.
        """
        with self._opening:
            seen = _stamp(self.root / SETTINGS)
            if self._opened is None or seen != self._seen:
                self._opened, self._seen = open_workspace(self.root), seen
            return self._opened

    def state(self) -> Hashable:
        """Changes whenever a run, a release, a decision or a setting does; costs a look at the folders."""
        files = tuple(_stamp(self.root / name) for name in WATCHED)
        return files, tuple(_newest(self.root / name) for name in FOLDERS)

    def cached(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` returns, made once per key and state."""
        full = (key, self.state())
        with self._remembering:
            if full in self._memory:
                self._memory.move_to_end(full)
                found: Made = self._memory[full]
                return found
        made = make()
        with self._remembering:
            self._memory[full] = made
            while len(self._memory) > REMEMBERED:
                self._memory.popitem(last=False)
        return made


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _newest(folder: Path) -> tuple[int, int]:
    """How many files a folder holds, and when the last of them was written (ns)."""
    count = latest = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                count += 1
                latest = max(latest, entry.stat().st_mtime_ns)
    except OSError:
        return 0, 0
    return count, latest
