"""The files in deploy/ can be read by what reads them, and name commands, options and paths that there are."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from freshet.cli import app
from freshet.http.server import GRACE
from tests.cli.conftest import called

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNITS = sorted(path.name for path in DEPLOY.glob("*.service"))
TIMERS = sorted(path.name for path in DEPLOY.glob("*.timer"))
GROUPS = ("keys", "experiment", "batch")


def unit(name: str) -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read(DEPLOY / name)
    return read


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def listed(value: object) -> Iterator[list[str]]:
    """Every list of arguments of a container, in manifests."""
    if isinstance(value, dict):
        image = str(value.get("image", ""))
        if image.startswith("freshet") and "args" in value:
            yield value["args"]
        for inner in value.values():
            yield from listed(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from listed(inner)


def commands() -> list[list[str]]:
    """Every `freshet ...` that the files run or tell to run."""
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    told = [
        match[1]
        for path in [*files, ROOT / "docs" / "how-to" / "deploy.md"]
        for match in re.finditer(
            r"(?:(?<![/\w.-])freshet|freshet-worker) ((?:serve|keys|run|finetune|refresh|stream|track) -[^`\n]*|keys \w+ -[^`\n]*)",
            path.read_text(encoding="utf-8"),
        )
    ]
    (default,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    run = [yaml.safe_load(default)]
    run += [shlex.split(unit(name)["Service"]["ExecStart"])[1:] for name in UNITS]
    run += [
        one["command"]
        for name, one in compose()["services"].items()
        if "command" in one and "freshet" in one["image"]
    ]
    for manifest in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()):
        run += listed(manifest)
    return [*run, *(shlex.split(one) for one in told)]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_and_options_exist(command: list[str]) -> None:
    words = [word for word in command if not word.startswith("-")]
    name = [command[0], words[1]] if command[0] in GROUPS else [command[0]]
    shown = called(*name, "--help")
    assert shown.returncode == 0, shown.stderr
    for option in command:
        if option.startswith("-"):
            assert option in shown.stdout, option


def test_every_way_to_deploy_has_both_paths_and_the_service() -> None:
    told = [command[0] for command in commands()]
    assert {"serve", "run", "finetune", "stream", "keys"} <= set(told)
    assert told.count("run") >= 3


def test_what_the_chart_runs_exists() -> None:
    charts = pytest.importorskip("tests.charts", reason="needs helm-python-sdk")
    run = [
        args
        for values in (charts.EVERYTHING, charts.BUCKET)
        for one in charts.manifests(values)
        for args in listed(one)
    ]
    assert {args[0] for args in run} == {"serve", "run", "finetune", "stream"}
    for args in run:
        test_commands_and_options_exist(args)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*UNITS, *TIMERS])
def test_units_are_such(name: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    done = subprocess.run(["systemd-analyze", "verify", str(DEPLOY / name)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if name in line]
    assert [line for line in said if "is not executable" not in line] == []


@pytest.mark.slow
def test_the_check_of_units_refuses_what_is_none(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    broken = tmp_path / "freshet-run.timer"
    broken.write_text((DEPLOY / "freshet-run.timer").read_text().replace("*-*-* 03:15:00", "every night"))
    done = subprocess.run(["systemd-analyze", "verify", str(broken)], capture_output=True, text=True)
    assert "every night" in done.stderr


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_writes_to_its_workspace_alone(name: str) -> None:
    service = unit(name)["Service"]
    assert service["ReadWritePaths"] in service["ExecStart"]
    assert service["ProtectSystem"] == "strict"
    assert service["User"] == "freshet"


def test_stopping_leaves_time_to_drain_and_timers_start_their_units() -> None:
    service = unit("freshet.service")["Service"]
    assert int(service["TimeoutStopSec"]) > 3 + GRACE
    assert service["KillSignal"] == "SIGTERM"
    for name in TIMERS:
        of = name.replace(".timer", ".service")
        assert unit(of)["Service"]["Type"] == "oneshot"
        assert unit(of)["Service"]["SuccessExitStatus"] == "3 8"
        assert unit(name)["Timer"]["Persistent"] == "true"


def test_replicas_share_one_state_and_stop_gracefully() -> None:
    services = compose()["services"]
    replicas = [services["one"], services["two"]]
    for replica in replicas:
        assert replica["stop_grace_period"] == "20s"
        assert "profiles" not in replica
        assert (ROOT / "deploy" / replica["build"]["context"] / replica["build"]["dockerfile"]).exists()
    for name, service in services.items():
        if name not in ("one", "two", "redis"):
            assert service["profiles"], f"{name} would start with the replicas"
    assert "--appendfsync always" in " ".join(services["redis"]["command"])
    assert "noeviction" in services["redis"]["command"]


def test_the_image_is_made_from_a_wheel_and_its_extras_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = re.findall(r"EXTRAS[=:] ?([\w,]+)", DOCKERFILE + (DEPLOY / "compose.yaml").read_text())
    assert len(told) == 3
    for given in told:
        assert set(given.split(",")) <= set(extras), given
    (default,) = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)
    assert "local" not in default.split(","), "serving needs no torch"
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert "COPY --from=installed" in final
    assert not re.search(r"^COPY (?!--from)", final, re.MULTILINE), "the image holds what was installed alone"
    assert re.search(r"^USER \d+$", final, re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert f"!{name}" in kept, f".dockerignore leaves {name} out"
    assert app.command_line().registered_commands
