"""Do two versions of the source make byte-identical artifacts, and answer alike, from the same inputs?

    python benchmarks/identity.py --before v1.0 --log demo --planner counts
    python benchmarks/identity.py --before ../old --log /data/games --planner scratch
    python benchmarks/identity.py --before v1.0 --log demo --snapshot saved
    python benchmarks/identity.py --against saved

Each version goes through the same commands, as processes of their own, on a workspace at the same place:
import, run, refresh, rollback, serving over HTTP, collect, replay, and what only reads. Then every file of
both workspaces and every answer is compared. What only names the time, the run or the machine is left out
(see `identity_files.py`); how many bytes that is, is part of the result. Exit code 1 where anything differs.

Seconds are zero and money is the price of tokens, so that costs are compared, too. No clock ends a training.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pyarrow.parquet as pq

from identity_files import differences, normalise
from shared import Show, parse, parser, tell

REPOSITORY = Path(__file__).parents[1]
SETTINGS = """[events]
files = ["../log/events.parquet"]
items = "../log/items.parquet"
positive = "{positive}"
[interests]
count = {interests}
[transitions]
novelty_days = {novelty}
[counts]
fit_windows = {windows}
[planner]
kind = "{planner}"
[tuning]
every_days = 5
epochs = 3.0
batch_size = 64
max_steps = {tuning_steps}
max_examples = {examples}
max_seconds = 86400.0
[sequence]
use = {items}
max_steps = {steps}
max_seconds = 86400.0
[ranker]
use = {items}
max_steps = {steps}
max_seconds = 86400.0
[gates]
exact_match = 0.0
label_mass = 0.0
recall = 0.0
[inference]
calibration_prompts = {prompts}
[evidence]
level = "instance"
[live]
use = true
[feedback]
use = true
[prices]
per_hour = 0.0
per_million_tokens = 1.0
[serving]
explore = 0.3
[http]
drain_seconds = 0.1
"""
WORLD = """from pathlib import Path
from freshet.simulator import World, generate
generate(World({}), Path("log"))
"""
SMALL_WORLD = "themes=8, items=96, users=150, days=50, change_day=40, sessions=8"
FROZEN = '''"""No second goes by; a served hour, and what begins random ids, are known."""
import os, selectors, subprocess, threading, time, uuid

uuid.uuid4 = lambda: uuid.UUID(hex="0123456789ab" + os.urandom(10).hex())
if "SERVED_AT" in os.environ:
    at = int(os.environ["SERVED_AT"])
    time.time_ns = lambda: at * 1_000_000_000
    time.time = lambda: float(at)
else:
    time.monotonic = lambda: 0.0
'''
"""`sitecustomize.py` of every process: else ids, costs, and scores that fade by the second, would differ."""
USERS = 40


@dataclass(frozen=True)
class Inputs:
    """A log and how it is gone through; the same for both versions.

    Attributes:
        days: the moments `as_of` of the first run, the refresh, the second run, and the day after the log.
        users: some people of the log, each with the ids of their items, oldest first.
        thorough: whether items are ranked, and the past is replayed.
    """

    folder: Path
    settings: str
    days: tuple[date, date, date, date]
    users: dict[str, list[str]]
    thorough: bool


def read_inputs(folder: Path) -> Inputs:
    """Of a folder with `events.parquet`, `items.parquet` and `freshet.toml`."""
    events = pq.read_table(folder / "events.parquet", columns=["user_id", "item_id", "timestamp"])
    events = events.sort_by([("timestamp", "ascending"), ("user_id", "ascending"), ("item_id", "ascending")])
    times = events["timestamp"].to_pylist()
    first, last = times[0].date(), times[-1].date() + timedelta(1)
    span = (last - first).days
    moments = [first + timedelta(int(span * share)) for share in (0.9, 0.95, 0.98)]
    people = events["user_id"].to_pylist()
    some = sorted(dict.fromkeys(people[-2000:]))[:USERS]
    users: dict[str, list[str]] = {user: [] for user in some}
    for user, item in zip(people, events["item_id"].to_pylist(), strict=True):
        if user in users:
            users[user].append(item)
    settings = (folder / "freshet.toml").read_text(encoding="utf-8")
    thorough = tomllib.loads(settings)["ranker"]["use"]
    return Inputs(folder, settings, (moments[0], moments[1], moments[2], last), users, thorough)


def environment(source: Path) -> dict[str, str]:
    """Of processes of one version: its source first, and one thread, so that sums keep their order."""
    return os.environ | {
        "PYTHONPATH": str(source / "src"),
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }


class Version:
    """Runs commands of one version on the workspace `shop` of a folder, and keeps what they answer."""

    def __init__(self, source: Path, root: Path, show: Show) -> None:
        self.root, self.answers, self._show = root, root / "answers", show
        self._environment = environment(source)
        self.answers.mkdir(parents=True)
        self._count = 0
        (root / "frozen").mkdir()
        (root / "frozen" / "sitecustomize.py").write_text(FROZEN)
        self._environment["PYTHONPATH"] = f"{root / 'frozen'}:{source / 'src'}"

    def freshet(self, *arguments: object, workspace: str = "shop") -> dict[str, Any]:
        """The JSON document of a command, which is kept with its exit code."""
        call = [*map(str, arguments), "-w", workspace, "--json"]
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "freshet", *call],
            cwd=self.root, env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self._show.say(f"{time.monotonic() - start:6.1f}s  exit {done.returncode}  {' '.join(call)}")
        if done.returncode not in {0, 3}:
            said = done.stdout[-2000:] + done.stderr[-3000:]
            sys.exit(f"freshet {' '.join(call)} ended with {done.returncode}:\n{said}")
        self.keep(str(arguments[0]), done.stdout, {"call": call, "exit_code": done.returncode})
        return json.loads(done.stdout)

    def keep(self, name: str, text: str, about: Mapping[str, Any]) -> None:
        """Keep an answer among what is compared."""
        self._count += 1
        path = self.answers / f"{self._count:02}-{name}.json"
        path.write_text(json.dumps(about) + "\n" + text, encoding="utf-8")

    @contextmanager
    def served(self, now: datetime) -> Iterator[str]:
        """The address of `freshet serve`, in whose process it is always `now`."""
        environment = self._environment | {"SERVED_AT": str(int(now.timestamp()))}
        call = [sys.executable, "-m", "freshet", "serve", "-w", "shop", "--port", "0", "--json"]
        with (self.root / "serve.log").open("w") as log, subprocess.Popen(
            call, cwd=self.root, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if '"url"' not in line:
                    sys.exit(f"freshet serve: {line}{(self.root / 'serve.log').read_text()[-3000:]}")
                yield json.loads(line)["url"]
            finally:
                process.terminate()
                process.wait(60)

    def ask(self, url: str, path: str, content: object = None) -> dict[str, Any]:
        """The service's answer, which is kept with its status."""
        body = None if content is None else json.dumps(content).encode()
        try:
            with urlopen(Request(url + path, body), timeout=120) as reply:
                status, text = reply.status, reply.read().decode()
        except HTTPError as error:
            status, text = error.code, error.read().decode()
        self.keep("http", text, {"path": path, "sent": content, "status": status})
        return json.loads(text)


