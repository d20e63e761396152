"""Kill -9 at any point of import, tuning, inference and publishing, run again: is anything lost?

A small simulated workspace with a release is copied for every trial. A process runs the real command on the
copy and is killed (SIGKILL) at a random point, up to three times in a row; then the command runs to its end.
Meanwhile another process opens the current release again and again, every checksum compared. Right after that
every file of an undisturbed run must be there, byte-identical; files beyond those are counted. Then
`freshet doctor --repair` must end well and leave exactly the files of the undisturbed run.

Half of the points are moments, uniform over the stage's length; half are file operations (open for writing,
rename, link, remove, mkdir, fsync), uniform over those of an undisturbed run: the process kills itself right
before the operation. Moments fall where time is spent, operations where commits are.

    python benchmarks/chaos.py --kills 200 --json

kills       processes killed
lost        files of an undisturbed run that were missing after the re-run, or events after a kill
corrupt     files that differed or failed a checksum, after a kill, the re-run or the repair; files that the
            repair did not clear away; re-runs and repairs that failed
leftover    files that nothing reads (drafts, half-written files, chunks) after the re-run, before the repair;
            they take room and fail nothing
unreadable  failed attempts to open the current release, of `opened`; readers that died

What runs is forked from a process that must stay without threads, so numeric libraries are held to one thread
there; a child that is to infer then asks for two, so that its rows are answered by two workers.

Not covered: power loss. What a dying machine may forget is forced to the disk before it is relied on, but no
disk was unplugged.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from killing import forked, said_to, waited, warm, watch
from shared import parse, parser, tell

SETTINGS = """[events]
files = ["../{events}.parquet"]
items = "../world/items.parquet"
positive = "value >= 7"
[interests]
count = 10
[counts]
window_days = 7
fit_windows = 2
[planner]
kind = "{planner}"
[tuning]
epochs = 1.0
max_examples = 300
[inference]
chunk = 8
calibration_prompts = 120
[gates]
exact_match = 0.0
sample = 60
"""
STAGES: dict[str, list[str]] = {
    "import": ["import", "../all.parquet"],
    "tuning": ["finetune"],
    "inference": ["refresh"],
    "publishing": ["refresh"],
}
LOCAL = (
    "datasets",
    "transformers.models.qwen3.modeling_qwen3",
    "transformers.trainer",
    "trl.trainer.sft_trainer",
)
"""What a child that tunes a small transformer would take seconds to import."""
LONGEST = 3
"""Kills in a row before a command may end."""
WORKERS = 2
"""Threads of a child, which it starts after it was forked."""
WAITING = 3
"""Exit code of a tuned model that waits for review: nothing is wrong with it here."""


@dataclass(slots=True)
class Stage:
    """A command, the workspace it starts from and the one it must end with.

    Attributes:
        seconds: from when to when of an undisturbed run this stage lasts.
        operations: (first, last) file operation of it.
        before, after: events in the log.
    """

    command: list[str]
    start: Path
    expected: dict[str, bytes]
    seconds: tuple[float, float]
    operations: tuple[int, int]
    before: int
    after: int


@dataclass(slots=True)
class Tally:
    """What happened in one stage."""

    kills: int = 0
    trials: int = 0
    lost: int = 0
    corrupt: int = 0
    leftover: int = 0
    unreadable: int = 0
    opened: int = 0
    points: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"points": dict(self.points)}


def main() -> None:
    """Run, report, and fail if anything was lost, corrupt or unreadable."""
    options = arguments()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        warm(LOCAL if options.planner == "scratch" else ())
        tallies = chaos(Path(folder), options.kills, options.seed, options.planner)
    found = summary(tallies) | {
        "planner": options.planner,
        "seed": options.seed,
        "seconds": round(time.monotonic() - start, 1),
    }
    tell(options, found, lambda: _table(found))
    sys.exit(bool(found["lost"] or found["corrupt"] or found["unreadable"]))


def chaos(folder: Path, kills: int, seed: int, planner: str) -> dict[str, Tally]:
    """Kill until enough were killed, each stage in turn."""
    stages = prepare(folder, planner)
    rng = random.Random(seed)
    tallies = {name: Tally() for name in STAGES}
    while (done := sum(tally.kills for tally in tallies.values())) < kills:
        name = min(tallies, key=lambda one: tallies[one].kills)
        copy = folder / "trial"
        shutil.copytree(stages[name].start, copy)
        # each of the others gets one
        waiting = sum(not tally.kills for other, tally in tallies.items() if other != name)
        most = max(1, min(LONGEST, kills - done - waiting))
        trial(stages[name], copy, rng, tallies[name], rng.randint(1, most), folder / "reader.json")
        shutil.rmtree(copy)
        print(f"{done + 1} of {kills} kills, {name}", file=sys.stderr) if done % 10 == 0 else None
    return tallies


def trial(stage: Stage, copy: Path, rng: random.Random, tally: Tally, kills: int, notes: Path) -> None:
    """Kill a command some times, let it end, compare, repair, compare again."""
    tally.trials += 1
    notes.unlink(missing_ok=True)
    reader = forked(lambda: _read_all_the_time(copy, notes))
    for _ in range(kills):
        if not kill_once(stage, copy, rng, tally):
            break  # the point lay behind the end: the command is done
        report = asked(copy, lambda: _examined(copy))
        _wrong(tally, report["damage"])
        tally.lost += report["events"] not in (stage.before, stage.after)
    code = waited(forked(lambda: _run(copy, stage.command)))
    if code not in (0, WAITING):
        _wrong(tally, [f"the command ended with {code} when run again: {_log(copy)}"])
    os.kill(reader, signal.SIGTERM)
    _read(tally, waited(reader), notes)
    extra = compare(stage, copy, tally, "after the re-run")
    tally.leftover += len(extra)
    if (code := waited(forked(lambda: _run(copy, ["doctor", "--repair"])))) != 0:
        _wrong(tally, [f"doctor --repair ended with {code}: {_log(copy)}"])
    left = compare(stage, copy, tally, "after the repair")
    _wrong(tally, [f"still left over after the repair: {name}" for name in left])


def compare(stage: Stage, copy: Path, tally: Tally, when: str) -> list[str]:
    """Count what is lost or differs from the undisturbed run; returns the files that are there beyond it."""
    found = tree(copy)
    lost = sorted(stage.expected.keys() - found.keys())
    tally.lost += len(lost)
    tally.examples += [f"lost {when}: {name}" for name in lost[:3]]
    shared = sorted(stage.expected.keys() & found.keys())
    _wrong(tally, [f"differs {when}: {n}" for n in shared if stage.expected[n] != found[n]])
    return sorted(found.keys() - stage.expected.keys())


def _wrong(tally: Tally, what: list[str]) -> None:
    tally.corrupt += len(what)
    tally.examples += what[:3]


def _read(tally: Tally, code: int, notes: Path) -> None:
    """Count what the reader saw; one that died let its users down as well."""
    seen: dict[str, Any] = {"opened": 0, "failed": []}
    if notes.exists():
        seen = json.loads(notes.read_text())
    failed = seen["failed"] + ([f"the reader ended with {code}"] if code or not notes.exists() else [])
    tally.opened += seen["opened"]
    tally.unreadable += len(failed)
    tally.examples += failed[:3]


def kill_once(stage: Stage, copy: Path, rng: random.Random, tally: Tally) -> bool:
    """Run the command and kill it at a random point; False if it ended before."""
    by_time = rng.random() < 0.5
    if by_time:
        moment = rng.uniform(*stage.seconds)
        process = forked(lambda: _run(copy, stage.command))
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
    else:
        number = rng.randint(*stage.operations)
        process = forked(lambda: _run(copy, stage.command, kill_at=number))
    killed = waited(process) == -signal.SIGKILL
    if killed:
        note = copy.with_suffix(".killed")
        tally.kills += 1
        tally.points["moment" if by_time else note.read_text()] += 1
    return killed


def prepare(folder: Path, planner: str) -> dict[str, Stage]:
    """Undisturbed runs of every stage, each from the end of the one before."""
    waited(forked(lambda: _generate(folder)))
    space = folder / "base"
    space.mkdir()
    (space / "freshet.toml").write_text(SETTINGS.format(events="old", planner=planner))
    _settled(space, ["run"])
    (space / "freshet.toml").write_text(SETTINGS.format(events="all", planner=planner))
    found: dict[str, Stage] = {}
    for name in ("import", "tuning", "inference"):
        after = Path(shutil.copytree(space, folder / f"after-{name}"))
        events = [asked(after, partial(_events, after))]
        trace = _settled(after, STAGES[name])
        events.append(asked(after, partial(_events, after)))
        # a run's last rename of a table divides inference from publishing
        cut = max(
            (n for n, one in enumerate(trace) if one[0] == "os.rename" and "/tables/" in one[1]), default=0
        )
        last, end = len(trace) - 1, trace[-1][2]
        parts = {name: ((0.0, end), (0, last))}
        if name == "inference":
            parts = {
                "inference": ((0.0, trace[cut][2]), (0, cut)),
                "publishing": ((trace[cut][2], end), (cut + 1, last)),
            }
        for part, (seconds, operations) in parts.items():
            command = STAGES[part]
            found[part] = Stage(command, space, tree(after), seconds, operations, events[0], events[1])
        space = after
    return found


def tree(root: Path) -> dict[str, bytes]:
    """Every file but those that name runs (ledger, logs, decisions, lease); a release without its run."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith(("runs/", "logs/", "decisions/")) and name != "LEASE":
            found[name] = path.read_bytes()
            if name.startswith("releases/"):
                said = json.loads(found[name]) | {"run": ""}
                found[name] = json.dumps(said).encode()
    return found


