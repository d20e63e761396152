"""Which request went out in which file of which batch, and what became of it: `batches/index.sqlite`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from freshet.backends.planners.batch.request_files import RequestFile
from freshet.core.errors import ArtifactError
from freshet.core.types import Usage
from freshet.storage.durable import make_folder
from freshet.storage.permissions import narrow

_TABLES = """
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY, layout TEXT NOT NULL, model TEXT NOT NULL, planner TEXT NOT NULL,
    made TEXT NOT NULL, tokens INTEGER NOT NULL, written INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS files (
    batch INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, remote TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'written', tried TEXT NOT NULL DEFAULT '', PRIMARY KEY (batch, name)
);
CREATE TABLE IF NOT EXISTS requests (
    id TEXT NOT NULL, batch INTEGER NOT NULL, file TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open',
    problem TEXT NOT NULL DEFAULT '', PRIMARY KEY (id, batch)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_file ON requests (batch, file, state);
"""

State = Literal["answered", "failed", "unasked"]
"""What became of a request: `failed` where the provider saw it and gave no answer, else `unasked`."""

_MANY = 500
"""Values in one query."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file of requests and how far it is.

    Attributes:
        batch: number of its batch, whose folder it is in.
        remote: what the provider calls the batch that was made of it, '' where none was.
        state: `written`, `sending` (a provider may have it), `sent`, or `closed`: no more results will come.
        tried: when sending began, ISO in UTC; '' = never.
        requests, answered, failed, unasked: how many; the rest is open.
    """

    batch: int
    name: str
    layout: str
    model: str
    size: int
    remote: str
    state: str
    tried: str
    requests: int
    answered: int
    failed: int
    unasked: int

    @property
    def open(self) -> int:
        """Requests whose answers may still come."""
        return self.requests - self.answered - self.failed - self.unasked


class BatchIndex:
    """The index of a workspace's batches.

    Args:
        root: folder `batches` of the workspace; it is made when the first batch is added.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = root / "index.sqlite"

    def folder(self, batch: int) -> Path:
        """Of a batch's files."""
        return self.root / f"{batch:05d}"

    def next(self) -> int:
        """Number of the next batch; none is given twice, not even where a run died before it added one."""
        numbers = [int(path.name) for path in self.root.glob("[0-9]*") if path.name.isdigit()]
        last: int | None = None
        with self._reading() as database:
            if database is not None:
                (last,) = database.execute("SELECT max(number) FROM batches").fetchone()
        return max([0, last or 0, *numbers]) + 1

    def add(
        self,
        number: int,
        files: Sequence[RequestFile],
        *,
        layout: str,
        model: str,
        planner: str,
        made: str,
        expected: Usage,
    ) -> None:
        """Remember a batch whose files are written; all of it or nothing.

        Args:
            made: when, ISO in UTC.
            expected: what its requests should cost.
        """
        with self._writing() as database:
            database.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, layout, model, planner, made, expected.tokens, expected.written),
            )
            for file in files:
                database.execute(
                    "INSERT INTO files (batch, name, size) VALUES (?, ?, ?)", (number, file.name, file.size)
                )
                database.executemany(
                    "INSERT INTO requests (id, batch, file) VALUES (?, ?, ?)",
                    ((name, number, file.name) for name in file.ids),
                )

    def outstanding(self, ids: Sequence[str]) -> set[str]:
        """Those whose answers may still come."""
        query = "SELECT DISTINCT id FROM requests WHERE state = 'open' AND id IN ({})"
        return {name for (name,) in self._of(query, ids)}

    def failures(self, ids: Sequence[str]) -> dict[str, tuple[int, str]]:
        """How often the provider failed on each, and the latest problem, be it one or not to have been asked.

        Those without a problem are left out.
        """
        query = (
            "SELECT id, batch, state, problem FROM requests "
            "WHERE state IN ('failed', 'unasked') AND id IN ({}) ORDER BY id, batch"
        )
        found: dict[str, tuple[int, str]] = {}
        for name, _, state, problem in self._of(query, ids):
            found[name] = found.get(name, (0, ""))[0] + (state == "failed"), problem
        return found

    def knows(self, ids: Sequence[str]) -> set[tuple[str, int]]:
        """(id, batch) of those that were ever in a batch."""
        return {
            (name, batch) for name, batch in self._of("SELECT id, batch FROM requests WHERE id IN ({})", ids)
        }

    def settle(self, results: Iterable[tuple[str, int, State, str]]) -> None:
        """Note what became of requests: (id, batch, state, problem).

        An answer settles a request in all batches, a problem only where it is open.
        """
        with self._writing() as database:
            for name, batch, state, problem in results:
                if state == "answered":
                    database.execute("UPDATE requests SET state = 'answered' WHERE id = ?", (name,))
                    continue
                database.execute(
                    "UPDATE requests SET state = ?, problem = ? "
                    "WHERE id = ? AND batch = ? AND state = 'open'",
                    (state, problem, name, batch),
                )

    def sending(self, batch: int, file: str, now: str) -> None:
        """Note that a provider is asked to make a batch of a file: from now on it may have one."""
        with self._writing() as database:
            database.execute(
                "UPDATE files SET state = 'sending', tried = ? WHERE batch = ? AND name = ?",
                (now, batch, file),
            )

    def unsent(self, batch: int, file: str) -> None:
        """Note that a provider made no batch of a file."""
        with self._writing() as database:
            database.execute("UPDATE files SET state = 'written' WHERE batch = ? AND name = ?", (batch, file))

    def sent(self, batch: int, file: str, remote: str) -> None:
        """Note that a provider made a batch of a file."""
        with self._writing() as database:
            database.execute(
                "UPDATE files SET state = 'sent', remote = ? WHERE batch = ? AND name = ?",
                (remote, batch, file),
            )

    def close(self, batch: int, file: str, state: State, problem: str) -> int:
        """No more results of a file will come; returns how many requests were still open.

        Args:
            state: what those count as: `failed` where the provider refused the file, else `unasked`.
        """
        with self._writing() as database:
            changed = database.execute(
                "UPDATE requests SET state = ?, problem = ? WHERE batch = ? AND file = ? AND state = 'open'",
                (state, problem, batch, file),
            ).rowcount
            database.execute("UPDATE files SET state = 'closed' WHERE batch = ? AND name = ?", (batch, file))
        return int(changed)

    def files(self) -> list[OpenFile]:
        """All files, oldest first."""
        query = """
            SELECT f.batch, f.name, b.layout, b.model, f.size, f.remote, f.state, f.tried, count(*),
                   sum(r.state = 'answered'), sum(r.state = 'failed'), sum(r.state = 'unasked')
            FROM files f JOIN batches b ON b.number = f.batch
            JOIN requests r ON r.batch = f.batch AND r.file = f.name
            GROUP BY f.batch, f.name ORDER BY f.batch, length(f.name), f.name
        """
        with self._reading() as database:
            return [OpenFile(*row) for row in database.execute(query)] if database else []

    def expected(self) -> dict[int, Usage]:
        """What each batch should cost, by its number."""
        query = "SELECT number, tokens, written FROM batches"
        with self._reading() as database:
            rows = list(database.execute(query)) if database else []
        return {number: Usage(tokens, written=written) for number, tokens, written in rows}

    def problems(self, batch: int) -> list[tuple[str, int]]:
        """(problem, how often) of a batch's requests, most frequent first."""
        query = (
            "SELECT problem, count(*) FROM requests WHERE batch = ? AND state IN ('failed', 'unasked') "
            "GROUP BY problem ORDER BY 2 DESC, 1"
        )
        with self._reading() as database:
            return list(database.execute(query, (batch,))) if database else []

    def _of(self, query: str, ids: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        with self._reading() as database:
            if database is None:
                return
            for start in range(0, len(ids), _MANY):
                part = list(ids[start : start + _MANY])
                yield from database.execute(query.format(", ".join("?" * len(part))), part)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The database, None where there is none yet."""
        if not self._path.exists():
            yield None
            return
        with self._connected() as database:
            yield database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The database in one transaction."""
        make_folder(self.root)
        with self._connected() as database:
            database.executescript(_TABLES)
            narrow(self._path)
            with database:
                yield database

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=60.0)) as database:
                yield database
        except sqlite3.DatabaseError as error:
            raise ArtifactError(
                f"{self._path} can't be used: {error}",
                hint="move it away: requests without an answer are then written anew, answers stay",
            ) from None
