"""What counts are fitted on: held-out windows cut at refreshes, judged in folds that nothing was fitted on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet import operations, pipeline
from freshet.core.types import PlannerRows, Transitions
from freshet.pipeline import snapshot_of
from freshet.run_context import LogSnapshot
from freshet.stages import counts
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.stages.table.format import open_popularity, open_scorer
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, NOW, SECOND, copied, settings, workspace


@pytest.fixture(scope="module")
def known(world: Path, tmp_path_factory: pytest.TempPathFactory) -> LogSnapshot:
    ws = workspace(tmp_path_factory.mktemp("counting"), settings(world))
    operations.import_log(ws, NOW)
    with ws.run("look") as run:
        return snapshot_of(ws, run, SECOND)


@pytest.mark.parametrize("every", [1, 2, 3, 7, 9, 30])
def test_stretches_hold_each_held_out_transition_once_after_its_refresh(
    known: LogSnapshot, every: int
) -> None:
    counting = CountFitter(known, 2, 20_000, every)
    for number, window in enumerate(counting.holdout.windows):
        parts = [part for part in counting.holdout.stretches if part.window == number]
        assert np.sort(np.concatenate([part.rows for part in parts])).tolist() == [*range(len(window.held))]
        for part in parts:
            age = part.held.day - part.start.day_number
            assert age.min() >= 0  # counted before what it is judged on
            assert age.max() < counting.holdout.stretch_days  # and no older than tables get
    assert counting.holdout.stretch_days == max(every, 2)  # a window of seven days has four stretches at most


def test_counts_of_a_stretch_are_those_before_it(known: LogSnapshot) -> None:
    counting = CountFitter(known, 2, 20_000, 2)
    for part in counting.holdout.stretches[:3]:
        whole = counting.model(part.start).features(part.held.recent)
        np.testing.assert_allclose(counting.scorer_of(part).model.features(part.held.recent), whole)


def test_what_is_fused_is_judged_where_its_counts_were_not_fitted(known: LogSnapshot) -> None:
    """Other successors in one fold change the weights that the other folds are judged with, never its own."""
    counting = CountFitter(known, 2, 20_000, 2)
    assert len(set(counting.folds)) > 1
    altered = CountFitter(known, 2, 20_000, 2)
    fold = counting.folds[-1]
    altered.holdout.__dict__["windows"] = [
        replace(window, held=_shuffled(window.held)) if of == fold else window
        for window, of in zip(counting.holdout.windows, counting.folds, strict=True)
    ]
    for one, (before, after) in enumerate(zip(counting.fits, altered.fits, strict=True)):
        assert np.array_equal(before.weights, after.weights) == (one == fold)
    assert not np.array_equal(counting.count_weights, altered.count_weights)


def test_folds_that_share_features_and_likelihoods_are_as_if_each_were_alone(known: LogSnapshot) -> None:
    counting = CountFitter(known, 2, 20_000, 2)
    _ = counting.fit
    assert len(counting.fits) == len(set(counting.folds)) > 1
    for fold, found in enumerate(counting.fits):
        others = [number for number, of in enumerate(counting.folds) if of != fold]
        alone = CountFitter(known, 2, 20_000, 2)._fits.on(others)
        assert (found.half_life, found.prior_counts) == (alone.half_life, alone.prior_counts)
        assert np.array_equal(found.weights, alone.weights)


def _shuffled(held: Transitions) -> Transitions:
    """Everybody took up something else that was new to them."""
    rng = np.random.default_rng(0)
    new = np.where(held.known, -1.0, rng.random(held.known.shape))
    return replace(held, successor=new.argmax(axis=1).astype(np.int16))


def test_a_planner_that_knows_nothing_has_no_place_beside_the_counts(known: LogSnapshot) -> None:
    counting = CountFitter(known, 2, 20_000, 2)
    size = len(known.interests)
    contexts = np.array([[a, b] for a in range(-1, size) for b in range(size) if a != b], np.int16)
    answered, rng = [], np.random.default_rng(0)
    for window in counting.holdout.windows:
        logp = np.log(rng.dirichlet(np.ones(size), len(contexts)))
        order = np.argsort(-logp, axis=1, kind="stable")
        rows = PlannerRows(
            contexts,
            np.zeros((len(contexts), 16), np.uint8),
            order.astype(np.int16),
            np.take_along_axis(logp, order, axis=1).astype(np.float32),
            np.zeros(len(contexts), np.int32),
            ("t",),
        )
        answered.append((replace(window, held=window.held.with_context()), rows))
    fusion = counting.fuse(answered)
    assert fusion is not None
    assert fusion.used is None
    assert fusion.margin is not None
    assert fusion.margin[2] > 0  # no gain is shown


def test_the_half_life_of_transitions_is_one_that_held_out_transitions_prefer(known: LogSnapshot) -> None:
    counting = CountFitter(known, 2, 20_000, 2)
    tried = known.scales.transition_half_lives

    def likelihood(half_life: float) -> float:
        return counts.likelihood_after_last(
            [counting.counts.held_out(part, half_life, 1) for part in counting.holdout.stretches]
        )

    assert counting.fit.half_life == max(tried, key=likelihood)


def test_weights_hang_on_how_old_counts_get(counted: Workspace, tmp_path: Path) -> None:
    """A table made for a slower cadence is another table."""
    text = (counted.root / "freshet.toml").read_text() + "[schedule]\nrefresh_days = 7\n"
    slower = copied(counted, tmp_path / "slower", text)
    before = len(slower.store.versions("tables"))
    pipeline.refresh(slower, FIRST, publish=True)
    assert len(slower.store.versions("tables")) == before + 1


def test_popularity_by_itself_is_offered_at_its_best_half_life(counted: Workspace, tmp_path: Path) -> None:
    """A baseline at its best: not the steady popularity that transitions are shrunk to."""
    ws = copied(counted, tmp_path / "ws")
    with ws.run("look") as run:
        known = snapshot_of(ws, run, FIRST)
    counting = fitter_for(ws.config, known)

    def nats(place: int) -> float:
        total = 0.0
        for part in counting.holdout.stretches:
            share = counting.model(part.start).popularity[place]
            logp = counts.log_softmax(np.broadcast_to(share, part.held.known.shape), part.held.known)
            total += float(logp[np.arange(len(part.held)), part.held.successor].sum())
        return total

    assert counting.popular == max(range(len(known.scales.half_lives)), key=nats)
    pipeline.refresh(ws, FIRST, publish=True)
    current = ws.releases.current()
    assert current is not None
    made = ws.store.find("tables", current.table)
    assert made is not None
    scorer = open_scorer(made, len(known.interests))
    offered = open_popularity(made, scorer)
    np.testing.assert_allclose(offered, np.exp(counting.model(FIRST).popularity[counting.popular]))
