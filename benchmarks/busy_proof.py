"""What must hold in a busy workspace after every kill: looked at while everything goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from busy_clients import Told, event, number_of, user_of

SHOWN = 5


@dataclass
class Promise:
    """What was acknowledged by commands so far.

    Attributes:
        imported: event files whose import ended well.
        forgotten: users whose forgetting ended well.
        leaving: users who are being forgotten: nothing is promised about them.
        keys: ids of API keys that were shown, and not revoked since.
        revoked: ids that were.
        backed_up: bytes of the clients' notes when the last backup began.
        in_backup: event files whose import had ended well then.
    """

    imported: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    leaving: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    backed_up: int | None = None
    in_backup: set[str] = field(default_factory=set)


@dataclass
class Proof:
    """What was wrong."""

    lost: int = 0
    twice: int = 0
    corrupt: int = 0
    found_again: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, what: str, wrong: Iterable[Any], text: str) -> None:
        """Count things of a kind that are wrong."""
        bad = [*wrong]
        setattr(self, what, getattr(self, what) + len(bad))
        if bad:
            self.examples.append(f"{what}: {text}: {len(bad)}, such as {bad[:SHOWN]}")


def examine(space: Path, notes: Path, promise: Promise, end: int | None = None) -> dict[str, Any]:
    """Look at everything.

    Args:
        space: a workspace, or one that was restored from a backup of it.
        notes: of the clients.
        end: bytes of the notes that count: what was acknowledged later need not be there.
    """
    proof = Proof()
    told = Told.of(notes, end)
    gone = Told.of(notes).retired
    _events(space, told, gone, promise, proof)
    _imports(space, promise.imported if end is None else promise.in_backup, promise, proof)
    _files(space, proof)
    if end is None:
        _keys(space, promise, proof)
    return asdict(proof)


def _events(space: Path, told: Told, gone: set[str], promise: Promise, proof: Proof) -> None:
    """Acknowledged events are in journal or log, in neither of them twice; none is of the forgotten."""
    import duckdb

    from freshet.core.types import TRANSITION
    from freshet.core.types.ids import item_key, user_key
    from freshet.stages.events import EventLog
    from freshet.wiring import open_user_store, open_workspace

    state = open_user_store(space, open_workspace(space).config)
    journal: Counter[int] = Counter()
    after = 0
    while entries := state.events.read(
        after, 50_000
    ):  # first: what leaves it meanwhile is in the log by then
        bodies = (json.loads(entry.body[TRANSITION.itemsize :]) for entry in entries)
        journal.update(number_of(body["time"]) for body in bodies)
        after = entries[-1].position
    scan = EventLog(space).snapshot().scan
    rows = duckdb.sql(f'SELECT epoch_us("time") FROM {scan} WHERE "user" LIKE \'live%\'').fetchall()
    log = Counter(number_of(time) for (time,) in rows)
    held = journal.keys() | log.keys()
    wanted = {number for number in told.acknowledged if user_of(number) not in gone}
    proof.note("lost", sorted(wanted - held), "acknowledged events")
    for name, counted in (("journal", journal), ("log", log)):
        proof.note("twice", (n for n, count in counted.items() if count > 1), f"events in the {name}")
    proof.note("found_again", (n for n in held if user_of(n) in promise.forgotten), "events of the forgotten")
    by_user: dict[str, set[int]] = {}
    for number in wanted:
        by_user.setdefault(user_of(number), set()).add(item_key(event(number)["item"]))
    users = sorted(by_user)
    known = state.histories([user_key(user) for user in users])
    proof.note(
        "lost",
        (u for u, history in zip(users, known, strict=True) if not by_user[u] <= {*history.items.tolist()}),
        "items of what is remembered of users",
    )
    state.close()


def _imports(space: Path, imported: set[str], promise: Promise, proof: Proof) -> None:
    """Rows of imported files are in the log once."""
    import duckdb

    from freshet.stages.events import EventLog

    if not imported:
        return
    log = EventLog(space).snapshot().scan
    rows = duckdb.sql(f'SELECT "user", item, epoch_us("time") FROM {log} WHERE "user" NOT LIKE \'live%\'')
    held = Counter(rows.fetchall())
    files = ", ".join(f"'{name}'" for name in sorted(imported))
    wanted = duckdb.sql(
        f'SELECT DISTINCT user_id, item_id, epoch_us("timestamp") FROM read_parquet([{files}])'
    )
    away = promise.forgotten | promise.leaving
    proof.note("lost", (r for r in wanted.fetchall() if r[0] not in away and r not in held), "imported rows")
    proof.note("twice", (row for row, count in held.items() if count > 1), "imported rows in the log")
    proof.note("found_again", (row for row in held if row[0] in promise.forgotten), "rows of the forgotten")


def _files(space: Path, proof: Proof) -> None:
    """Every file is what its checksum says, and the current release opens."""
    from freshet.core.errors import FreshetError
    from freshet.doctor import check
    from freshet.inspect import open_release
    from freshet.wiring import open_workspace

    ws = open_workspace(space)
    damage = [f"{one.what}: {one.where}: {one.means}" for one in check(ws).findings if one.damage]
    proof.note("corrupt", damage, "damage")
    try:
        release = open_release(ws)
        if not len(release.table.look_up(()).successors) or not release.weights():
            proof.note("corrupt", ["it is empty"], "the current release")
    except FreshetError as error:
        proof.note("corrupt", [str(error)], "the current release")


def _keys(space: Path, promise: Promise, proof: Proof) -> None:
    from freshet.http.api_keys import load_keys

    known = load_keys(space).keys()
    proof.note("lost", promise.keys - known, "API keys")
    proof.note("found_again", promise.revoked & known, "revoked keys")
