"""Kill -9 any process of a busy SIMULATED workspace, again and again: is anything lost, torn, unanswered?

On one workspace with a release run two `freshet serve`, a `freshet schedule` (as a daemon, or `--once` as
from cron, its clock a bit ahead so that something is always due), and one after the other all commands that
write. Clients send events with and without ids and ask for recommendations all the time; who gets no answer
turns to the other server. Again and again one of these is killed (SIGKILL): at a random moment, half of them
with their process group, or, of commands and schedulers, right before a random change to a file. Then people
go on as they would: servers and schedulers start again, the command is called again until it has ended well.
Now and then, and at the end, all that was acknowledged is looked for.

    python benchmarks/busy_chaos.py --kills 100 --seed 1 --json

kills        processes killed; `kills_of` by command, `points` by where
lost         acknowledged events in neither journal nor log; items that a user's remembered history misses;
             rows of imported files; API keys. In the workspace, and in what was restored of its backups (what
             was acknowledged before the backup began)
twice        events that are in the journal, or in the log, more than once
corrupt      damage that `freshet doctor` finds there; releases that don't open
found_again  events and rows of users whose forgetting had ended well; revoked keys
unanswered   questions, beside the `answered` ones, that neither server answered within twenty seconds
wedged       commands that did not end well within `PATIENCE` seconds, servers that did not answer, processes
             that outlived the one that had started them
wrong        other surprises: exit codes (`ended` has all), answers to events, tracebacks, servers that ended
looks        how often all of that was looked at; `restored` of them in restored workspaces

What runs is forked from a process that must stay without threads. One server is killed at a time, when the
other one is ready. Not covered: power loss; code inside LMDB, DuckDB and Arrow is hit at moments only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from busy_clients import Told
from busy_commands import BUSY, WAITS, Act, Town, documents, make_world
from busy_proof import examine
from busy_services import Found, Services
from killing import Process, forked, said_to, waited, warm
from shared import parse, parser, tell

MODULES = (
    "freshet.alerting.look",
    "freshet.backups",
    "freshet.cleanup",
    "freshet.exports",
    "freshet.http.server",
    "freshet.privacy.forgetting",
    "freshet.recommender",
    "freshet.scheduling.scheduled_commands",
    "freshet.upgrades",
    "freshet.wiring_backups",
    "freshet.wiring_exports",
    "freshet.wiring_streams",
    "httpx",
    "uvloop",
)
"""What children would take seconds to import, beside what `killing` names."""
PATIENCE = 900.0
"""Seconds within which a command must end well, however often it is called."""
LONGEST = 3
"""Kills of one command in a row before it may end."""
KNOWN = ("lost", "twice", "corrupt", "found_again")
BAD = (*KNOWN, "unanswered", "wedged", "wrong")


class Chaos:
    """Lets people do what they do, and kills.

    Args:
        root: as `prepare` made it.
        gap: seconds between two kills at random moments, on average.
    """

    def __init__(self, root: Path, seed: int, gap: float) -> None:
        self.rng = random.Random(seed)
        self.found = Found()
        self.root, self.shop, self.notes = root, root / "shop", root / "notes.jsonl"
        self.services = Services(self.shop, self.notes, random.Random(seed + 1), self.found)
        slices = [str(path) for path in sorted(root.glob("new-*.parquet"))]
        self.town = Town(root, self.rng, slices, self.waiting, self.services.retire, self.mark)
        self.operations: dict[str, int] = {}
        self.gap, self.next_kill = gap, 0.0

    def mark(self) -> int:
        return self.notes.stat().st_size

    def step(self) -> None:
        """One command until it has ended well, while somebody is killed now and then, it among others."""
        act = self.town.next()
        act.before()
        kills, end = 0, time.monotonic() + PATIENCE
        while True:
            process = self.begun(act, kills < LONGEST)
            self.watched(process, end, kills < LONGEST)
            if process.code == -signal.SIGKILL:
                kills += 1
                if act.made is not None and act.made.exists():
                    return act.then({})
            elif self.judged(process, act, end):
                return None
            if time.monotonic() > end:
                return self.found.bad("wedged", f"{act.words} did not end well: {process.said()[-600:]}")

    def begun(self, act: Act, mortal: bool) -> Process:
        """The command; one in four will die at a change to a file, if it may."""
        dies = mortal and self.rng.random() < 0.25
        number = self.rng.randrange(self.operations.get(act.name, 40)) if dies else -1
        return Process(self.shop, "command", [*act.words, "--json"], number)

    def watched(self, process: Process, end: float, mortal: bool) -> None:
        """Until it has ended: look after everything else, and kill at random moments."""
        while not process.ended():
            if time.monotonic() > self.next_kill:
                self.next_kill = time.monotonic() + self.rng.expovariate(1 / self.gap)
                self.kill(process if mortal else None)
            self.services.watch()
            if time.monotonic() > end and not process.ended():
                self.found.bad("wedged", f"{process.words} does not end: {process.stack()}")
                process.kill(group=True)
                process.code = 70
            time.sleep(0.01)
        if process.code == -signal.SIGKILL:
            self.found.killed(process, process.note.read_text())

    def kill(self, process: Process | None) -> None:
        victim = self.rng.choices(("command", "server", "scheduler"), (5, 3, 2))[0]
        if victim == "server":
            self.services.kill_server()
        elif victim == "scheduler":
            self.services.kill_scheduler()
        elif process is not None and not process.ended():
            process.kill(group=self.rng.random() < 0.5)

    def judged(self, process: Process, act: Act, end: float) -> bool:
        """Whether the command is done, well or not."""
        code, said = process.code, process.said()
        self.found.ended[f"{act.name} {code}"] += 1
        if code == BUSY and time.monotonic() < end:
            return False
        if code not in act.fine:
            self.found.bad("wrong", f"{act.words} ended with {code}: {said[-800:]}")
        if code == 0:
            self.operations[act.name] = max(1, int(process.note.read_text() or 1))
            act.then(next((found for found in documents(said) if found.get("command")), {}))
        return True

    def waiting(self) -> list[str]:
        return self.asked(lambda: _waiting_runs(self.shop)) or []

    def asked(self, question: Callable[[], Any]) -> Any:
        """The answer of a child, as this process must stay without threads; None where it fails."""
        into = self.root / "answer.json"

        def work() -> int:
            said_to(self.root / "look.log")
            into.write_text(json.dumps(question()))
            return 0

        if (code := waited(forked(work))) != 0:
            said = (self.root / "look.log").read_text()[-800:]
            self.found.bad("wrong", f"looking at it ended with {code}: {said}")
            return None
        return json.loads(into.read_text())

    def look(self) -> None:
        """Whether all holds that was promised, here and in what was restored."""
        self.found.buried()
        self.found.counts["looks"] += 1
        self.add(self.asked(lambda: examine(self.shop, self.notes, self.town.promise)), "in the workspace")
        if self.town.restored is not None:
            (place, promise), self.town.restored = self.town.restored, None
            self.found.counts["restored"] += 1
            self.add(self.asked(lambda: examine(place, self.notes, promise, promise.backed_up)), "restored")
        for path in self.root.glob("again-*"):
            shutil.rmtree(path)
        for path in sorted(self.shop.glob("runs/error-*.txt")):
            self.found.bad("wrong", f"a traceback: {path.read_text()[-1500:]}")
            path.unlink()

    def add(self, proof: dict[str, Any] | None, where: str) -> None:
        for text in proof["examples"] if proof else ():
            self.found.bad("examples", f"{where}: {text}")
        for what in KNOWN if proof else ():
            self.found.counts[what] += proof[what]  # type: ignore[index]

    def end(self) -> None:
        """Everything ends as it should; then events are collected and all is looked at once more."""
        self.services.stop()
        promise = self.town.promise
        for words in (["doctor", "--repair"], ["collect"], ["backup", "../safe"]):
            self.settle(words)
        promise.backed_up, promise.in_backup = self.mark(), promise.imported
        self.settle(["restore", "../safe", "../again-last", "--keys", "../keys"])
        self.town.restored = self.root / "again-last", promise
        self.look()

    def settle(self, words: list[str]) -> None:
        process = Process(self.shop, "command", words)
        if not process.wait(PATIENCE) or process.code != 0:
            self.found.bad("wrong", f"at the end {words} ended with {process.code}: {process.said()[-800:]}")


def _waiting_runs(space: Path) -> list[str]:
    from freshet.wiring import open_workspace

    return [one.id for one in open_workspace(space).ledger.records() if one.outcome == "waiting"]


def prepare(root: Path) -> None:
    """A workspace with a release."""
    if waited(forked(lambda: make_world(root, 10))) != 0:
        raise RuntimeError("there is no world")
    for words in (["run"], ["approve", "00001"], ["run"]):
        process = Process(root / "shop", "command", words)
        process.wait(PATIENCE)
        if process.code not in (0, WAITS):
            raise RuntimeError(f"{words} ended with {process.code}: {process.said()[-2000:]}")
        if process.code == 0 and words == ["run"]:
            return


def main() -> None:
    """Run, report, and fail if anything was wrong."""
    options = arguments()
    began = time.monotonic()
    warm(MODULES)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        root, steps = Path(folder), 0
        prepare(root)
        chaos = Chaos(root, options.seed, options.gap)
        try:
            while chaos.found.kills < options.kills:
                chaos.step()
                steps += 1
                if steps % options.every == 0:
                    chaos.look()
                    print(f"{chaos.found.kills} of {options.kills} kills", file=sys.stderr, flush=True)
            chaos.end()
        finally:
            chaos.services.end()
        told = Told.of(chaos.notes)
    found = summary(chaos.found, told, chaos.town) | {
        "commands": steps,
        "seed": options.seed,
        "load": os.getloadavg()[0],
        "seconds": round(time.monotonic() - began, 1),
    }
    tell(options, found)
    sys.exit(any(found[name] for name in BAD))


def summary(found: Found, told: Told, town: Town) -> dict[str, Any]:
    counts = found.counts + Counter(unanswered=len(told.unanswered), wrong=len(told.wrong))
    sums = ("answered", "asked_again", "degraded", "longest_ms", "resent", "known", "pending")
    return {
        "simulated": True,
        "kills": found.kills,
        **{what: counts[what] for what in (*BAD, "looks", "restored")},
        "acknowledged": len(told.acknowledged),
        **{name: told.sums.get(name, 0) for name in sums},
        "forgotten": len(town.promise.forgotten),
        "kills_of": dict(found.kills_of.most_common()),
        "points": dict(found.points.most_common()),
        "ended": dict(sorted(found.ended.items())),
        "examples": (found.examples + told.unanswered[:5] + told.wrong[:5])[:40],
    }


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--kills", type=int, default=100)
    made.add_argument(
        "--seed", type=int, default=1, help="of who is killed when; time adds chance of its own"
    )
    made.add_argument(
        "--gap", type=float, default=2.0, help="seconds between kills at random moments, on average"
    )
    made.add_argument("--every", type=int, default=10, help="commands between two looks at everything")
    made.add_argument("--scratch", type=Path, help="folder for the workspace; the system's by default")
    return parse(made, kills=5, gap=1.0, every=4)


if __name__ == "__main__":
    main()
