"""What runs give away: on each publication and rollback, without failing one; what failed, the next run does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from freshet import inspect, operations, pipeline
from freshet.core.errors import ConfigError, ExportError
from freshet.exports import deliveries, export_step
from freshet.exports.state import State, read_state, write_state
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace
from freshet.wiring_exports import deliveries_of, target_name
from tests.exports.receiver import Receiver
from tests.pipeline.world import FIRST, NOW, SECOND, copied

pytestmark = pytest.mark.slow

Make = Callable[..., Workspace]


@pytest.fixture(scope="module")
def released(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with two releases, exporting nothing."""
    ws = copied(counted, tmp_path_factory.mktemp("released") / "shop")
    pipeline.refresh(ws, FIRST, publish=True)
    pipeline.refresh(ws, SECOND, publish=True)
    return ws


@pytest.fixture
def make(released: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A copy of it with an [export] section."""
    monkeypatch.setenv("FRESHET_WEBHOOK_SECRET", "topsecret")

    def made(export: str) -> Workspace:
        text = (released.root / "freshet.toml").read_text()
        return copied(released, tmp_path / "shop", f"{text}\n[export]\n{export}\n")

    return made


def given(path: Path) -> int:
    """Number of the release in a folder of Parquet files."""
    return int(json.loads((path / "CURRENT.json").read_text())["release"]["number"])


def details(record: Record, name: str) -> list[dict]:
    return [step.details for step in record.steps if step.name == name]


def last(ws: Workspace) -> Record:
    return ws.ledger.records()[-1]


def test_a_publication_and_a_rollback_reach_all_targets(make: Make) -> None:
    ws = make('to = ["parquet", "out/shop.freshet"]')
    operations.roll_back(ws, 1)
    assert given(ws.root / "parquet") == 1
    steps = details(last(ws), "export")
    assert [(one["target"], one["release"]) for one in steps] == [("parquet", 1), ("out/shop.freshet", 1)]
    assert all(one["rows"] > 0 and one["bytes"] > 0 for one in steps)
    before = (ws.root / "out" / "shop.freshet").read_bytes()
    pipeline.refresh(ws, SECOND, publish=True)
    number = ws.releases.pointer()
    assert given(ws.root / "parquet") == number
    assert (ws.root / "out" / "shop.freshet").read_bytes() != before
    again = pipeline.refresh(ws, SECOND, publish=True)
    assert details(again, "export") == []
    assert [one.due for one in inspect.status(ws, NOW.date()).exports] == [False, False]


def test_a_target_that_fails_fails_nothing_and_is_tried_by_the_next_run(make: Make) -> None:
    ws = make('to = ["blocked/parquet", "fine"]')
    (ws.root / "blocked").write_text("no folder")
    assert operations.roll_back(ws, 1).number == 1
    assert last(ws).outcome == "done"
    failed, done = details(last(ws), "export")
    assert "can't be written" in failed["failed"]
    assert done["rows"] > 0
    status = inspect.status(ws, NOW.date()).exports
    assert [(one.release, one.due, one.tries) for one in status] == [(None, True, 1), (1, False, 0)]
    operations.import_log(ws, NOW)  # any run does
    assert inspect.status(ws, NOW.date()).exports[0].tries == 2
    (ws.root / "blocked").unlink()
    operations.import_log(ws, NOW)
    assert given(ws.root / "blocked" / "parquet") == 1
    assert inspect.status(ws, NOW.date()).exports[0].failed == ""


def test_an_export_by_hand_writes_again_and_raises_what_fails(make: Make, tmp_path: Path) -> None:
    ws = make('to = ["parquet"]')
    configured = deliveries_of(ws.root, ws.config)
    done = export_step.export(ws, configured, None)
    assert (done.release.number, given(ws.root / "parquet")) == (2, 2)
    folder = json.loads((ws.root / "parquet" / "CURRENT.json").read_text())["folder"]
    export_step.export(ws, configured, None)
    assert json.loads((ws.root / "parquet" / "CURRENT.json").read_text())["folder"] != folder
    (ws.root / "blocked").write_text("no folder")
    bad = deliveries_of(
        ws.root,
        ws.config.model_copy(update={"export": ws.config.export.model_copy(update={"to": ("blocked/x",)})}),
    )
    assert bad is not None
    with pytest.raises(ExportError, match="can't be written"):
        export_step.export(ws, configured, bad.targets, 1)
    assert last(ws).outcome == "failed"
    with pytest.raises(ConfigError, match="nowhere to export to"):
        export_step.export(replace(ws, giving=None), None, None)


def test_a_damaged_state_gives_everything_again(make: Make) -> None:
    ws = make('to = ["parquet"]')
    export_step.export(ws, deliveries_of(ws.root, ws.config), None)
    (ws.root / "exports" / "state.json").write_text("{")
    assert read_state(ws.root) == State()
    assert details(operations.import_log(ws, NOW)[0], "export")[0]["release"] == 2


def test_nothing_is_given_where_nothing_is_configured(released: Workspace) -> None:
    assert released.giving is None
    assert not (released.root / "exports").exists()


def test_the_webhook_is_told_of_publications_and_rollbacks(make: Make) -> None:
    with Receiver() as receiver:
        ws = make(f'webhook = "{receiver.url}"')
        operations.import_log(ws, NOW)  # from here on it watches
        operations.roll_back(ws, 1)
        pipeline.refresh(ws, SECOND, publish=True)
    first, second = (json.loads(body) for _, _, body in receiver.taken)
    assert (first["event"], first["before"], first["release"]["number"]) == ("release.rolled_back", 2, 1)
    assert (second["event"], second["before"]) == ("release.published", 1)
    assert second["release"]["number"] == ws.releases.pointer()
    assert second["release"]["as_of"] == str(SECOND)
    assert 0 < second["rows_changed"] <= second["rows"]
    assert (second["workspace"], second["gates"], second["schema"]) == ("shop", [], 1)
    assert len({*receiver.ids}) == 2
    hook = inspect.status(ws, NOW.date()).webhook
    assert hook is not None
    assert (hook.told, hook.pending, hook.refused) == (ws.releases.pointer(), (), ())
    assert "secret-path" not in json.dumps([step.details for step in last(ws).steps])


class Killed(BaseException):
    """Stands for kill -9 between publication and message."""


def test_a_run_that_was_killed_before_its_message_sends_it_with_the_next_run(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver(500, 500, 500, 500) as receiver:
        ws = make(f'webhook = "{receiver.url}"')
        operations.import_log(ws, NOW)

        def die(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(deliveries.Deliveries, "end", die)
            with pytest.raises(Killed):
                operations.roll_back(ws, 1)
        assert receiver.taken == []
        monkeypatch.setattr("freshet.backends.webhook.pause", lambda *_: 0.0)
        pipeline.refresh(ws, SECOND, publish=True)  # its own message comes behind
        assert len(receiver.taken) == 4
        assert len(read_state(ws.root).pending) == 2
        operations.import_log(ws, NOW)
    bodies = [json.loads(body)["release"]["number"] for _, _, body in receiver.taken]
    assert bodies == [1, 1, 1, 1, 1, ws.releases.pointer()]
    assert len({*receiver.ids[:5]}) == 1  # the same message, by its id
    assert read_state(ws.root).pending == ()


def test_what_the_webhook_refuses_is_kept_and_sent_again_by_hand(make: Make) -> None:
    with Receiver(410) as receiver:
        ws = make(f'webhook = "{receiver.url}"')
        operations.import_log(ws, NOW)
        operations.roll_back(ws, 1)
        assert last(ws).outcome == "done"
        hook = inspect.status(ws, NOW.date()).webhook
        assert hook is not None
        assert [one.release for one in hook.refused] == [1]
        operations.import_log(ws, NOW)
        assert len(receiver.taken) == 1
        export_step.export(ws, deliveries_of(ws.root, ws.config), None)
    assert len(receiver.taken) == 2
    assert len({*receiver.ids}) == 1
    assert read_state(ws.root).refused == ()


def test_messages_for_a_webhook_that_is_gone_do_not_pile_up(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshet.exports.outbox.MOST", 2)
    ws = make('webhook = "http://127.0.0.1:1/x"\ntimeout_seconds = 1')
    monkeypatch.setattr("freshet.backends.webhook.pause", lambda *_: 0.0)
    operations.import_log(ws, NOW)
    for number in (1, 2, 1):
        operations.roll_back(ws, number)
    assert [one.release for one in read_state(ws.root).pending] == [2, 1]


def test_the_state_comes_back_as_it_was(tmp_path: Path) -> None:
    write_state(tmp_path, State(watched=True, noted=3))
    assert read_state(tmp_path) == State(watched=True, noted=3)


@pytest.mark.parametrize(
    ("to", "name"),
    [
        ("redis://me:pass@host:6379/0?prefix=shop", "redis://host:6379/0?prefix=shop"),
        ("redis://host", "redis://host?prefix=freshet"),
        ("out/table.freshet", "out/table.freshet"),
        ("s3://bucket/shop", "s3://bucket/shop"),
    ],
)
def test_places_are_named_without_secrets(to: str, name: str) -> None:
    assert target_name(to) == name


@pytest.mark.parametrize("to", ["", "ftp://host/x", "redis://", "http://host"])
def test_what_is_no_place_is_refused(make: Make, to: str) -> None:
    with pytest.raises(ConfigError, match="is no place to export to"):
        make(f'to = ["{to}"]')


def test_a_webhook_with_a_password_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="user or password") as refused:
        make('webhook = "https://me:pass@host/x"')
    assert "pass@" not in str(refused.value)
