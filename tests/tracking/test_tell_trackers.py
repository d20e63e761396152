"""What is told of a workspace's runs: once each, again when they change, never at the cost of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from freshet import operations
from freshet.core.config import Config, TrackingConfig
from freshet.core.errors import Busy, ConfigError, TrackingError
from freshet.core.ports import TrackedRun
from freshet.storage.lease import lease
from freshet.storage.workspace import Workspace
from freshet.tracking import run_facts, send_all, send_new
from freshet.tracking.tell_trackers import LOCK
from tests.cli.conftest import called
from tests.pipeline.world import NOW, copied, settings, workspace


class Keeping:
    """Keeps what it is told; refuses the runs named in `refused`."""

    def __init__(self, target: str = "keeping", refused: tuple[str, ...] = ()) -> None:
        self.target = target
        self.refused = refused
        self.told: list[TrackedRun] = []

    def send(self, run: TrackedRun) -> None:
        if run.number in self.refused:
            raise TrackingError(f"{self.target} did not take run {run.number}")
        self.told.append(run)


class Saying:
    """A reporter that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, name: str) -> object:
        return lambda done, total: None


@pytest.fixture
def ws(planned: Workspace, tmp_path: Path) -> Workspace:
    return copied(planned, tmp_path / "shop")


def numbers(tracker: Keeping) -> list[str]:
    return [run.number for run in tracker.told]


def test_each_run_is_told_once_newest_first(ws: Workspace) -> None:
    tracker = Keeping()
    runs = [record.id for record in ws.ledger.records()]
    (sent,) = send_all(ws, [tracker])
    assert numbers(tracker) == runs[::-1]
    assert (sent.sent, sent.before, sent.left) == (len(runs), 0, 0)
    (again,) = send_all(ws, [tracker])
    assert (again.sent, again.before, again.left) == (0, len(runs), 0)
    send_all(ws, [tracker], again=True)
    assert len(tracker.told) == 2 * len(runs)


def test_a_run_that_changed_is_told_again(ws: Workspace) -> None:
    tracker = Keeping()
    send_all(ws, [tracker])
    tracker.told.clear()
    record = ws.ledger.records()[0]
    record.outcome = "rejected"
    ws.ledger.save(record)
    send_all(ws, [tracker])
    assert [(run.number, run.state) for run in tracker.told] == [(record.id, "aborted")]


def test_what_was_refused_is_told_the_next_time_and_others_are_told_meanwhile(ws: Workspace) -> None:
    newest, *older = [record.id for record in ws.ledger.records()][::-1]
    failing, other = Keeping("failing", (older[0],)), Keeping("other")
    said = Saying()
    found = send_new(replace(ws, reporter=said), [failing, other])
    assert [one.left for one in found] == [len(older), 0]
    assert numbers(failing) == [newest]
    assert numbers(other) == [newest, *older]
    assert f"{len(older)} runs are not at failing yet" in said.lines[0]
    failing.refused = ()
    send_new(ws, [failing, other])
    assert numbers(failing) == [newest, *older]
    assert len(other.told) == len(older) + 1


def test_no_time_left_tells_nothing_and_loses_nothing(ws: Workspace) -> None:
    tracker = Keeping()
    (sent,) = send_all(ws, [tracker], seconds=0.0)
    assert (sent.sent, sent.left) == (0, len(ws.ledger.records()))
    send_all(ws, [tracker])
    assert len(tracker.told) == sent.left


def test_a_lost_or_damaged_memory_costs_telling_again(ws: Workspace) -> None:
    tracker = Keeping()
    send_all(ws, [tracker])
    count = len(tracker.told)
    for content in ("{", "[]"):
        (ws.root / "tracking" / "sent.json").write_text(content)
        send_all(ws, [tracker])
    assert len(tracker.told) == 3 * count


def test_two_that_tell_do_not_tell_at_once(ws: Workspace) -> None:
    tracker = Keeping()
    with lease(ws.root / LOCK, "track"):
        assert send_new(ws, [tracker]) == []
        with pytest.raises(Busy):
            send_all(ws, [tracker])
    assert tracker.told == []


def test_running_is_not_told_and_killed_is(ws: Workspace) -> None:
    record = ws.ledger.records()[-1]
    record.outcome = "running"
    ws.ledger.save(record)
    with ws.hold("somebody"):
        assert run_facts(ws, record) is None
    killed = run_facts(ws, record)
    assert killed is not None
    assert (killed.state, killed.tags["outcome"]) == ("aborted", "interrupted")