def asked(copy: Path, question: Callable[[], Any]) -> Any:
    """The answer of a child: this process must stay without threads, or it could not be forked."""
    into = copy.with_suffix(".answer")

    def work() -> int:
        into.write_text(json.dumps(question()))
        return 0

    if (code := waited(forked(work))) != 0:
        return {"damage": [f"the examination ended with {code}"], "events": -1}
    return json.loads(into.read_text())


def _settled(space: Path, command: list[str]) -> list[tuple[str, str, float]]:
    """Run a command to its end, approving what waits; returns the file operations of its last run."""
    trace = space.with_suffix(".trace")
    code = waited(forked(lambda: _run(space, command, trace=trace)))
    if code == WAITING:
        waiting = max(path.stem for path in (space / "runs").glob("*.json"))
        code = waited(forked(lambda: _run(space, ["approve", waiting])))
        if command[0] == "run":
            return _settled(space, command)
    if code != 0:
        raise RuntimeError(f"{command} ended with {code}: {_log(space)}")
    return [tuple(one) for one in json.loads(trace.read_text())]


def _run(space: Path, command: list[str], kill_at: int = -1, trace: Path | None = None) -> int:
    """The real command, in this (forked) process; it kills itself before a file operation."""
    from freshet.cli import app

    said_to(space.with_suffix(".log"))
    os.chdir(space)
    seen: list[tuple[str, str, float]] = []
    start = time.monotonic()
    note = os.open(space.with_suffix(".killed"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def happens(operation: str, path: str) -> None:
        if len(seen) == kill_at:
            os.write(note, operation.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        seen.append((operation, path, time.monotonic() - start))

    if torch := sys.modules.get("torch"):
        torch.set_num_threads(WORKERS)
    watch(space, happens)
    code = app.run(command)
    if trace is not None:
        trace.write_text(json.dumps(seen[:-1]))
    return code


def _read_all_the_time(space: Path, notes: Path) -> int:
    """Open the current release, every file compared, until told to stop."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))

    from freshet.inspect import open_release
    from freshet.storage import checksums
    from freshet.wiring import open_workspace

    failed, opened = [], 0
    while not stopped or not opened:
        checksums.forget()
        opened += 1
        try:
            release = open_release(open_workspace(space))
            _ = release.evidence  # raises where it can't be read; empty where prompts carry no evidence
            if not len(release.table.look_up(()).successors) or not release.weights():
                failed.append("the release is empty")
        except Exception as error:  # noqa: BLE001 - whatever it is, a reader was let down
            failed.append(f"{type(error).__name__}: {error}")
        time.sleep(0.05)
    notes.write_text(json.dumps({"opened": opened, "failed": failed}))
    return 0


def _examined(space: Path) -> dict[str, Any]:
    from freshet.doctor import findings
    from freshet.wiring import open_workspace

    damage = [f"{one.what}: {one.where}" for one in findings(open_workspace(space)) if one.damage]
    return {"damage": damage, "events": _events(space)}


def _events(space: Path) -> int:
    """Events that can be read."""
    from freshet.stages.events import EventLog

    days = EventLog(space).snapshot().days
    return sum(pq.read_metadata(day.path).num_rows for day in days)


def _generate(folder: Path) -> int:
    """All events, and those of the first six weeks."""
    from freshet.simulator import World, generate

    made = generate(World(themes=10, items=70, users=160, days=56, change_day=40), folder / "world")
    rows = pq.read_table(made.events_path)
    pq.write_table(rows, folder / "all.parquet")
    times = rows["timestamp"].to_numpy()
    pq.write_table(
        rows.filter(times < times.min() + (times.max() - times.min()) * 6 // 8), folder / "old.parquet"
    )
    return 0


def _log(space: Path) -> str:
    return space.with_suffix(".log").read_text()[-400:]


def summary(tallies: dict[str, Tally]) -> dict[str, Any]:
    """Sums over the stages, and each of them."""
    sums = {
        key: sum(getattr(tally, key) for tally in tallies.values())
        for key in ("kills", "lost", "corrupt", "leftover", "unreadable", "opened", "trials")
    }
    points = sum((tally.points for tally in tallies.values()), Counter())
    return sums | {
        "points": dict(points.most_common()),
        "stages": {name: tally.as_dict() for name, tally in tallies.items()},
    }


def _table(found: dict[str, Any]) -> str:
    def lines() -> Iterator[str]:
        heads = f"{'kills':>8}{'lost':>8}{'corrupt':>8}{'leftover':>10}{'unreadable':>12}{'opened':>8}"
        yield f"{'stage':12}{heads}"
        for name, one in [*found["stages"].items(), ("all", found)]:
            yield (
                f"{name:12}{one['kills']:8}{one['lost']:8}{one['corrupt']:8}"
                f"{one['leftover']:10}{one['unreadable']:12}{one['opened']:8}"
            )
            yield from (f"  {example}" for example in one.get("examples", [])[:5])
        yield f"points: {found['points']}; {found['seconds']} s, planner {found['planner']}"

    return "\n".join(lines())


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--kills", type=int, default=200)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--planner", choices=("scratch", "fake", "counts"), default="scratch")
    made.add_argument("--scratch", type=Path, help="folder for the workspaces; the system's by default")
    return parse(made, kills=6, planner="fake")


if __name__ == "__main__":
    main()
