"""The files in deploy/ can be read by what reads them, and name commands, options and paths that there are."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from freshet.cli import app
from freshet.http.server import GRACE
from tests.cli.conftest import called

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def unit() -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read(DEPLOY / "freshet.service")
    return read


def commands() -> list[list[str]]:
    """Every `freshet ...` that the files run or tell to run."""
    told = [match[1] for path in DEPLOY.iterdir() for match in re.finditer(r"(?<![/\w])freshet ((?:serve|keys) [^`\n]*)", path.read_text())]  # fmt: skip
    (listed,) = re.findall(r'^CMD (\[.*\])$', (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)  # fmt: skip
    run = [yaml.safe_load(listed)[1:], shlex.split(unit()["Service"]["ExecStart"])[1:]]
    return [*run, *(shlex.split(one) for one in told)]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_and_options_exist(command: list[str]) -> None:
    words = [word for word in command if not word.startswith("-")]
    name = [command[0], words[1]] if command[0] == "keys" else [command[0]]
    help_text = called(*name, "--help").stdout
    for option in command:
        if option.startswith("-"):
            assert option in help_text, option


@pytest.mark.slow
def test_the_unit_is_one() -> None:
    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) > 3 + GRACE
    assert service["KillSignal"] == "SIGTERM"
    assert service["ReadWritePaths"] in service["ExecStart"]
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", str(DEPLOY / "freshet.service")], capture_output=True, text=True
        )
        said = [line for line in done.stderr.splitlines() if "freshet.service" in line]
        assert [line for line in said if "is not executable" not in line] == []


def test_replicas_share_one_state_and_stop_gracefully() -> None:
    read = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    replicas = [one for name, one in read["services"].items() if name != "redis"]
    assert len(replicas) == 2
    for replica in replicas:
        assert replica["stop_grace_period"] == "20s"
        assert (ROOT / "deploy" / replica["build"]["context"] / replica["build"]["dockerfile"]).exists()
    assert "--appendfsync always" in " ".join(read["services"]["redis"]["command"])
    assert "noeviction" in read["services"]["redis"]["command"]


def test_the_image_installs_what_serving_needs_and_no_torch() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert '".[serve,redis]"' in text
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for name in copied.split():
            assert (ROOT / name).exists(), name
    assert app.app.registered_commands