def test_a_run_says_what_it_read_made_and_found(ws: Workspace) -> None:
    runs = [run_facts(ws, record) for record in ws.ledger.records()]
    made = next(run for run in reversed(runs) if run is not None and "rows" in run.figures)
    assert made.settings["planner.kind"] == "fake"
    assert made.settings["interests.count"] == "9"
    assert {"rows.changed", "rows.copied", "step.table.seconds"} <= set(made.figures)
    gated = next(run for run in runs if run is not None and "gates.json" in run.documents)
    assert {"gate.recall", "gate.recall.passed"} <= set(gated.figures)
    steps = {step.name: step for step in made.steps}
    (table,) = steps["table"].outputs
    assert table.rows == made.figures["rows"]
    read = {data.name: data.version for data in steps["table"].inputs}
    assert read["interests"] == made.tags["artifact.interests"]
    assert read["transitions"] == made.tags["artifact.transitions"]
    (checked,) = steps["verify"].inputs
    assert checked.version == table.version
    assert all(checked.checks.values())
    imported = next(run for run in runs if run is not None and run.command == "import")
    (step,) = [step for step in imported.steps if step.name == "import"]
    assert step.inputs[0].name.endswith("events.parquet")
    assert step.outputs[0].rows == imported.figures["events.added"]
    assert all(step.started <= step.ended for run in runs if run is not None for step in run.steps)


def test_no_secret_is_told(ws: Workspace) -> None:
    record = ws.ledger.records()[-1]
    record.message = "redis://user:hunter2@host/0 and https://x/y?sig=hunter2 are gone"
    record.steps[0].details = {"sources": ["s3://user:hunter2@bucket/events?token=hunter2"]}
    record.steps[0].name = "import"
    found = run_facts(ws, record)
    assert found is not None
    assert "hunter2" not in json.dumps([found.message, found.tags, found.documents, found.settings])
    assert "hunter2" not in str(found.steps)


def test_settings_that_say_where_servers_are_are_not_told() -> None:
    config = Config.model_validate(
        {
            "planner": {
                "kind": "openai", "model": "m", "endpoint": "http://secret-host/v1",
                "api_key_env": "SECRET_NAME", "request": {"user": "secret"},
            },
            "serving": {"state": "redis://:hunter2@secret-host/0"},
        }
    )  # fmt: skip
    told = json.dumps(config.deciding())
    assert '"planner.model": "m"' in told
    assert "secret" not in told.lower()


@pytest.mark.slow
def test_a_run_succeeds_where_nobody_takes_it(world: Path, tmp_path: Path) -> None:
    extra = '[tracking]\nmlflow = "http://127.0.0.1:1"\nopenlineage = "lineage.jsonl"\n'
    ws = replace(workspace(tmp_path / "shop", settings(world, extra=extra)), reporter=(said := Saying()))
    operations.import_log(ws, NOW)
    assert [record.outcome for record in ws.ledger.records()] == ["done"]
    assert any("1 runs are not at mlflow" in line for line in said.lines)
    first = json.loads((ws.root / "lineage.jsonl").read_text().splitlines()[0])
    assert first["job"] == {**first["job"], "namespace": "shop", "name": "import"}
    with pytest.raises(TrackingError), ws.hold("x"):
        raise TrackingError("an error of the block reaches the caller")


def test_the_command_tells_and_fails_where_it_cannot(world: Path, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    ws = workspace(root, settings(world))
    operations.import_log(ws, NOW)
    assert "names nobody" in called("track", "-w", root).stderr
    workspace(root, settings(world, extra='[tracking]\nopenlineage = "lineage.jsonl"\n'))
    done = called("track", "-w", root, "--json")
    (told,) = json.loads(done.stdout)["trackers"]
    assert (told["sent"], told["before"], told["left"]) == (1, 0, 0)
    assert json.loads(called("track", "-w", root, "--json").stdout)["trackers"][0]["before"] == 1
    workspace(root, settings(world, extra='[tracking]\nopenlineage = "http://127.0.0.1:1"\n'))
    failed = called("track", "-w", root, "--json")
    assert failed.returncode == 2
    assert json.loads(failed.stdout)["error"]["retryable"]


@pytest.mark.parametrize("url", ["mlflow:5000", "http://user:hunter2@host", "ftp://host", "http://host?a=b"])
def test_addresses_that_are_none_are_refused_without_their_password(url: str) -> None:
    with pytest.raises((ValueError, ConfigError)) as refused:
        TrackingConfig(mlflow=url)
    assert "hunter2" not in str(refused.value.errors(include_input=False))  # type: ignore[attr-defined]
