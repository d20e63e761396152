"""What benchmarks share: options, progress, what they print, and the SIMULATED workspace of a quick run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freshet.core.ports import Progress

SETTINGS = """[events]
files = ["world/events.parquet"]
items = "world/items.parquet"
positive = "value >= 7"
[interests]
count = 8
[counts]
window_days = 7
fit_windows = 2
[planner]
kind = "{planner}"
"""
REPLAY = ("--arms", "hybrid,counts,popularity", "--from", "2024-02-05", "--to", "2024-02-11", "--every", "3d")


class Show:
    """A reporter that says each line with the seconds since it was made, on stderr."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.start:7.1f}s {text}", file=sys.stderr, flush=True)

    def progress(self, name: str) -> Progress:  # noqa: ARG002
        from freshet.core.ports import silent  # late: who forks must not have imported what starts threads

        return silent


def parser(about: str | None) -> argparse.ArgumentParser:
    """With the options of every benchmark; `about` is its docstring."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument(
        "--quick", action="store_true", help="see that it runs, in seconds; figures then say nothing"
    )
    made.add_argument("--json", action="store_true", help="print figures as JSON")
    return made


def parse(made: argparse.ArgumentParser, needs: str = "", **quick: Any) -> argparse.Namespace:
    """The options of this call.

    Args:
        made: by `parser`.
        needs: an option that must be named unless the run is quick.
        quick: what a quick run takes where the call names nothing else.
    """
    options = made.parse_args()
    if options.quick:
        made.set_defaults(**quick)
        options = made.parse_args()
    elif needs and getattr(options, needs) is None:
        made.error(f"name {needs}, or take --quick")
    return options


def tell(options: argparse.Namespace, found: dict[str, Any], said: Callable[[], str] | None = None) -> None:
    """Print figures as asked; without words of their own, one on a line."""
    if options.json:
        print(json.dumps(found, indent=1))
    elif said is not None:
        print(said())
    else:
        print("\n".join(f"{name:24} {value}" for name, value in found.items()))


@contextmanager
def folder(kept: Path | None) -> Iterator[Path]:
    """A folder that stays where it is named, and else goes away."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@contextmanager
def workspace(options: argparse.Namespace, replayed: bool = False) -> Iterator[Path]:
    """`options.workspace`; of a quick run a SIMULATED one, made where it is not there yet."""
    with folder(options.workspace) as root:
        if options.quick:
            simulated(root, replayed)
        yield root


def simulated(root: Path, replayed: bool = False, planner: str = "fake", titles: str = "") -> None:
    """A SIMULATED log of 150 users in a workspace; `fake` is the planner of tests.

    Args:
        titles: added to every item's title.
    """
    if not (root / "freshet.toml").exists():
        from freshet.simulator import World, generate

        generate(World(themes=8, items=96, users=150, days=50, change_day=40, sessions=8), root / "world")
        if titles:
            retitled(root / "world" / "items.parquet", titles)
        (root / "freshet.toml").write_text(SETTINGS.format(planner=planner))
        freshet("import", "-w", root)
    if replayed and not (root / "replay").exists():
        freshet("replay", "-w", root, *REPLAY)


def retitled(path: Path, more: str) -> None:
    """Add a text to every title of an item file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    items = pq.read_table(path)
    titles = pa.array([title + more for title in items["title"].to_pylist()])
    pq.write_table(items.set_column(items.schema.get_field_index("title"), "title", titles), path)


def command(*arguments: object) -> list[str]:
    """A call of `freshet`."""
    return [sys.executable, "-m", "freshet", *map(str, arguments)]


def freshet(*arguments: object) -> None:
    """A command that must end well."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"freshet {' '.join(map(str, arguments))} failed:\n{done.stdout}{done.stderr}")


@dataclass(frozen=True)
class Served:
    """A server that listens, and where it logs to."""

    process: subprocess.Popen[str]
    port: int
    log: Path


@contextmanager
def serving(root: Path, *options: str, start: Callable[[], None] | None = None) -> Iterator[Served]:
    """`freshet serve` on a workspace until the block ends; `start` is called in its process before it.

    Raises:
        RuntimeError: it ended before it listened; with what it said.
    """
    log = root.parent / f"{root.name}-serve.log"
    call = command("serve", "-w", root, "--port", 0, "--json", *options)
    with log.open("w") as stderr:
        process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=stderr, text=True, preexec_fn=start)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if '"url"' not in line:
            said = line + process.stdout.read() + log.read_text()
            raise RuntimeError(f"ended with {process.wait()}: {said[-2000:]}")
        yield Served(process, int(json.loads(line)["url"].rpartition(":")[2]), log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
