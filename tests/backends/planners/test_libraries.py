"""Nothing leaves the machine unless the user says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freshet.backends.planners.libraries import SETTINGS, may_download, stay_offline
from freshet.simulator import World, generate

ROOT = Path(__file__).parents[3]

WATCH = '''
"""Every look for another machine fails, and is written down."""
import os, socket

def _note(what):
    with open(os.environ["NETWORK_ATTEMPTS"], "a") as file:
        file.write(f"{what}\\n")
    raise OSError("no network here")

def _is_here(host):
    return host in (None, "", "localhost", "127.0.0.1", "::1", b"localhost")

_resolve, _connect = socket.getaddrinfo, socket.socket.connect

def _getaddrinfo(host, *more, **options):
    return _resolve(host, *more, **options) if _is_here(host) else _note(f"resolve {host}")

def _connected(self, address):
    outside = self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0])
    return _note(f"connect {address}") if outside else _connect(self, address)

socket.getaddrinfo, socket.socket.connect = _getaddrinfo, _connected
'''

TRAIN = """
import sys, threading
from pathlib import Path
from freshet.backends.planners.lora import LoraTuner
from freshet.backends.planners.scratch import ScratchTuner
from freshet.core.errors import ConfigError
from freshet.core.ports import Budget
from tests.backends.planners import worlds

into = Path(sys.argv[1])
job = worlds.job("description", worlds.examples("description", 32), lora_rank=4, budget=Budget(2))
base = worlds.save_checkpoint(into / "base")
LoraTuner(str(base), device="cpu").tune(job, into / "lora")
ScratchTuner(device="cpu").tune(job, into / "scratch")
LoraTuner(str(base), device="cpu").open(into / "lora", worlds.interests()).rank(worlds.prompts("description", 2), 3)
try:
    LoraTuner("some-org/some-model", device="cpu").tune(job, into / "nothing")
except ConfigError as error:
    print("refused", error)
from huggingface_hub.utils import _telemetry
if _telemetry._TELEMETRY_THREAD is not None:
    _telemetry._TELEMETRY_QUEUE.join()  # what was to be sent has been tried
print("trained")
"""

WORK = """
import sys
from freshet.cli.app import run
assert run(["import", "-w", sys.argv[1]]) == 0
assert run(["run", "-w", sys.argv[1]]) == 0
assert run(["replay", "-w", sys.argv[1], "--arms", "counts,popularity", "--every", "14d"]) == 0
assert run(["report", "-w", sys.argv[1]]) == 0
print("worked")
"""


def attempts(code: str, folder: Path) -> tuple[str, list[str]]:
    """What a script said that ran in a fresh process, and the other machines that it looked for."""
    watch, noted = folder / "watch", folder / "attempts"
    watch.mkdir()
    noted.touch()
    (watch / "sitecustomize.py").write_text(WATCH)
    kept = {
        name: value for name, value in os.environ.items() if name not in (*SETTINGS, "CI", "DO_NOT_TRACK")
    }
    environment = {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(watch), str(ROOT / "src"), str(ROOT)]),
        "NETWORK_ATTEMPTS": str(noted),
        "HF_HOME": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, noted.read_text().split("\n")[:-1]


def test_the_watch_sees_who_looks_for_another_machine(tmp_path: Path) -> None:
    code = "import urllib.request\ntry: urllib.request.urlopen('http://example.org')\nexcept OSError: pass"
    assert attempts(code, tmp_path)[1] == ["resolve example.org"]


def test_training_looks_for_no_other_machine(tmp_path: Path) -> None:
    said, found = attempts(TRAIN, tmp_path)
    assert "refused" in said
    assert said.endswith("trained\n")
    assert found == []


def test_commands_look_for_no_other_machine(tmp_path: Path) -> None:
    generate(World(themes=6, items=60, users=120, days=56, change_day=40), tmp_path / "world")
    (tmp_path / "freshet.toml").write_text(
        '[events]\nfiles = ["world/events.parquet"]\nitems = "world/items.parquet"\npositive = "value >= 7"\n'
        '[interests]\ncount = 8\n[planner]\nkind = "counts"\n'
    )
    said, found = attempts(WORK, tmp_path)
    assert said.endswith("worked\n")
    assert found == []


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_DISABLE_TELEMETRY", False)
    for name in SETTINGS:
        monkeypatch.setenv(name, "0")
    stay_offline()
    assert {os.environ[name] for name in SETTINGS} == {"0"}
    assert may_download()
    assert hub.HF_HUB_DISABLE_TELEMETRY is False


def test_a_client_of_the_hub_that_was_loaded_before_sends_nothing_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_DISABLE_TELEMETRY", False)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    stay_offline()
    assert {name: os.environ[name] for name in SETTINGS} == SETTINGS
    assert not may_download()
    assert hub.HF_HUB_DISABLE_TELEMETRY is True
