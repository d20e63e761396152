"""What people and their cron jobs do in a busy SIMULATED workspace: every command that writes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from busy_clients import USERS
from busy_proof import Promise

SETTINGS = """[events]
files = ["../old.parquet"]
items = "../world/items.parquet"
positive = "value >= 7"
[interests]
count = 8
[counts]
window_days = 7
fit_windows = 2
[planner]
kind = "fake"
[tuning]
max_examples = 200
[inference]
calibration_prompts = 100
[gates]
exact_match = {exact_match}
sample = 60
[schedule]
refresh_cron = "*/15 * * * *"
collect_cron = "*/15 * * * *"
refresh_days = 1
retry_minutes = 0.01
gc_days = 1
[serving]
state_gb = 1.0
[http]
oldest_event_days = 40000
drain_seconds = 0
log_requests = false
[alerts]
every_minutes = {every}
[backup]
keys = "../keys"
keep = 2
[export]
to = ["../shop.freshet"]
"""
EASY, STRICT = "easy.toml", "strict.toml"
"""Settings: servers don't look at service levels; they do, and a gate halts each model."""
PATIENT = ("--wait", "100")
"""Seconds that a command waits for the scheduler's run."""
BUSY, WAITS, WRONG = 5, 3, 2
"""Exit codes: to be tried again; a gate halted; what was asked for is not there (any more)."""


@dataclass
class Act:
    """A command, and what follows when it has ended well.

    Attributes:
        words: after `freshet`.
        fine: exit codes that are no defect.
        before: called when it begins.
        then: called with what it printed, a JSON document, when it has ended with 0.
        made: where something new is at its end: it is not run again where that is there already.
    """

    words: list[str]
    fine: tuple[int, ...] = (0,)
    before: Callable[[], None] = lambda: None
    then: Callable[[dict[str, Any]], None] = lambda _: None
    made: Path | None = None

    @property
    def name(self) -> str:
        first, second = self.words[0], self.words[1]
        return f"{first} {second}" if first in ("keys", "experiment") else first


