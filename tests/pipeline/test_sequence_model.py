"""The sequence model in the loop: trained at its cadence, honest about time, and part of the table that uses it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet import operations, pipeline
from freshet.backends.sequences.recipes import Recipe
from freshet.backends.sequences.trainers import TorchSequenceTrainer
from freshet.core.ports import Progress, SequenceJob, SequenceReport, silent
from freshet.core.types import RECENT, AsOf, SequenceWeights
from freshet.pipeline import snapshot_of
from freshet.privacy.forgetting import forget
from freshet.run_context import RunContext
from freshet.simulator import generate
from freshet.stages import sequence
from freshet.stages.counts import log_softmax
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.sequence import step as sequencing
from freshet.stages.table.format import open_scorer
from freshet.storage import warm_starts
from freshet.storage.artifacts import Artifact
from freshet.storage.workspace import Workspace
from tests.pipeline.world import (
    FAKE,
    FIRST,
    NOW,
    SECOND,
    WORLD,
    approving,
    copied,
    settings,
    size_of,
    workspace,
)

pytest.importorskip("torch")
USE = "\n[sequence]\nuse = true\n"


class Watched(TorchSequenceTrainer):
    """A quick trainer that remembers its jobs."""

    def __init__(self) -> None:
        super().__init__(Recipe(width=16, inner=16, most_passes=30.0, learning_rate=1e-2))
        self.jobs: list[SequenceJob] = []

    def train(self, job: SequenceJob, progress: Progress = silent) -> tuple[SequenceWeights, SequenceReport]:
        self.jobs.append(job)
        return super().train(job, progress)


def with_sequences(
    ws: Workspace, root: Path, world: Path, kind: str = "counts", extra: str = ""
) -> tuple[Workspace, Watched]:
    """A copy of a workspace whose mixture may use a sequence score."""
    trainer = Watched()
    return replace(copied(ws, root, settings(world, kind, extra + USE)), sequencer=trainer), trainer


def only(ws: Workspace) -> Artifact:
    (version,) = ws.store.versions("sequences")
    found = ws.store.find("sequences", version)
    assert found is not None
    return found


def newest_of(ws: Workspace) -> Artifact:
    """The sequence model that was made last."""
    found = ws.store.find("sequences", ws.store.versions("sequences")[-1])
    assert found is not None
    return found


def last_table(ws: Workspace, as_of: AsOf) -> Artifact:
    """The table of a moment that was made last."""
    found = [ws.store.find("tables", version) for version in ws.store.versions("tables")]
    return [a for a in found if a is not None and a.manifest["as_of"] == str(as_of)][-1]


@pytest.fixture(scope="module")
def sequenced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Watched]:
    """Counts and sequence model, refreshed at both moments, of enough people for the model to tell something.

    The counts forget within hours what follows what, so that there is something left to tell.
    """
    root, trainer = tmp_path_factory.mktemp("sequenced"), Watched()
    generate(replace(WORLD, users=600, drift="static"), root / "world")
    text = settings(root / "world", "counts", USE)
    text = text.replace("[counts]", "[counts]\ntransition_half_life = 0.1")
    ws = replace(workspace(root / "ws", text), sequencer=trainer)
    operations.import_log(ws, NOW)
    for moment in (FIRST, SECOND):
        pipeline.refresh(ws, moment, publish=True)
    return ws, trainer


def test_early_weights_learn_before_the_held_out_windows_and_full_ones_from_everything(
    sequenced: tuple[Workspace, Watched],
) -> None:
    ws, trainer = sequenced
    search, early, full = trainer.jobs
    with ws.run("look") as run:
        known = snapshot_of(ws, run, FIRST)
        counting = CountFitter(known, 2, 20_000, 3)
        before = known.transitions.between(AsOf.parse("2024-01-01"), counting.holdout.start).with_context()
        everything = known.transitions.between(AsOf.parse("2024-01-01"), FIRST).with_context()
    assert len(early.sequences) < len(before)  # the first days, in which all is novel, are left out
    rows = len(before) - len(early.sequences)
    np.testing.assert_array_equal(early.sequences.following, before.successor[rows:])
    np.testing.assert_array_equal(full.sequences.following, everything.successor[rows:])
    assert search.later is not None
    assert search.later.tolist() == list(range(len(early) - len(early) // 5, len(early)))  # the last in time
    np.testing.assert_array_equal(search.sequences.following, early.sequences.following)
    assert early.epochs == only(ws).manifest["passes"] > 0


def test_where_much_is_new_weights_are_random_and_why_trainings_ended_is_told(
    sequenced: tuple[Workspace, Watched],
) -> None:
    ws, trainer = sequenced
    _, early, full = trainer.jobs
    assert len(full) > 1.5 * len(early)  # more than a third is new
    assert full.begin is None
    assert full.epochs == early.epochs
    told = only(ws).manifest["trainings"]
    assert told["search"]["ended"] in ("no gain", "budget")
    assert told["search"]["nll"] > 0
    assert (told["early"]["ended"], told["full"]["ended"]) == ("epochs", "epochs")


def test_a_young_model_that_knows_somebody_who_was_forgotten_is_trained_anew(
    sequenced: tuple[Workspace, Watched], tmp_path: Path
) -> None:
    ws, _ = sequenced
    again = Watched()
    text = (ws.root / "freshet.toml").read_text()
    left = replace(copied(ws, tmp_path / "ws", text), sequencer=again)
    somebody = pq.read_table(next(iter(sorted((left.root / "events").rglob("*.parquet")))))["user"][0].as_py()
    assert forget(left, [somebody], None, datetime(2024, 3, 1, tzinfo=UTC)).clean
    pipeline.refresh(left, SECOND, publish=True)
    assert [job.begin for job in again.jobs[:2]] == [None, None]  # search and early: not at what knew them
    assert len(again.jobs) == 3
    pipeline.refresh(left, SECOND, publish=True)
    assert len(again.jobs) == 3  # once


def test_a_young_model_serves_later_refreshes_and_an_old_one_is_trained_anew(
    sequenced: tuple[Workspace, Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, trainer = sequenced
    assert len(trainer.jobs) == 3  # once
    assert only(ws).manifest["as_of"] == str(FIRST)
    for moment in (FIRST, SECOND):
        assert last_table(ws, moment).manifest["inputs"]["sequence"] == only(ws).version
    text = (ws.root / "freshet.toml").read_text() + "[tuning]\nevery_days = 7\n"
    again = Watched()
    monkeypatch.setattr(warm_starts, "OF_NEW", 1.0)  # with 3, this short log begins anew each time
    monkeypatch.setattr(warm_starts, "LEAST_ROWS", 1)
    monkeypatch.setattr(warm_starts, "LEAST_SHARE", 0.0)
    older = replace(copied(ws, tmp_path / "ws", text), sequencer=again)
    pipeline.refresh(older, SECOND, publish=True)
    early, full = again.jobs  # no search: it begins at the early weights of the one before
    before = sequencing.open_model(only(ws), "early").weights
    assert early.begin is not None
    np.testing.assert_array_equal(early.begin.embedding, before.embedding)
    passes, learned = only(ws).manifest["passes"], AsOf.parse(only(ws).manifest["trained_before"]["early"])
    new = (early.sequences.day >= learned.day_number).mean()
    assert 0 < new < 1
    assert early.epochs == pytest.approx(passes * new)
    assert full.begin is not None
    own = sequencing.open_model(newest_of(older), "early").weights
    np.testing.assert_array_equal(full.begin.embedding, own.embedding)
    assert full.epochs == pytest.approx(passes * (1 - len(early) / len(full)))  # of the same first day
    made = newest_of(older)
    assert (made.manifest["start"], made.manifest["in_a_row"]) == (only(ws).version, 1)
    assert made.manifest["passes"] == only(ws).manifest["passes"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"forgotten": "somebody"}, "it knew a person who is forgotten"),
        ({"since": "2023-12-01"}, "it knew days that the log has dropped"),
        ({"screened": False}, "it knew what is held back now"),
        ({"passes": 0.0}, "it learned nothing"),
        ({"trained_before": {"early": "2024-02-11", "full": "2024-02-12"}}, "it saw what is held out"),
        ({"as_of": "2024-02-26"}, "it is of a later moment"),
        ({"settings": {}}, "it was made otherwise"),
    ],
)
def test_a_model_that_must_not_be_begun_at_is_not(
    sequenced: tuple[Workspace, Watched], tmp_path: Path, change: dict[str, object], why: str
) -> None:
    trainer = Watched()
    ws = replace(copied(sequenced[0], tmp_path / "ws"), sequencer=trainer)
    with ws.run("look") as run:
        known = snapshot_of(ws, run, SECOND)
        ctx = RunContext(ws, run, known, CountFitter(known, 2, 20_000, 3))
        earlier = only(ws)
        assert sequencing.may_begin_at(ctx, earlier)
        other = replace(earlier, manifest=earlier.manifest | change)
        assert not sequencing.may_begin_at(ctx, other), why


def test_popularity_is_counted_before_the_window_of_each_row(sequenced: tuple[Workspace, Watched]) -> None:
    ws, trainer = sequenced
    job = trainer.jobs[0].sequences
    with ws.run("look") as run:
        known = snapshot_of(ws, run, FIRST)
        counting = CountFitter(known, 2, 20_000, 3)
    assert job.prior.shape[1:] == (7, len(known.interests))
    latest = counting.holdout.start.day_number - 1  # when the last example happened, at the latest
    refresh = AsOf.from_day_number(latest // counting.holdout.stretch_days * counting.holdout.stretch_days)
    np.testing.assert_allclose(job.prior[-1], counting.model(refresh).popularity, rtol=1e-5)
    assert (np.diff(job.moment) >= 0).all()


def test_the_table_holds_what_it_needs_to_be_scored(
    sequenced: tuple[Workspace, Watched], tmp_path: Path
) -> None:
    ws = copied(sequenced[0], tmp_path / "ws")
    made = last_table(ws, SECOND)
    stored = json.loads((made.path / "mixture.json").read_text())
    used = stored["fused"] is not None and "sequence" in stored["fused"]
    assert used
    assert (made.path / "sequence").exists()
    assert set(stored["sequence"]) == {"weight", "low", "high"}
    assert stored["planner_margin"] is None
    shutil.rmtree(ws.root / "sequences")  # the table doesn't need it
    size = size_of(made)
    scorer = open_scorer(made, size)
    contexts = np.load(made.path / "contexts.npy")
    excluded = np.zeros((len(contexts), size), bool)
    for row, context in zip(excluded, contexts, strict=True):
        row[context[context >= 0]] = True
    scores = scorer(contexts, excluded)
    ranked = np.load(made.path / "successors.npy").astype(int)
    fused = np.load(made.path / "fused.npy")
    offered = ranked >= 0
    again = np.take_along_axis(scores.fused, ranked, axis=1)
    np.testing.assert_allclose(fused[offered], again[offered], rtol=1e-5)
    assert scores.sequence is not None


def test_the_planner_is_judged_beside_the_sequence_score(
    world: Path, planned: Workspace, tmp_path: Path
) -> None:
    ws, _ = with_sequences(planned, tmp_path / "ws", world, "fake", FAKE)
    approving(lambda: pipeline.refresh(ws, SECOND, publish=True), ws)
    stored = json.loads((last_table(ws, SECOND).path / "mixture.json").read_text())
    assert set(stored["planner_margin"]) == {"nll", "low", "high"}
    assert set(stored["planner"]) == set(stored["sequence"]) == {"weight", "low", "high"}


def test_without_the_option_nothing_changes(counted: Workspace, world: Path, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    (version,) = ws.store.versions("tables")
    pipeline.refresh(ws, FIRST)
    assert ws.store.versions("tables") == [version]
    assert ws.store.versions("sequences") == []
    assert "sequence" not in json.loads((last_table(ws, FIRST).path / "mixture.json").read_text())


def test_the_score_alone_ranks_users_by_the_model_and_newcomers_by_counts(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    ws, _ = with_sequences(counted, tmp_path / "ws", world)
    with ws.run("look") as run:
        known = snapshot_of(ws, run, FIRST)
        counting = CountFitter(known, 2, 20_000, 3)
        model = sequencing.open_model(sequencing.train(RunContext(ws, run, known, counting)))
    size = len(known.interests)
    recent = np.full((2, RECENT), -1, np.int16)
    recent[0, -3:] = [2, 0, 1]
    excluded = np.zeros((2, size), bool)
    excluded[0, :3] = True
    scorer = sequencing.sequence_scorer(counting, model)
    scores = scorer(recent, excluded)
    popularity = counting.model(FIRST).popularity
    wanted = log_softmax(model.logits(recent, popularity).astype(np.float64), excluded)
    np.testing.assert_allclose(scores.fused[0], wanted[0], rtol=1e-5)
    np.testing.assert_allclose(scores.fused[1], scores.count[1])
    assert isinstance(model, sequence.SequenceModel)


def test_too_little_to_learn_from_leaves_the_mixture_as_it_is(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    ws, trainer = with_sequences(counted, tmp_path / "ws", world)
    early = AsOf.parse("2024-01-10")
    said: list[str] = []
    with ws.run("look") as run:
        run.say = said.append  # type: ignore[method-assign]
        known = snapshot_of(ws, run, early)
        assert sequencing.for_mixture(RunContext(ws, run, known, CountFitter(known, 2, 20_000, 3))) is None
    assert "the mixture goes without" in said[-1]
    assert trainer.jobs == [] or len(trainer.jobs[0].sequences) < 50
