"""What ranks items: it learns what histories add to a prior, within the interest, and repeats itself."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from freshet.backends.sequences.recipes import ItemRecipe
from freshet.backends.sequences.trainers import TorchRankingTrainer
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Budget, RankingJob
from freshet.stages.sequence import SequenceModel

torch = pytest.importorskip("torch")

START = np.array([0, 4, 8])
SMALL = ItemRecipe(width=16, inner=16, batch_size=64, most_passes=15.0, learning_rate=1e-2)


def twins(rows: int, seed: int = 0) -> RankingJob:
    """After item i of one interest comes item i of the other, whatever is popular."""
    random = np.random.default_rng(seed)
    last = random.integers(0, 8, rows)
    others = (last + random.integers(1, 4, rows)) % 4 + 4 * (last // 4)
    return RankingJob(
        recent=np.stack([others, last], axis=1).astype(np.int32),
        following=((last + 4) % 8).astype(np.int32),
        moment=random.integers(0, 2, rows),
        user=np.arange(rows) // 3,
        prior=np.tile(np.arange(8, dtype=np.float32) / 4, (2, 1)),
        there=np.ones((2, 8), bool),
        start=START,
        vectors=np.eye(8, dtype=np.float32),
        later=None,
        epochs=15.0,
        budget=Budget(),
        seed=0,
    )


def best_within(weights: object, job: RankingJob) -> np.ndarray:
    model = SequenceModel(weights.sequence)  # type: ignore[attr-defined]
    scores = model.states(job.recent) @ model.weights.embedding.T + job.prior[job.moment]
    first = job.following // 4 * 4
    return first + np.stack([row[a : a + 4] for row, a in zip(scores, first, strict=True)]).argmax(axis=1)


def test_what_histories_say_beyond_popularity_is_learned() -> None:
    weights, report = TorchRankingTrainer(SMALL).train(twins(1200))
    fresh = twins(200, seed=5)
    assert (best_within(weights, fresh) == fresh.following).mean() > 0.95
    assert report.rows == 1200
    assert report.holdout_nll is None


def test_held_out_rows_tell_when_to_stop_and_are_not_learned_from() -> None:
    job = replace(twins(1000), later=np.arange(800, 1000), epochs=0.0)
    _, report = TorchRankingTrainer(SMALL).train(job)
    assert report.rows == 800
    assert report.holdout_nll is not None
    assert report.epochs > 0


def test_an_item_that_was_not_there_is_no_candidate() -> None:
    job = twins(600)
    gone = replace(job, there=np.array([[True] * 7 + [False]] * 2))
    weights, _ = TorchRankingTrainer(SMALL).train(gone)  # item 7 follows all the same, where it is the target
    assert np.isfinite(weights.sequence.embedding).all()


def test_new_items_are_embedded_by_their_vectors() -> None:
    job = twins(400)
    weights, _ = TorchRankingTrainer(replace(SMALL, unlearned=1.0, weight_decay=0.0)).train(job)
    made = job.vectors @ weights.project + weights.offset
    learned = weights.sequence.embedding - made  # never used, so as random as at first
    assert np.abs(learned).max() < 0.5
    assert np.abs(made).max() > np.abs(learned).mean()


@pytest.mark.parametrize("unlearned", [0.0, 0.5])
@pytest.mark.parametrize("seed", [0, -1])
def test_a_training_repeats_itself_whatever_was_drawn_before(unlearned: float, seed: int) -> None:
    job = replace(twins(300), epochs=2.0, seed=seed)
    trainer = TorchRankingTrainer(replace(SMALL, unlearned=unlearned))
    one, _, other = trainer.train(job)[0], torch.rand(7), trainer.train(job)[0]
    for a, b in zip(astuple(one.sequence), astuple(other.sequence), strict=True):
        np.testing.assert_array_equal(a, b)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(NotEnoughData, match="too few for a ranker"):
        TorchRankingTrainer(SMALL).train(twins(20))
