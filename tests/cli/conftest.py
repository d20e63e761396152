"""A small simulated world, workspaces on it, and `freshet` as a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from freshet.cli import app
from freshet.simulator import World, generate

Done = subprocess.CompletedProcess[str]
INTERESTS = 12
FIRST, LAST = "2024-02-20", "2024-03-01"
"""Moments of the two releases of `shop`; the log ends right before the second."""


def freshet(*arguments: object, cwd: Path | None = None) -> Done:
    """Run a command as a process of its own; nothing it does may show a traceback."""
    environment = {**os.environ, "FRESHET_DEBUG": ""}
    done = subprocess.run(
        [sys.executable, "-m", "freshet", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=1200,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def called(*arguments: object) -> Done:
    """The same within this process, which spares the start."""
    given = list(map(str, arguments))
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = app.run(given)
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return subprocess.CompletedProcess(given, code, out.getvalue(), err.getvalue())


def answered(*arguments: object, code: int = 0, run: Callable[..., Done] = called) -> dict:
    """Run a command with --json: one document on stdout, whatever happens."""
    done = run(*arguments, "--json")
    assert done.returncode == code, done.stderr
    document = json.loads(done.stdout)
    assert document["command"] == str(arguments[0])
    assert document["schema"] == 1
    return document


def make_workspace(root: Path, planner: str, more: str = "") -> Path:
    """A workspace beside the world."""
    root.mkdir()
    (root / "freshet.toml").write_text(
        f"""[events]
files = ["../world/events.parquet"]
items = "../world/items.parquet"
positive = "value >= 7"
[interests]
count = {INTERESTS}
[planner]
kind = "{planner}"
{more}"""
    )
    return root


def rows(workspace: Path, version: str) -> dict[str, bytes]:
    """Every byte of a table, by file."""
    folder = workspace / "tables" / version
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the world in `world/`."""
    folder = tmp_path_factory.mktemp("cli")
    generate(World(themes=12, items=150, users=400, days=60, change_day=40), folder / "world")
    return folder


@pytest.fixture(scope="session")
def shop(place: Path) -> Path:
    """A workspace by `init`, with two releases of plain counts; tests that change it take a `copy`."""
    done = freshet(
        "init", "shop", "--events", "world/events.parquet", "--items", "world/items.parquet",
        "--positive", "value >= 7", "--interests", INTERESTS, "--planner", "counts", cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    root = place / "shop"
    assert answered("run", "-w", root, "--as-of", FIRST, "--publish")["run"]["release"] == 1
    assert answered("refresh", "-w", root)["run"]["release"] == 2
    return root


@pytest.fixture
def copy(shop: Path, place: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the shop that a test may change."""
    return Path(shutil.copytree(shop, place / request.node.name))


@pytest.fixture(scope="session")
def halted(place: Path) -> Path:
    """A workspace whose only run waits: a planner that guesses doesn't pass the recall gate."""
    root = make_workspace(place / "halted", "fake", "[gates]\nrecall = 0.99\n[inference]\nchunk = 4\n")
    problem = answered("run", "-w", root, code=3)["error"]
    assert problem["type"] == "GateFailed"
    assert "recall" in problem["message"]
    return root
