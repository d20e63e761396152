"""The loop from run to run: what is skipped, what is asked again, what moves `CURRENT`."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from freshet import operations, pipeline, refresh_plan
from freshet.backends.local_store import write_manifest
from freshet.backends.planners.fake import FakePlanner, FakeTuner
from freshet.core.errors import ArtifactError, ConfigError, DiskFull, InputError, VerificationError
from freshet.core.types import Interests
from freshet.stages import interests
from freshet.storage.artifacts import Draft
from freshet.storage.releases import Releases
from freshet.storage.workspace import Workspace
from tests.pipeline.world import (
    FAKE,
    FIRST,
    INTERESTS,
    NOW,
    SECOND,
    ChoosyTuner,
    approving,
    content,
    copied,
    current_table,
    refreshed,
    rewrite,
    same_content,
    settings,
    step,
    table_of,
    with_tuner,
    workspace,
)


@pytest.mark.parametrize("kind", ["counts", "fake"])
def test_running_twice_changes_nothing(world: Path, tmp_path: Path, kind: str) -> None:
    ws = workspace(tmp_path, settings(world, kind, FAKE if kind == "fake" else ""))
    first = approving(lambda: pipeline.run(ws, NOW), ws)
    last = 2 if kind == "fake" else 1  # counts come before a model
    assert (first.outcome, first.release) == ("done", last)
    before = content(ws)
    again = pipeline.run(ws, NOW)
    assert (again.outcome, again.release) == ("done", last)
    assert all(s.cached for s in again.steps if s.artifact)
    asked = pipeline.refresh(ws)
    assert asked.release == last
    assert not [s for s in asked.steps if s.name in ("inference", "evidence")]
    cached = {s.name: s.cached for s in asked.steps}
    assert cached["table"]
    assert cached["overlay"]
    assert sum(s.tokens for s in asked.steps) == 0
    assert content(ws) == before
    assert ws.releases.numbers() == list(range(1, last + 1))


def test_a_later_refresh_asks_only_for_prompts_that_changed(planned: Workspace, tmp_path: Path) -> None:
    ws = copied(planned, tmp_path / "ws")
    record = pipeline.refresh(ws, SECOND)
    details = step(record, "inference")
    assert details["rows"] == INTERESTS + INTERESTS * (INTERESTS - 1)
    assert 0 < int(str(details["changed"])) < int(str(details["rows"])) / 2
    fresh = planned.ledger.records()[-1]
    assert step(fresh, "inference")["changed"] == details["rows"]
    assert sum(s.tokens for s in record.steps) < sum(s.tokens for s in fresh.steps) / 2


def test_a_plan_foretells_what_the_refresh_then_does(planned: Workspace, tmp_path: Path) -> None:
    ws = copied(planned, tmp_path / "ws")
    before = content(ws)
    foreseen = step(refresh_plan.plan(ws, SECOND), "plan")
    assert {name: data for name, data in content(ws).items() if name.startswith("tables")} == {
        name: data for name, data in before.items() if name.startswith("tables")
    }
    assert ws.releases.current() is None
    done = step(pipeline.refresh(ws, SECOND), "inference")
    for name in ("rows", "changed", "copied", "calibration"):
        assert foreseen[name] == done[name]
    expected, actual = done["expected"], done["actual"]
    assert foreseen["expected"]["tokens"] == expected["tokens"] > 0
    assert expected["tokens"] == pytest.approx(actual["tokens"], rel=0.1)  # a part of the chunks is sized
    assert step(refresh_plan.plan(ws, SECOND), "plan")["changed"] == 0  # nothing is left to do


def test_with_unchanged_evidence_nothing_is_inferred_and_the_planner_is_not_loaded(
    world: Path, tmp_path: Path
) -> None:
    """Nobody likes anything on the new day, nor did they on the day that leaves the window of evidence."""
    quiet = [FIRST.day, FIRST.minus(21).day]

    def without_likes(table: pa.Table) -> pa.Table:
        days = pc.cast(table["timestamp"], pa.date32())
        hidden = pc.is_in(days, pa.array(quiet, pa.date32()))
        value = pc.if_else(hidden, pc.min_element_wise(table["value"], 6), table["value"])
        return table.set_column(table.schema.get_field_index("value"), "value", value)

    source = rewrite(world, tmp_path / "world", without_likes)
    text = settings(source, "fake", FAKE + '[evidence]\nlevel = "instance"\nwindow_days = 21\n')
    ws = workspace(tmp_path / "ws", text)
    refreshed(ws, FIRST)

    class Tuner(FakeTuner):
        def open(self, model: Path, interests: Interests) -> FakePlanner:
            raise AssertionError("no planner is needed")

    record = pipeline.refresh(with_tuner(ws, Tuner()), FIRST.plus(1))
    details = step(record, "inference")
    assert details["changed"] == details["calibration"]["changed"] == details["prompts"] == 0
    assert details["copied"] == details["rows"]
    first, second = (table_of(ws, moment) for moment in (FIRST, FIRST.plus(1)))
    for name in ("successors", "logp", "fingerprints"):
        old, new = (np.load(table.path / "planner" / f"{name}.npy") for table in (first, second))
        np.testing.assert_array_equal(old, new)
    count = [np.load(table.path / "count.npy") for table in (first, second)]
    assert not np.array_equal(*count)  # counts are older by a day


def test_what_was_published_when_changes_no_table(planned: Workspace, tmp_path: Path) -> None:
    eager = copied(planned, tmp_path / "eager")
    for moment in (FIRST, SECOND, FIRST):
        pipeline.refresh(eager, moment, publish=True)
    operations.roll_back(eager, 1)
    shy = copied(planned, tmp_path / "shy")
    pipeline.refresh(shy, SECOND)
    for ws in (eager, shy):
        pipeline.refresh(ws, SECOND.plus(3))
    same_content(eager, shy)


def test_other_settings_of_the_table_are_due_at_once(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    assert pipeline.run(ws, NOW).release == 1
    assert pipeline.run(ws, NOW).release == 1
    text = (ws.root / "freshet.toml").read_text() + '[table]\nblocked = ["1"]\n'
    ws = workspace(ws.root, text)
    assert pipeline.run(ws, NOW).release == 2
    assert pipeline.run(ws, NOW).release == 2


def test_of_two_tables_of_one_moment_the_one_that_served_comes_before(
    counted: Workspace, tmp_path: Path
) -> None:
    ws = copied(counted, tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    text = (ws.root / "freshet.toml").read_text()
    for width in (4, 5):  # two more tables of the moment, which nobody publishes
        pipeline.refresh(workspace(ws.root, text + f"[table]\nwidth = {width}\n"), FIRST)
    ws = workspace(ws.root, text)
    pipeline.refresh(ws, SECOND, publish=True)
    served = ws.releases.get(1).table
    assert table_of(ws, SECOND).manifest["inputs"]["previous"] == served
    pipeline.refresh(ws, SECOND, publish=True)  # the table is current now, and is found again
    assert table_of(ws, SECOND).manifest["inputs"]["previous"] == served


def test_a_refresh_after_another_width_asks_for_everything(planned: Workspace, tmp_path: Path) -> None:
    text = (planned.root / "freshet.toml").read_text().replace("chunk = 4", "chunk = 4\ntop = 3")
    ws = copied(planned, tmp_path / "ws", text)
    details = step(pipeline.refresh(ws, SECOND), "inference")
    assert details["changed"] == details["rows"]


def test_a_moment_in_the_past_moves_current_only_when_told_to(planned: Workspace, tmp_path: Path) -> None:
    ws = copied(planned, tmp_path / "ws")
    assert ws.releases.current() is None
    assert pipeline.refresh(ws, FIRST).release is None
    assert ws.releases.current() is None
    assert pipeline.refresh(ws, FIRST, publish=True).release == 1
    latest = approving(lambda: pipeline.refresh(ws), ws)
    assert latest.release == 2
    assert pipeline.refresh(ws, SECOND).release is None
    assert pipeline.run(ws, NOW, SECOND).outcome == "done"
    current = ws.releases.current()
    assert current is not None
    assert (current.number, current.previous) == (2, 1)


def test_a_moment_after_the_last_event_is_the_present(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    assert pipeline.refresh(ws, SECOND.plus(12)).release == 1


def test_a_publication_that_fails_leaves_the_old_release(
    counted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = copied(counted, tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)

    def no_space(self: Releases, number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Releases, "point_to", no_space)
        with pytest.raises(DiskFull, match="is full"):
            pipeline.refresh(ws)
    record = ws.ledger.records()[-1]
    assert record.outcome == "failed"
    assert record.message.startswith(f"the disk of {ws.root} is full")
    assert "free some space" in record.message
    current = ws.releases.current()
    assert current is not None
    assert current.as_of == str(FIRST)


def test_a_disk_that_is_full_while_a_file_is_read_is_not_told_as_a_bad_file(
    counted: Workspace, tmp_path: Path
) -> None:
    ws = copied(counted, tmp_path / "ws")
    met = InputError(
        "events.csv can't be read: No space left on device", hint="check that the file is complete"
    )
    with pytest.raises(DiskFull), ws.run("import"):
        raise met
    told = ws.ledger.records()[-1].message
    assert "the disk of" in told
    assert "free some space" in told
    assert "check that the file" not in told
    pipeline.refresh(ws)
    current = ws.releases.current()
    assert current is not None
    assert current.as_of != str(FIRST)


def test_a_damaged_table_is_not_published(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    made = table_of(ws, FIRST)
    path = made.path / "successors.npy"
    successors = np.load(path)
    successors[3, 0] = 2  # the row of (2,)
    np.save(path, successors)
    with pytest.raises(ArtifactError, match=r"successors\.npy is damaged"):
        pipeline.refresh(ws, FIRST, publish=True)
    assert ws.releases.current() is None
    (made.folder / "manifest.json").unlink()  # as if it had been made so
    write_manifest("tables", made.version, Draft(made.folder, dict(made.manifest)))
    with pytest.raises(VerificationError, match=r"excluded interest: 1 violations, first in context \(2,\)"):
        pipeline.refresh(ws, FIRST, publish=True)
    assert ws.releases.current() is None


def test_one_bad_prompt_stops_nothing_and_is_asked_again(world: Path, tmp_path: Path) -> None:
    text = settings(world, "fake", FAKE).replace(
        f"count = {INTERESTS}", "count = 18"
    )  # enough rows to be timed
    ws = workspace(tmp_path, text.replace("chunk = 4", "chunk = 100"))
    operations.import_log(ws, NOW)
    bad = with_tuner(ws, ChoosyTuner(refused=(0,)))
    record = approving(lambda: pipeline.refresh(bad, FIRST, publish=True), bad)
    assert step(record, "inference")["failed"] == 1
    assert record.release == 1
    table = current_table(ws)
    assert len(table.look_up((0,)).successors)
    again = pipeline.refresh(ws, FIRST.plus(1))
    assert step(again, "inference")["failed"] == 0


def test_a_rebuild_of_interests_keeps_the_old_release_until_a_refresh(
    counted: Workspace, tmp_path: Path
) -> None:
    ws = copied(counted, tmp_path / "ws")
    pipeline.refresh(ws)
    old = ws.releases.current()
    assert old is not None
    record, known = operations.form_interests(ws, rebuild=True)
    assert record.outcome == "done"
    assert known.interests_version != old.interests
    assert ws.releases.current() == old
    assert len(current_table(ws).look_up((1,)).successors)
    former = ws.store.find("interests", old.interests)
    assert former is not None
    kept = set(known.interests.ids.tolist()) & set(interests.load(former.path).ids.tolist())
    assert len(kept) > INTERESTS / 2  # people who follow an interest by its id find it again
    refreshed_record = pipeline.run(ws, NOW)
    new = ws.releases.current()
    assert new is not None
    assert (refreshed_record.release, new.interests) == (2, known.interests_version)


def test_what_was_rolled_back_is_not_published_again_unasked(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    with pytest.raises(ConfigError, match="no earlier release"):
        operations.roll_back(ws)
    pipeline.refresh(ws, FIRST, publish=True)
    pipeline.refresh(ws)
    tables = [ws.releases.get(number).table for number in (1, 2)]
    assert operations.roll_back(ws).number == 1
    pipeline.run(ws, NOW)
    current = ws.releases.current()
    assert current is not None
    assert current.table == tables[0]
    assert pipeline.run(ws, NOW, publish=True).release == 2  # it serves again under its number
    assert ws.releases.current() == ws.releases.get(2)
    assert ws.releases.get(2).table == tables[1]


def test_configured_lengths_of_time_hold_after_interests_were_built(
    counted: Workspace, tmp_path: Path
) -> None:
    text = (counted.root / "freshet.toml").read_text().replace("window_days = 7", "window_days = 5")
    ws = copied(counted, tmp_path / "ws", text)
    _, known = operations.form_interests(ws, FIRST)
    assert known.scales.window_days == 5
    assert known.scales.half_lives == (1.25, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
    assert len(ws.store.versions("interests")) == 1


def test_a_later_refresh_changes_nothing_about_an_earlier_moment(counted: Workspace, tmp_path: Path) -> None:
    ahead = copied(counted, tmp_path / "ahead")
    pipeline.refresh(ahead, SECOND)
    straight = copied(counted, tmp_path / "straight")
    for ws in (ahead, straight):
        pipeline.refresh(ws, FIRST.plus(3))
    kinds = ("interests", "assignments", "transitions", "tables")
    one, other = content(ahead, kinds), content(straight, kinds)
    assert {name: one[name] for name in other} == other
