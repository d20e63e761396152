"""Formats of workspaces: newer ones are refused, older ones brought up to date, killed or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.core.errors import ArtifactError, WrongFormat
from freshet.storage import workspace_format
from freshet.storage.workspace import Workspace
from freshet.upgrades import MIGRATIONS, Migration, pending, upgrade
from freshet.wiring import open_workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    (tmp_path / "freshet.toml").write_text("")
    return open_workspace(tmp_path)


def test_the_last_migration_gives_todays_format_and_none_is_left_out() -> None:
    formats = [one.format for one in MIGRATIONS]
    assert formats == list(range(workspace_format.FIRST + 1, workspace_format.CURRENT + 1))


def test_a_workspace_without_a_format_is_of_the_first_version(ws: Workspace) -> None:
    done = upgrade(ws)
    assert (done.before, done.after) == (1, workspace_format.CURRENT)
    assert ws.ledger.get(done.run).outcome == "done"
    again = upgrade(ws)
    assert (again.run, again.done) == ("", ())
    assert len(ws.ledger.records()) == 1


def test_a_newer_workspace_is_refused_and_stays_as_it_is(ws: Workspace) -> None:
    workspace_format.write_format(ws.root, workspace_format.CURRENT + 1)
    with pytest.raises(WrongFormat, match="a newer one wrote it") as told:
        open_workspace(ws.root)
    assert told.value.hint == "update this Freshet"


@pytest.mark.parametrize("content", [b"", b"two", b"-1", b"0", b"\xff", b"1.5", b"9" * 40])
def test_a_damaged_format_is_told(ws: Workspace, content: bytes) -> None:
    (ws.root / "FORMAT").write_bytes(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        open_workspace(ws.root)


def test_who_writes_to_a_format_that_is_too_old_is_told_what_to_do(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace_format, "WRITABLE", 2)
    with pytest.raises(WrongFormat) as told, ws.run("refresh"):
        pass
    assert "freshet upgrade" in told.value.hint
    assert open_workspace(ws.root).releases.numbers() == []  # reading goes on
    upgrade(ws)
    with ws.run("refresh"):
        pass


def test_a_migration_that_was_cut_off_is_done_again_and_the_next_follow(ws: Workspace) -> None:
    done: list[int] = []

    def migration(number: int, fails: list[bool]) -> Migration:
        def apply(_: Workspace, __: object) -> dict[str, int]:
            if fails and fails.pop():
                raise KeyboardInterrupt
            done.append(number)
            return {}

        return Migration(number, f"step {number}", apply)

    steps = [migration(2, []), migration(3, [True]), migration(4, [])]
    with pytest.raises(KeyboardInterrupt):
        upgrade(ws, steps)
    assert workspace_format.format_of(ws.root) == 2
    assert [one.format for one in pending(ws, steps)] == [3, 4]
    assert upgrade(ws, steps).done == ("step 3", "step 4")
    assert done == [2, 3, 4]
