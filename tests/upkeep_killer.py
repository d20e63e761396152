"""Kills backup, restore, gc and upgrade at file operations, and looks at what is left. Run as a process:

    python -m tests.upkeep_killer FOLDER KILLS

FOLDER holds `shop`, an idle workspace, and a backup of it in `safe`. Prints a JSON list of what was wrong. What
runs is forked from this process, which only imports.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a process with threads could not be forked

from freshet import backups, cleanup, doctor, upgrades
from freshet.backends.object_stores.folder_store import FolderStore
from freshet.backups import backup_index
from freshet.cli import app
from freshet.inspect import open_release
from freshet.storage import workspace_format
from freshet.storage.ledger import Quiet
from freshet.wiring import open_workspace

LOADED = (backups, cleanup, upgrades)  # as the commands need them
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
OPERATIONS = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir")
COMMANDS = {
    "backup": ["backup", "-w", "shop", "safe"],
    "restore": ["restore", "safe", "again", "--keys", "shop"],
    "gc": ["gc", "-w", "shop", "--releases", "1"],
    "upgrade": ["upgrade", "-w", "shop"],
}


def forked(work: Callable[[], int]) -> int:
    """Exit code of a child that does it; minus the signal that killed it."""
    process = os.fork()
    if not process:
        code = 70
        try:
            code = work()
        except BaseException:  # noqa: BLE001 - whatever it was, this process ends here
            traceback.print_exc()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def run(folder: Path, command: list[str], kill_at: int = -1, count: Path | None = None) -> int:
    """Run a command; killed right before a file operation, or with the number of its operations noted."""
    os.chdir(folder)
    seen = [0]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        if opened or event in OPERATIONS:
            if seen[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            seen[0] += 1

    sys.addaudithook(watch)
    with (folder / "log").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        code = app.run(command)
    if count is not None:
        count.write_text(str(seen[0]))
    return code


def artifacts(root: Path) -> list[str]:
    return sorted(path.parent.relative_to(root).as_posix() for path in root.glob("*/*/manifest.json"))


def sound(root: Path) -> list[str]:
    """What is wrong with a workspace."""
    ws = open_workspace(root)
    wrong = [f"{one.what}: {one.where}" for one in doctor.check(ws).findings if one.damage]
    open_release(ws)
    return wrong


def examine(name: str, folder: Path) -> list[str]:
    """What a kill has left that it must not."""
    wrong = sound(folder / "shop")
    store = FolderStore(folder / "safe")
    for id in backup_index.listed(store):
        if name == "backup":
            into = folder / f"try-{id}"
            shutil.rmtree(into, ignore_errors=True)
            backups.restore(store, "safe", into, folder / "shop", id, Quiet())
            wrong += sound(into)
    if (folder / "again").exists():
        wrong += sound(folder / "again")
    if name == "upgrade" and workspace_format.format_of(folder / "shop") not in (1, 2):
        wrong.append("a format of its own")
    return wrong


def trial(name: str, folder: Path, kill_at: int, expected: list[str], told: list[str]) -> bool:
    """Kill once, look, run to the end, look again; whether it was killed."""
    where = f"{name} at operation {kill_at}"
    killed = forked(lambda: run(folder, COMMANDS[name], kill_at)) == -signal.SIGKILL

    def look(when: str) -> int:
        (folder / "told").write_text(json.dumps([f"{where}, {when}: {one}" for one in examine(name, folder)]))
        return 0

    def ask(when: str) -> None:
        (folder / "told").unlink(missing_ok=True)
        if (code := forked(lambda: look(when))) != 0:
            told.append(f"{where}, {when}: looking at it ended with {code}")
        else:
            told.extend(json.loads((folder / "told").read_text()))

    ask("killed")
    if killed and not (name == "restore" and (folder / "again").exists()):
        if (code := forked(lambda: run(folder, COMMANDS[name]))) != 0:
            told.append(f"{where}: run again it ended with {code}: {(folder / 'log').read_text()[-400:]}")
        ask("run again")
    if (found := artifacts(folder / "shop")) != expected:
        told.append(f"{where}: other artifacts are left: {sorted(set(found) ^ set(expected))[:4]}")
    return killed


def main(folder: Path, kills: int) -> None:
    """Spread the kills over commands, and over the operations of an undisturbed run of each."""
    rng, told, done = random.Random(1), list[str](), dict.fromkeys(COMMANDS, 0)
    for name in COMMANDS:
        base, count = folder / f"whole-{name}", folder / "count"
        copy(folder, base)
        if (code := forked(partial(run, base, COMMANDS[name], count=count))) != 0:
            told.append(f"{name} ended with {code}: {(base / 'log').read_text()[-400:]}")
            continue
        operations, expected = int(count.read_text()), artifacts(base / "shop")
        for _ in range(kills // len(COMMANDS)):
            place = folder / "trial"
            copy(folder, place)
            done[name] += trial(name, place, rng.randrange(operations), expected, told)
            shutil.rmtree(place)
    sys.stdout.write(json.dumps({"wrong": told, "killed": done}))


def copy(folder: Path, into: Path) -> None:
    into.mkdir()
    for name in ("shop", "safe"):
        shutil.copytree(folder / name, into / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