@dataclass
class Town:
    """Where it happens.

    Attributes:
        root: holds the workspace `shop`, `safe` with its backups, `keys` beside them, and what is imported.
        slices: event files that `import` brings.
        waiting: asks which runs wait for review.
        retire: tells clients to send nothing more of a user.
        mark: bytes of the clients' notes by now.
        restored: what was restored last, and what it has to keep; None once it was looked at.
    """

    root: Path
    rng: random.Random
    slices: list[str]
    waiting: Callable[[], list[str]]
    retire: Callable[[str], None]
    mark: Callable[[], int]
    promise: Promise = field(default_factory=Promise)
    restored: tuple[Path, Promise] | None = None
    experiment: str = ""
    number: int = 0
    deck: list[str] = field(default_factory=list)

    @property
    def shop(self) -> Path:
        return self.root / "shop"

    def next(self) -> Act:
        """What is done next: all kinds in random order, then again."""
        while not self.deck:
            self.deck = self.rng.sample(list(KINDS), len(KINDS))
        self.number += 1
        return getattr(self, f"_{self.deck.pop()}")()

    def _import(self) -> Act:
        name = self.rng.choice(self.slices)
        return Act(["import", name, *PATIENT], then=lambda _: self.promise.imported.add(name))

    def _collect(self) -> Act:
        return Act(["collect", *PATIENT])

    def _run(self) -> Act:
        return Act(["run", *PATIENT], (0, WAITS))

    def _refresh(self) -> Act:
        return Act(["refresh", *PATIENT], (0, WAITS))

    def _finetune(self) -> Act:
        return Act(["finetune", *PATIENT], (0, WAITS))

    def _review(self) -> Act:
        """Where nothing waits, the next model shall."""
        if runs := self.waiting():
            what = self.rng.choice(("approve", "reject"))
            return Act([what, runs[-1], "--reason", "seen", *PATIENT], (0, WRONG))
        return self._settings()

    def _settings(self) -> Act:
        return Act(["settings", "--set", f"../{self.rng.choice((EASY, STRICT))}"])

    def _rollback(self) -> Act:
        return Act(["rollback", "--reason", "people complain", *PATIENT], (0, WRONG))

    def _forget(self) -> Act:
        live = self.rng.random() < 0.7
        user = f"live{self.rng.randrange(USERS)}" if live else f"user{self.rng.randrange(80):05d}"

        def leave() -> None:
            self.promise.leaving.add(user)
            self.retire(user)

        def gone(_: dict[str, Any]) -> None:
            self.promise.forgotten.add(user)

        return Act(["forget", "--user", user, *PATIENT], before=leave, then=gone)

    def _gc(self) -> Act:
        return Act(["gc", "--releases", str(self.rng.randint(1, 3)), *PATIENT])

    def _backup(self) -> Act:
        begun = self.mark(), {*self.promise.imported}

        def made(_: dict[str, Any]) -> None:
            self.promise.backed_up, self.promise.in_backup = begun

        return Act(["backup", "../safe", *PATIENT], then=made)

    def _restore(self) -> Act:
        if self.promise.backed_up is None:
            return self._backup()
        into = self.root / f"again-{self.number}"
        then = copy.deepcopy(self.promise)  # who is forgotten later may be in it

        def made(_: dict[str, Any]) -> None:
            self.restored = into, then

        return Act(["restore", "../safe", f"../{into.name}", "--keys", "../keys"], then=made, made=into)

    def _upgrade(self) -> Act:
        return Act(["upgrade", *PATIENT])

    def _doctor(self) -> Act:
        return Act(["doctor", "--repair", *PATIENT])

    def _export(self) -> Act:
        place = self.rng.choice(("../given.freshet", "../given"))
        return Act(["export", "--to", place, *PATIENT])

    def _keys(self) -> Act:
        promise = self.promise
        if promise.keys and self.rng.random() < 0.4:
            key = self.rng.choice(sorted(promise.keys))

            def revoked(_: dict[str, Any]) -> None:
                promise.revoked.add(key)

            # killed after the key was revoked, the same command finds none
            return Act(
                ["keys", "revoke", key], (0, WRONG), before=lambda: promise.keys.discard(key), then=revoked
            )
        return Act(
            ["keys", "add", "--name", "web"], then=lambda found: promise.keys.add(found["added"]["id"])
        )

    def _experiment(self) -> Act:
        """One at a time; killed after it has begun or ended, the same command says so."""
        if self.experiment:
            name = self.experiment
            if self.rng.random() < 0.5:
                return Act(["experiment", "check", name, *PATIENT], (0, WRONG))
            self.experiment = ""
            return Act(["experiment", "stop", name, "--reason", "enough", *PATIENT], (0, WRONG))
        self.experiment = f"e{self.number}"
        arms = ["--control", "follow", "--treatment", "counts"]
        return Act(["experiment", "start", "--name", self.experiment, *arms, *PATIENT], (0, WRONG))

    def _interests(self) -> Act:
        return Act(["interests", "--rebuild", *PATIENT])

    def _pause(self) -> Act:
        return Act(["schedule", *self.rng.choice((["--pause", "stocktaking"], ["--resume"]))])

    def _report(self) -> Act:
        return Act(["report", "--into", "../report.html"])


KINDS = (
    *("import", "collect", "run", "refresh", "finetune", "review", "rollback", "interests", "settings"),
    *(
        "forget",
        "gc",
        "backup",
        "restore",
        "upgrade",
        "doctor",
        "export",
        "keys",
        "experiment",
        "pause",
        "report",
    ),
)


def make_world(root: Path, slices: int) -> int:
    """A SIMULATED log, most of it to begin with and the rest in files to import; in a process of its own."""
    from freshet.simulator import World, generate

    world = World(themes=8, items=64, users=80, days=42, change_day=35, sessions=8)
    rows = pq.read_table(generate(world, root / "world").events_path)
    rows = rows.sort_by("timestamp")
    first = len(rows) * 3 // 4
    pq.write_table(rows.slice(0, first), root / "old.parquet")
    for number in range(slices):
        length = (len(rows) - first) // slices
        pq.write_table(rows.slice(first + number * length, length), root / f"new-{number}.parquet")
    (root / "shop").mkdir()
    for name, share, every in ((EASY, 0.0, 0), (STRICT, 1.0, 5)):
        (root / name).write_text(SETTINGS.format(exact_match=share, every=every))
    (root / "shop" / "freshet.toml").write_text((root / EASY).read_text())
    return 0


def documents(text: str) -> Iterator[dict[str, Any]]:
    """JSON documents in what a command printed."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except ValueError:
            return
        yield found
        at = text.find("{", end)
