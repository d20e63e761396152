"""Runs whose planner is asked in batches, against a SIMULATED provider: they wait, go on, and pay once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from freshet import operations, pipeline
from freshet.cli.app import run
from freshet.core.errors import AnswersPending
from freshet.storage.workspace import Workspace
from tests.backends.planners.batch.provider_server import KEY, Provider, provider_server
from tests.pipeline.world import FIRST, NOW, SECOND, make_world, rewrite, settings, workspace

pytestmark = pytest.mark.slow

PENDING, HALTED = 8, 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with provider_server() as server:
        yield server


def asked_in_batches(root: Path, world: Path, provider: Provider) -> Workspace:
    text = settings(
        world,
        "openai",
        f"""model = "m"
batch = "openai"
endpoint = "{provider.address}/v1"
[gates]
sample = 40
exact_match = 0.5
recall = 0.0
[inference]
chunk = 16
calibration_prompts = 120
[prices]
per_million_tokens = 10
""",
    )
    ws = workspace(root, text)
    operations.import_log(ws, NOW)
    return ws


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    """Exit code and document of a command."""
    capsys.readouterr()
    code = run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_run_waits_twice_and_ends_for_its_own_moment(
    tmp_path: Path, world: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "shop"
    ws = asked_in_batches(root, world, provider)
    here = ("-w", str(root))
    refresh = ("refresh", *here, "--as-of", str(SECOND), "--publish")

    code, found = command(capsys, *refresh)
    assert code == PENDING
    error = found["error"]
    assert isinstance(error, dict)
    assert error["type"] == "AnswersPending"
    assert f"`freshet refresh --as-of {SECOND}` goes on then" in error["hint"]
    assert [record.outcome for record in ws.ledger.records()][-1] == "pending"
    gates = len(written(root))

    code, found = command(capsys, "batch", *here)
    [file] = found["files"]  # type: ignore[misc]
    assert (file["state"], file["open"], file["answered"]) == ("written", gates, 0)
    assert file["expected"]["money"] > 0

    assert command(capsys, "batch", "submit", *here)[0] == 0
    provider.spoil = lambda place: "expire" if place % 5 == 0 else "ok"
    provider.end()
    assert command(capsys, "batch", "fetch", *here)[0] == 0
    provider.spoil = lambda place: "ok"
    assert command(capsys, *refresh)[0] == PENDING  # for what expired
    assert len(provider.asked) == len({key(name) for name in provider.asked}) == gates
    command(capsys, "batch", "submit", *here)
    provider.end()
    code, found = command(capsys, "batch", "fetch", *here)
    assert found["next"] == f"`freshet refresh --as-of {SECOND}` goes on as of {SECOND}"

    assert command(capsys, *refresh)[0] == HALTED  # what the simulated model answers adds nothing
    command(capsys, "approve", *here, ws.ledger.records()[-1].id)
    code, found = command(capsys, *refresh)  # the gates are through; the table waits
    assert code == PENDING
    assert [step.name for step in ws.ledger.records()[-1].steps][-1] == "inference"
    command(capsys, "batch", "submit", *here)
    provider.end()
    command(capsys, "batch", "fetch", *here)

    code, found = command(capsys, *refresh)
    assert code == 0, found
    release = ws.releases.current()
    assert release is not None
    assert release.as_of == str(SECOND)
    inference = next(step for step in ws.ledger.records()[-1].steps if step.name == "inference")
    assert (inference.details["failed"], inference.details["not_asked"]) == (0, 0)
    keys = [key(name) for name in provider.asked]
    repeated = {name for name in keys if keys.count(name) > 1}
    assert len(repeated) == len(range(0, gates, 5))  # those that expired, and no other
    assert all(keys.count(name) == 2 for name in repeated)
    taken = [step for record in ws.ledger.records() for step in record.steps if step.name == "answers"]
    assert sum(step.tokens for step in taken) == 55 * len(set(keys))
    assert sum(step.money for step in taken) > 0

    before = len(provider.asked)
    assert command(capsys, *refresh)[0] == 0
    assert len(provider.asked) == before
    assert not list((root / "batches").glob("00004"))
    everything = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert KEY.encode() not in everything


def key(name: str) -> str:
    """Identity of a request by its name in a file."""
    return name.rpartition("-")[0]


def written(root: Path) -> list[dict[str, Any]]:
    """All requests written so far."""
    paths = sorted((root / "batches").rglob("requests-*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def test_what_another_moment_asks_alike_is_not_asked_again(
    tmp_path: Path, world: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "shop"
    ws = asked_in_batches(root, world, provider)
    with pytest.raises(AnswersPending):
        pipeline.refresh(ws, FIRST)
    first = len(written(root))
    with pytest.raises(AnswersPending):
        pipeline.refresh(ws, SECOND)
    keys = [key(line["custom_id"]) for line in written(root)]
    assert len(keys) == len(set(keys)) > first
    assert (
        run(["refresh", "-w", str(root)]) == PENDING
    )  # of the newest moment: that one was asked for by name
    assert ws.ledger.records()[-1].as_of == "2024-02-26"


def test_a_run_of_the_newest_moment_goes_on_with_it_though_the_log_moves_on(
    tmp_path: Path, world: Path, provider: Provider
) -> None:
    root = tmp_path / "shop"
    ws = asked_in_batches(root, world, provider)
    here = ("-w", str(root))
    for number in (1, 2, 3):
        code = run(["refresh", *here])
        if code == HALTED:
            run(["approve", *here, ws.ledger.records()[-1].id])
            code = run(["refresh", *here])
        if code == 0:
            break
        assert code == PENDING
        run(["batch", "submit", *here])
        provider.end()
        run(["batch", "fetch", *here])
        later = rewrite(world, tmp_path / f"later-{number}", partial(moved, days=3 * number))
        operations.import_log(ws, NOW, [later / "events.parquet"])
    runs = [(one.as_of, one.outcome) for one in ws.ledger.records() if one.command == "refresh"]
    assert runs == [
        ("2024-02-26", "pending"),
        ("2024-02-26", "approved"),  # halted by a gate, so that a person was there
        ("2024-02-29", "pending"),
        ("2024-02-29", "done"),
    ]
    release = ws.releases.current()
    assert release is not None
    assert release.as_of == "2024-02-29"
    assert run(["refresh", *here]) == PENDING  # and the next run is of the newest moment again
    assert ws.ledger.records()[-1].as_of == "2024-03-03"


def moved(events: pa.Table, days: int) -> pa.Table:
    """The last three days of events, so many days later."""
    time = events["timestamp"].combine_chunks()
    last = pc.greater(time, pa.scalar(pc.max(time).as_py() - timedelta(days=3), time.type))
    kept = events.filter(last)
    return kept.set_column(
        kept.schema.get_field_index("timestamp"), "timestamp", pc.add(kept["timestamp"], timedelta(days=days))
    )


def test_a_hosted_job_is_waited_for_while_the_accepted_model_serves(
    tmp_path: Path, world: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "shop"
    ws = asked_in_batches(root, world, provider)
    text = (root / "freshet.toml").read_text() + "per_million_tokens_trained = 25\n[tuning]\nhosted = true\n"
    ws = workspace(root, text)
    finetune = ("finetune", "-w", str(root), "--as-of", str(FIRST))
    code, _ = command(capsys, *finetune)
    assert code == PENDING
    assert len(provider.jobs) == 2  # both are under way at once
    assert provider.asked == []
    assert command(capsys, *finetune)[0] == PENDING
    assert len(provider.jobs) == 2
    provider.end()
    assert command(capsys, *finetune)[0] == PENDING  # now the gates ask the holdout model
    assert len(provider.jobs) == 2
    [tuning] = [step for step in ws.ledger.records()[-1].steps if step.name == "tuning"]
    assert tuning.trained == 2 * 999
    assert tuning.money > 2 * 999 * 25 / 1e6 * 0.99
    models = {line["body"]["model"] for line in written(root)}
    assert models == {"ft:m:1"}
    command(capsys, "batch", "submit", "-w", str(root))
    provider.end()
    command(capsys, "batch", "fetch", "-w", str(root))
    assert command(capsys, *finetune)[0] == HALTED
    command(capsys, "approve", "-w", str(root), ws.ledger.records()[-1].id)
    assert command(capsys, *finetune)[0] == 0

    ws = workspace(root, text.replace("hosted = true", "hosted = true\nevery_days = 5"))
    code, _ = command(capsys, "run", "-w", str(root), "--as-of", str(SECOND))  # another tuning is due
    assert len(provider.jobs) == 4
    assert code == PENDING
    assert [step.name for step in ws.ledger.records()[-1].steps][-1] == "inference"  # for the accepted model
