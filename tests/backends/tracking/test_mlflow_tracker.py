"""Runs at a real MLflow server, and at servers that fail."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from freshet.backends.tracking.mlflow_tracker import KEY, MlflowTracker
from freshet.checks.tracker import check_failing, check_tracker, example_run
from freshet.core.errors import TrackingError
from freshet.core.ports import TrackedRun
from tests.backends.tracking.receiver import receiving

pytest.importorskip("mlflow", reason="needs mlflow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
STATES = {"FINISHED": "complete", "FAILED": "failed", "KILLED": "aborted"}
START = 300
"""Seconds that the server may take to start on a busy machine."""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server with a database and artifacts of its own."""
    pytest.importorskip("mlflow.server", reason="needs the whole of mlflow, not only its client")
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/runs.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until = time.monotonic() + START
        while True:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def client(url: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=url)


def found(url: str, experiment: str, run: TrackedRun) -> list[Any]:
    reader = client(url)
    there = reader.get_experiment_by_name(experiment)
    if there is None:
        return []
    return list(reader.search_runs([there.experiment_id], f"tags.`{KEY}` = '{run.key}'"))


def test_a_server_is_told_by_the_contract(url: str, tmp_path: Path) -> None:
    tracker, run = MlflowTracker(url, "contract", 60.0), example_run()
    check_tracker(tracker, lambda run: [STATES[one.info.status] for one in found(url, "contract", run)])
    (there,) = found(url, "contract", run)
    assert there.data.metrics == run.figures
    assert there.data.params == run.settings
    assert there.data.tags["freshet.outcome"] == "approved"
    assert there.info.start_time == 1714564800000
    assert there.info.end_time - there.info.start_time == 9000
    path = client(url).download_artifacts(there.info.run_id, "steps.json", str(tmp_path))
    assert '"rows": 36' in Path(path).read_text()


def test_many_settings_and_tags_are_told_whole(url: str) -> None:
    from dataclasses import replace

    many = {f"section.key{number}": str(number) for number in range(230)}
    run = replace(example_run(), settings=many, tags=many)
    MlflowTracker(url, "many", 60.0).send(run)
    (there,) = found(url, "many", run)
    assert there.data.params == many
    assert {f"freshet.{name}" for name in many} <= set(there.data.tags)


def test_an_experiment_that_was_deleted_is_named(url: str) -> None:
    tracker = MlflowTracker(url, "deleted", 60.0)
    tracker.send(example_run())
    reader = client(url)
    reader.delete_experiment(reader.get_experiment_by_name("deleted").experiment_id)
    with pytest.raises(TrackingError, match="deleted"):
        tracker.send(example_run())


def test_nothing_is_printed_and_no_variable_stays(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(os.environ)
    MlflowTracker(url, "quiet", 60.0).send(example_run())
    assert capsys.readouterr().out == ""
    before.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    assert dict(os.environ) == before


@pytest.mark.parametrize("how", ["error", "silent"])
def test_a_server_that_fails_is_named(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "canary-0123456789")
    with receiving(how) as server:
        check_failing(MlflowTracker(server.url, "any", 1.0), "canary")


def test_a_server_that_is_gone_is_named() -> None:
    with receiving() as server:
        gone = server.url
    check_failing(MlflowTracker(gone, "any", 5.0))


def test_the_contract_catches_a_tracker_that_tells_twice(url: str) -> None:
    told: list[TrackedRun] = []
    twice = SimpleNamespace(target="twice", send=told.append)
    with pytest.raises(AssertionError, match="told twice"):
        check_tracker(twice, lambda run: [one.state for one in told if one.key == run.key])  # type: ignore[arg-type]
