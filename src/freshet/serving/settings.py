"""The settings a server goes by: the file is looked at often, and read when it changed."""

from __future__ import annotations

from pathlib import Path

from freshet.core.config import Config, load
from freshet.core.errors import ConfigError


class Settings:
    """What a `freshet.toml` says now; called again, it costs a look at the file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._config = Config()

    def __call__(self) -> Config:
        """The same object until the file changes.

        Raises:
            ConfigError: the file is missing or wrong.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise ConfigError(f"{self._path} can't be read: {error.strerror}") from None
        seen = found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
        if seen != self._seen:
            self._config = load(self._path)
            self._seen = seen
        return self._config