def go_through(version: Version, inputs: Inputs) -> None:
    """The life of a workspace: everything that makes an artifact, and everything that reads one."""
    (version.root / "shop").mkdir()
    (version.root / "shop" / "freshet.toml").write_text(inputs.settings, encoding="utf-8")
    first, second, third, end = inputs.days
    version.freshet("import")
    made(version, "run", "--as-of", first, "--publish")
    made(version, "refresh", "--as-of", second, "--publish")
    if inputs.thorough:
        made(version, "run", "--as-of", third, "--publish")
        version.freshet("rollback")
        version.freshet("refresh", "--dry-run")
        made(version, "refresh", "--publish")
    serve(version, inputs, datetime(end.year, end.month, end.day, 12, tzinfo=UTC))
    version.freshet("collect")
    made(version, "refresh", "--publish")
    read(version, inputs.thorough)
    if inputs.thorough:
        version.freshet("ranker")
        replay(version, inputs)


def replay(version: Version, inputs: Inputs) -> None:
    """What rolls through the last days of the log."""
    first, _, third, end = inputs.days
    days = (end - third).days
    arms, every = "counts,counts-live,popularity,counts-sequence", max(1, days // 2)
    if 'kind = "counts"' not in inputs.settings:
        arms, every = "hybrid-live,counts", days  # a planner that is asked once: trainings are what costs
    period = ("--from", third, "--to", end, "--every", f"{every}d", "--limit", 2000)
    version.freshet("replay", "--arms", arms, *period)
    version.freshet("cadence", *period)
    version.freshet("drift", "--every", f"{max(14, (end - first).days)}d", "--permutations", 20)


def made(version: Version, *call: object) -> None:
    """A command that makes a release; what a gate halts is accepted, as a person would, and gone on with."""
    for _ in range(3):
        if "error" not in version.freshet(*call):
            return
        for one in version.freshet("status")["waiting"]:
            version.freshet("approve", one["run"])
    sys.exit(f"freshet {' '.join(map(str, call))} waits again and again")


def read(version: Version, thorough: bool) -> None:
    """Whatever only reads a workspace."""
    version.freshet("status")
    version.freshet("history")
    version.freshet("history", 2)
    listed = version.freshet("interests")["interests"]
    names = [str(one["id"]) for one in listed[:4]]
    for context in ((), names[:1], names[1:3], names[2:4]) if thorough else (names[:2],):
        version.freshet("explain", *context)
    version.freshet("diff", 1, 2)
    if thorough:
        version.freshet("diff", 2, 4)
    version.freshet("report")
    version.freshet("doctor")


def serve(version: Version, inputs: Inputs, now: datetime) -> None:
    """Answers to people of the log and to their histories, before and after they take up what another did."""
    before = [*inputs.users.values()][-1]
    with version.served(now) as url:
        version.ask(url, "/v1/releases")
        for place, (user, items) in enumerate(inputs.users.items()):
            size = {"interests": 5, "items": 5, "explain": True}
            version.ask(url, "/v1/explore", {"history": items[-1 - place % 5 :], **size})
            answer = version.ask(url, "/v1/explore", {"user": user, **size})
            moment = (now - timedelta(minutes=10 * (USERS - place))).isoformat()
            event = {"user": user, "value": 9, "time": moment, "impression": answer["id"]}
            version.ask(url, "/v1/events", [event | {"item": item} for item in dict.fromkeys(before[-3:])])
            version.ask(url, "/v1/explore", {"user": user, **size})
            before = items


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        steps: of every training but the planner's; no clock ends one.
        items: whether a sequence model and a ranker of items are trained, and the past is replayed.
    """

    interests: int
    tuning_steps: int
    steps: int
    examples: int
    prompts: int
    windows: int
    items: str


FULL = Plan(30, tuning_steps=80, steps=40, examples=5000, prompts=500, windows=3, items="true")
QUICK = Plan(8, tuning_steps=20, steps=10, examples=500, prompts=100, windows=2, items="false")


def main() -> None:
    """Go through both versions, compare, and print."""
    made = parser(__doc__)
    made.add_argument("--before", help="a git ref of this repository, or a folder with src/")
    made.add_argument("--after", type=Path, default=REPOSITORY, help="a folder with src/, else this one")
    made.add_argument("--log", default="demo", help="demo, or a folder with events.parquet and items.parquet")
    made.add_argument("--planner", choices=["counts", "scratch"], default="counts")
    made.add_argument("--snapshot", type=Path, help="save what --before makes there, compare nothing")
    made.add_argument("--against", type=Path, help="compare with a saved folder instead of --before")
    made.add_argument("--keep", type=Path, help="leave what was compared in this folder")
    options = parse(made)
    if options.quick and options.against is None:
        options.before = options.before or str(REPOSITORY)
    if (options.before is None) == (options.against is None):
        made.error("name --before or --against")
    show = Show()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        saved = (options.against or options.snapshot or options.keep or work / "saved").resolve()
        if options.against is None:
            with source_of(options.before, work) as source:
                write_inputs(source, saved / "log", options)
                save(source, saved, work, show)
        if options.snapshot is not None:
            return
        after = (options.keep or work) / "after"
        tally = save(options.after.resolve(), after, work, show, saved / "log")
        found = differences(saved / "made", after / "made")
    tell(options, {**tally, "differences": found}, lambda: readable(tally, found))
    if found:
        raise SystemExit(1)


@contextmanager
def source_of(version: str, work: Path) -> Iterator[Path]:
    """A folder with the `src/` of a version: a folder, or a ref of this repository's history."""
    if (Path(version) / "src").is_dir():
        yield Path(version).resolve()
        return
    into = work / "source"
    into.mkdir()
    packed = subprocess.run(
        ["git", "-C", REPOSITORY, "archive", version, "src"], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(into, filter="data")
    yield into


def write_inputs(source: Path, into: Path, options: argparse.Namespace) -> None:
    """The log and the settings of a comparison; a log of the demo is made by the version before."""
    into.mkdir(parents=True)
    if options.log == "demo":
        world = WORLD.format(SMALL_WORLD if options.quick else "")
        subprocess.run([sys.executable, "-c", world], cwd=into.parent, env=environment(source), check=True)
    else:
        for name in ("events.parquet", "items.parquet"):
            shutil.copy(Path(options.log) / name, into)
    demo = options.log == "demo"
    chosen = asdict(QUICK if options.quick else FULL)
    positive, novelty = ("value >= 7", 30) if demo else ("", '"ever"')
    text = SETTINGS.format(positive=positive, novelty=novelty, planner=options.planner, **chosen)
    (into / "freshet.toml").write_text(text, encoding="utf-8")


def save(source: Path, into: Path, work: Path, show: Show, log: Path | None = None) -> dict[str, Any]:
    """Go through a version, and leave its normalised workspace and answers in `into/made`; how much it is."""
    root = work / "root"
    root.mkdir()
    shutil.copytree(log or into / "log", root / "log")
    show.say(f"--- {source}")
    go_through(Version(source, root, show), read_inputs(root / "log"))
    tally = {part: normalise(root / part, into / "made" / part).document() for part in ("shop", "answers")}
    (into / "tally.json").write_text(json.dumps(tally, indent=1))
    shutil.rmtree(root)
    return tally


def readable(tally: dict[str, Any], found: dict[str, list[str]]) -> str:
    """What was compared, by kind, then every difference."""
    lines = []
    for part, name in (("shop", "files of the workspace"), ("answers", "answers")):
        one = tally[part]
        lines.append(
            f"{name}: {one['files']:,}, {one['bytes']:,} bytes, "
            f"{100 * one['ignored_share']:.2f} % of them not compared"
        )
        lines += [
            f"  {kind:10} {k['files']:6,} {k['bytes']:12,} bytes, {k['ignored']:,} not compared"
            for kind, k in one["kinds"].items()
        ]
    for name, how in found.items():
        lines += [name, *(f"    {line}" for line in how)]
    lines.append(f"{len(found)} differences" if found else "identical")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
