"""`freshet schedule` as processes: killed, stopped, taken over from, paused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from freshet.storage.ledger import Ledger
from tests.cli.conftest import answered, called

PATIENCE = 300.0
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def copy(shop: Path, tmp_path: Path) -> Path:
    """A workspace without releases and runs: all is due."""
    root = tmp_path / "shop"
    shutil.copytree(shop.parent / "world", tmp_path / "world")
    shutil.copytree(shop, root)
    for name in ("runs", "releases", "tables", "overlays", "transitions", "days"):
        shutil.rmtree(root / name)
    (root / "CURRENT").unlink()
    return root


@pytest.fixture
def start(copy: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts schedulers whose lines go into files; they are gone at the end."""
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, command: str = "schedule") -> subprocess.Popen[str]:
        with (tmp_path / name).open("w") as out, (tmp_path / f"{name}.err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "freshet", command, "-w", str(copy), "--json"],
                stdout=out,
                stderr=err,
                text=True,
                env={**os.environ, "FRESHET_DEBUG": ""},
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def said(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_leader_that_is_killed_within_a_run_is_taken_over_from(
    copy: Path, tmp_path: Path, start: Start
) -> None:
    ledger = Ledger(copy)
    first = start("first")
    wait_for(lambda: any(one["what"] == "starts" for one in said(tmp_path / "first")))
    second = start("second")
    wait_for(lambda: ledger.paths() and ledger.records()[0].steps)  # a step is done, others are not
    assert first.poll() is None
    first.kill()
    first.wait()
    wait_for(lambda: any(one["what"] == "leads" for one in said(tmp_path / "second")))
    assert answered("schedule", "--status", "-w", copy)["leader"]["pid"] == second.pid
    wait_for(lambda: any(one["what"] == "done" for one in said(tmp_path / "second")))
    killed, made = ledger.records()
    assert (killed.outcome, made.outcome, made.release) == ("running", "done", 1)
    assert killed.command == made.command == "run"
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE) == 0
    assert said(tmp_path / "second")[-1]["what"] == "stopped"
    assert not (copy / "SCHEDULER").exists()


def test_sigterm_stops_a_run_with_which_the_next_scheduler_goes_on(
    copy: Path, tmp_path: Path, start: Start
) -> None:
    first = start("first")
    wait_for(lambda: Ledger(copy).paths())
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    [record] = Ledger(copy).records()
    assert (record.outcome, record.error, record.message) == ("failed", "Stopped", "stopped by SIGTERM")
    assert not (copy / "LEASE").exists()
    done = called("schedule", "--once", "-w", copy)
    assert done.returncode == 0, done.stderr
    assert [one.outcome for one in Ledger(copy).records()] == ["failed", "done"]
    assert answered("schedule", "--status", "-w", copy)["jobs"][0]["state"] == "idle"


@pytest.mark.parametrize("command", ["schedule", "run"])
def test_what_runs_makes_way_with_all_its_threads(copy: Path, start: Start, command: str) -> None:
    settings = copy / "freshet.toml"
    settings.write_text(settings.read_text().replace("[schedule]\n", "[schedule]\nnice = 19\n"))
    process = start("first", command)
    wait_for(lambda: Ledger(copy).paths())
    found = set()
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        with suppress(ProcessLookupError):  # some end meanwhile
            found.add(os.getpriority(os.PRIO_PROCESS, int(thread.name)))
    assert found == {19}


def test_a_pause_by_name_and_what_it_holds_back(copy: Path) -> None:
    said = answered("schedule", "--pause", "stocktaking", "--by", "ann", "-w", copy)["pause"]
    assert (said["on"], said["by"], said["why"]) == (True, "ann", "stocktaking")
    shown = called("schedule", "--once", "-w", copy)
    assert shown.returncode == 0
    assert "paused by ann" in shown.stderr
    assert not list((copy / "runs").glob("*.json"))
    assert "paused by ann" in called("status", "-w", copy).stdout
    planned = answered("schedule", "--dry-run", "3", "-w", copy)["planned"]
    assert {one["what"] for one in planned} == {"paused"}
    assert called("schedule", "--resume", "-w", copy).returncode == 0
    assert answered("schedule", "--status", "-w", copy)["paused"] is None


def test_options_that_exclude_each_other_and_no_workspace(copy: Path, tmp_path: Path) -> None:
    assert called("schedule", "--once", "--status", "-w", copy).returncode == 2
    (tmp_path / "nothing").mkdir()
    for options in (["--once"], ["--status"], ["--pause", "why"]):
        done = called("schedule", *options, "-w", tmp_path / "nothing")
        assert done.returncode == 2, done.stderr
        assert "freshet.toml" in done.stderr
    assert not (tmp_path / "nothing" / "PAUSED").exists()
