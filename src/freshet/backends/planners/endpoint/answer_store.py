"""Answers of a model elsewhere, kept in the workspace: what was answered once is paid once.

One SQLite file, `answers/answers.sqlite3`. A request is known by its identity (`ChatRequest.id`), which
covers planner, wording and decoding; the file holds no key, no header and no prompt. An answer counts when it
is on the disk, so that a run killed at any moment asks nothing again that counted.

The newest `MOST` answers are kept: some 300 MB. Deleting the folder loses no table, only money.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from freshet.backends.planners.endpoint.chat import ChatAnswer
from freshet.core.errors import ArtifactError
from freshet.storage.durable import make_folder
from freshet.storage.permissions import narrow

FOLDER = "answers"

MOST = 500_000
"""Answers kept, the newest; older ones go when the file is opened."""

_TABLE = "CREATE TABLE IF NOT EXISTS answers (number INTEGER PRIMARY KEY, id TEXT UNIQUE, answer TEXT)"
_PRUNE = "DELETE FROM answers WHERE number <= (SELECT max(number) FROM answers) - ?"

_AT_ONCE = 500
"""Identities that one query names."""


class AnswerStore:
    """The answers of a workspace; may be used by several threads and processes.

    Args:
        root: of the workspace.

    Raises:
        ArtifactError: the file is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / FOLDER / "answers.sqlite3"
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def find(self, ids: Iterable[str]) -> dict[str, ChatAnswer]:
        """The answers that are there, by identity of their request."""
        if not self.path.exists():
            return {}
        wanted = list(ids)
        found: dict[str, ChatAnswer] = {}
        with self._lock:
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = self._do(f"SELECT id, answer FROM answers WHERE id IN ({marks})", part)
                found |= {str(name): _answer(text) for name, text in rows}
        return found

    def keep(self, answers: Mapping[str, ChatAnswer]) -> None:
        """Keep answers by identity of their request; on the disk when this returns."""
        rows = [(name, _text(answer)) for name, answer in answers.items()]
        with self._lock:
            connection = self._connection()
            try:
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO answers (id, answer) VALUES (?, ?)", rows)
            except sqlite3.DatabaseError as error:
                raise self._damaged(error) from None

    def __len__(self) -> int:
        if not self.path.exists():
            return 0
        with self._lock:
            [(count,)] = self._do("SELECT count(*) FROM answers", [])
        return int(str(count))

    def _do(self, statement: str, values: list[str]) -> list[tuple[object, ...]]:
        try:
            return self._connection().execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            make_folder(self.path.parent)
            try:
                connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
                narrow(self.path)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute(_TABLE)
                with connection:
                    connection.execute(_PRUNE, [MOST])
            except sqlite3.DatabaseError as error:
                raise self._damaged(error) from None
            self._opened = connection
        return self._opened

    def _damaged(self, error: sqlite3.DatabaseError) -> ArtifactError:
        return ArtifactError(
            f"{self.path} can't be used: {error}",
            hint="if it is damaged, move it away: what it held is asked again, no table is lost",
        )


def _text(answer: ChatAnswer) -> str:
    return json.dumps([answer.text, answer.logprobs, answer.read, answer.written])


def _answer(text: object) -> ChatAnswer:
    written, logprobs, read, count = json.loads(str(text))
    return ChatAnswer(written, tuple((token, logp) for token, logp in logprobs), read, count)
