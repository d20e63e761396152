"""Trainings begin at the weights of earlier ones, and never at what these must not know."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet import pipeline
from freshet.backends.planners.fake import FakeTuner
from freshet.core.ports import Progress, TuningJob, silent
from freshet.core.types import AsOf, TuningReport
from freshet.privacy.forgetting import forget
from freshet.stages.tuning.lazy_planner import HOLDOUT_MODEL
from freshet.storage import warm_starts
from freshet.storage.artifacts import Artifact
from freshet.storage.manifests import ModelManifest
from freshet.storage.warm_starts import may_follow, share_of_epochs
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, SECOND, approving, copied, settings, with_tuner

THIRD = AsOf.parse("2024-02-26")


class Continuing(FakeTuner):
    """Begins at models made before, and remembers its jobs."""

    def __init__(self) -> None:
        self.jobs: list[TuningJob] = []

    def continues_models(self, mode: str) -> bool:
        return True

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        self.jobs.append(job)
        return super().tune(job, into, progress)


@pytest.fixture
def tuned(
    world: Path, counted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Workspace, Continuing]:
    """Tuned at the first moment; with more epochs over what is new, this short log would begin anew each time."""
    monkeypatch.setattr(warm_starts, "OF_NEW", 1.0)
    monkeypatch.setattr(warm_starts, "LEAST_ROWS", 1)
    monkeypatch.setattr(warm_starts, "LEAST_SHARE", 0.0)
    tuner = Continuing()
    text = settings(world, "fake", FAKE)
    ws = with_tuner(copied(counted, tmp_path / "ws", text), tuner)
    tune(ws, FIRST)
    return ws, tuner


def tune(ws: Workspace, moment: AsOf) -> ModelManifest:
    """Of the model of a moment."""
    approving(lambda: pipeline.finetune(ws, moment), ws)
    return ModelManifest.of(model_of(ws, moment))


def model_of(ws: Workspace, moment: AsOf) -> Artifact:
    """The model of a moment that was made last."""
    found = [ws.store.find("models", version) for version in ws.store.versions("models")]
    return [one for one in found if one is not None and one.manifest["as_of"] == str(moment)][-1]


def test_a_holdout_model_begins_at_the_one_before_and_the_refit_at_its_own(
    tuned: tuple[Workspace, Continuing],
) -> None:
    ws, tuner = tuned
    first = model_of(ws, FIRST)
    assert ModelManifest.of(first).start == ""
    judged, full = tuner.jobs
    assert judged.begin is None
    assert full.begin is not None
    assert full.begin.model.name == HOLDOUT_MODEL
    new = len(full.examples) - len(judged.examples)
    assert full.begin.share == pytest.approx(new / len(full.examples))
    made = tune(ws, SECOND)
    assert (made.start, made.in_a_row) == (first.version, 1)
    _, _, judged, full = tuner.jobs
    assert judged.begin is not None
    assert judged.begin.model == first.path / HOLDOUT_MODEL  # not its refit, which saw what is held out now
    assert 0 < judged.begin.share < 1
    assert full.begin is not None
    assert full.begin.model.name == HOLDOUT_MODEL
    assert full.begin.model != judged.begin.model
    tune(ws, SECOND)
    assert len(tuner.jobs) == 4  # the same again is there


def test_where_a_third_is_new_models_begin_at_the_base(
    tuned: tuple[Workspace, Continuing], monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, tuner = tuned
    monkeypatch.setattr(warm_starts, "OF_NEW", 100.0)
    made = tune(ws, SECOND)
    assert [job.begin for job in tuner.jobs[2:]] == [None, None]
    assert (made.start, made.in_a_row) == (model_of(ws, FIRST).version, 0)
    tune(ws, SECOND)
    assert len(tuner.jobs) == 4


def test_epochs_follow_the_share_of_new_rows_and_few_of_them_begin_anew() -> None:
    learned, day = FIRST, np.full(6_000, FIRST.day_number - 1, np.int32)
    day[-1_200:] += 1
    assert share_of_epochs(day, learned, 4_800) == pytest.approx(0.6)
    assert share_of_epochs(day[-4_999:], learned, 4_800) == 1.0
    assert share_of_epochs(day[:-300], learned, 4_800) == 1.0  # too little is new


def test_what_is_imported_later_is_new_however_old_it_is() -> None:
    day = np.full(6_000, FIRST.day_number - 1, np.int32)
    assert share_of_epochs(day, FIRST, 6_000) == 1.0  # nothing is new
    assert share_of_epochs(day, FIRST, 4_800) == pytest.approx(0.6)
    assert share_of_epochs(day, FIRST, 3_000) >= 1.0  # half of it was never seen


def test_after_so_many_in_a_row_one_begins_anew_and_not_at_the_one_before(
    tuned: tuple[Workspace, Continuing], monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, tuner = tuned
    monkeypatch.setattr(warm_starts, "MOST_IN_A_ROW", 1)
    assert tune(ws, SECOND).in_a_row == 1
    third = tune(ws, THIRD)
    assert (third.start, third.in_a_row) == (
        "",
        0,
    )  # else it would begin at the first, and so would all others
    assert tuner.jobs[4].begin is None


def test_a_damaged_model_stops_no_training_after_it(tuned: tuple[Workspace, Continuing]) -> None:
    ws, tuner = tuned
    first = model_of(ws, FIRST)
    damaged = next(
        path for path in sorted(first.folder.rglob("*")) if path.is_file() and path.parent != first.folder
    )
    damaged.write_bytes(b"other bytes")
    forgetful = replace(ws, store=type(ws.store)(ws.root))  # what was found whole before is looked at again
    made = tune(forgetful, SECOND)
    assert made.start == ""
    assert tuner.jobs[2].begin is None


def test_weights_of_days_that_were_dropped_or_held_back_since_are_not_begun_at(
    tuned: tuple[Workspace, Continuing],
) -> None:
    ws, _ = tuned
    made = ModelManifest.of(model_of(ws, FIRST))
    assert made.screened
    assert may_follow(ws, made, SECOND, made.since)
    assert not may_follow(ws, made, SECOND, "2024-01-31")  # the log begins later now
    assert not may_follow(ws, replace(made, screened=False), SECOND, made.since)


def test_no_model_begins_at_one_of_a_later_moment(tuned: tuple[Workspace, Continuing]) -> None:
    ws, tuner = tuned
    tune(ws, THIRD)
    assert tune(ws, SECOND).start == model_of(ws, FIRST).version
    assert len(tuner.jobs) == 6


def test_a_model_that_was_approved_later_does_not_let_the_same_command_tune_again(
    tuned: tuple[Workspace, Continuing],
) -> None:
    ws, tuner = tuned
    tune(ws, THIRD)
    tune(ws, SECOND)  # from now on it is the newest before the third
    tune(ws, THIRD)
    assert len(tuner.jobs) == 6


def test_after_a_person_was_forgotten_models_begin_anew(tuned: tuple[Workspace, Continuing]) -> None:
    """Weights remember: nothing is begun at those of a model that knew somebody who is forgotten."""
    ws, tuner = tuned
    events = next(iter(sorted((ws.root / "events").rglob("*.parquet"))))
    somebody = pq.read_table(events)["user"][0].as_py()
    assert forget(ws, [somebody], None, datetime(2024, 3, 1, tzinfo=UTC)).clean
    made = tune(ws, SECOND)
    assert made.start == ""
    assert tuner.jobs[2].begin is None
    assert made.forgotten
    assert tune(ws, THIRD).start == model_of(ws, SECOND).version  # which knew only those that are left


def test_where_the_log_drops_days_models_begin_anew(tuned: tuple[Workspace, Continuing]) -> None:
    ws, tuner = tuned
    text = (ws.root / "freshet.toml").read_text() + "[retention]\nevents_days = 400\n"
    (ws.root / "freshet.toml").write_text(text)
    again = with_tuner(replace(ws, config=type(ws.config).model_validate(_with_retention(ws))), tuner)
    assert tune(again, SECOND).start == ""


def _with_retention(ws: Workspace) -> dict[str, object]:
    return ws.config.model_dump() | {"retention": {"events_days": 400}}


def test_a_model_by_other_settings_is_not_begun_at(world: Path, tuned: tuple[Workspace, Continuing]) -> None:
    ws, tuner = tuned
    text = settings(world, "fake", FAKE + "[tuning]\nseed = 5\n")
    other = with_tuner(copied(ws, ws.root.parent / "other", text), tuner)
    assert tune(other, SECOND).start == ""


def test_a_fresh_workspace_begins_anew_and_equal_histories_make_equal_bytes(
    world: Path, counted: Workspace, tuned: tuple[Workspace, Continuing], tmp_path: Path
) -> None:
    ws, _ = tuned
    fresh = with_tuner(copied(counted, tmp_path / "fresh", settings(world, "fake", FAKE)), Continuing())
    assert tune(fresh, SECOND).start == ""
    twin = with_tuner(copied(counted, tmp_path / "twin", settings(world, "fake", FAKE)), Continuing())
    for moment in (FIRST, SECOND):
        tune(twin, moment)
    tune(ws, SECOND)
    assert model_of(twin, SECOND).version == model_of(ws, SECOND).version
    assert model_of(twin, SECOND).version != model_of(fresh, SECOND).version
