"""The torch trainer: its network is the frozen model, it learns, and it repeats itself."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from freshet.backends.planners import libraries as extras
from freshet.backends.sequences.recipes import Recipe
from freshet.backends.sequences.trainers import TorchSequenceTrainer
from freshet.core.errors import MissingExtra, NotEnoughData
from freshet.core.ports import Budget, SequenceJob, Sequences
from freshet.core.types import SequenceWeights
from freshet.stages.sequence import SequenceModel

torch = pytest.importorskip("torch")

THINGS, RECENT = 8, 4
SMALL = Recipe(width=16, inner=16, batch_size=32, most_passes=12.0, learning_rate=1e-2)


def chain(rows: int, seed: int = 0) -> Sequences:
    """After a and then b comes the thing before a, whatever was earlier: the last alone tells nothing."""
    random = np.random.default_rng(seed)
    recent = np.full((rows, RECENT), -1, np.int16)
    following = np.zeros(rows, np.int16)
    for row in range(rows):
        length = int(random.integers(2, RECENT + 1))
        first = int(random.integers(THINGS))
        others = random.permutation([t for t in range(THINGS) if t not in (first, (first - 1) % THINGS)])
        recent[row, -length:] = [*others[: length - 2], first, others[-1]]
        following[row] = (first - 1) % THINGS
    known = np.zeros((rows, THINGS), bool)
    for row in range(rows):
        known[row, recent[row][recent[row] >= 0]] = True
    prior = np.log(random.dirichlet(np.ones(THINGS), (3, 2))).astype(np.float32)
    user, day = np.arange(rows) // 3, np.arange(rows, dtype=np.int32) // 10
    return Sequences(recent, following, known, prior, random.integers(0, 3, rows), user, day)


def job(
    sequences: Sequences, epochs: float = 0.0, seed: int = 0, budget: Budget | None = None
) -> SequenceJob:
    """For so many epochs; 0 = until the last fifth of the rows gains no more."""
    vectors, rows = np.random.default_rng(1).normal(size=(THINGS, 5)).astype(np.float32), len(sequences)
    later = None if epochs else np.arange(rows - rows // 5, rows)
    return SequenceJob(sequences, vectors, later, epochs, budget or Budget(), seed)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_frozen_model_computes_what_was_trained(layers: int) -> None:
    from freshet.backends.sequences.network_training import Training
    from freshet.backends.sequences.rows import Rows

    sequences = chain(300)
    rows, recipe = Rows(sequences), replace(SMALL, layers=layers)
    training = Training(recipe, job(sequences), rows, lambda done, total: None)
    network = training.for_epochs(2.0)
    with torch.no_grad():
        wanted = network(rows.recent, rows.prior, rows.moment).numpy()
    model = SequenceModel(network.frozen())
    for moment in range(3):
        rows = sequences.moment == moment
        logits = model.logits(sequences.recent[rows], sequences.prior[moment])
        new = ~sequences.known[rows]
        np.testing.assert_allclose(logits[new], wanted[rows][new], rtol=1e-5, atol=1e-5)


def test_what_only_the_order_tells_is_learned() -> None:
    weights, report = TorchSequenceTrainer(SMALL).train(job(chain(1500)))
    fresh = chain(200, seed=9)
    logits = SequenceModel(weights).logits(fresh.recent, fresh.prior[0])
    best = np.where(fresh.known, -np.inf, logits).argmax(axis=1)
    assert (best == fresh.following).mean() > 0.9
    assert report.rows == 1200
    assert report.ended in ("no gain", "budget")
    assert report.noise is not None
    assert report.noise > 0
    assert report.holdout_nll is not None
    assert report.holdout_nll < 1.0
    assert 0 < report.epochs <= 12
    assert report.usage.tokens > 1500
    assert report.usage.flops > report.usage.tokens


def test_equal_jobs_give_equal_weights_and_seeds_differ() -> None:
    trainer = TorchSequenceTrainer(SMALL)
    before = torch.random.get_rng_state()
    one, _ = trainer.train(job(chain(200), epochs=2.0))
    again, _ = trainer.train(job(chain(200), epochs=2.0))
    other, report = trainer.train(job(chain(200), epochs=2.0, seed=1))
    for a, b in zip(astuple(one), astuple(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.embedding, other.embedding)
    assert (report.epochs, report.holdout_nll, report.ended) == (2.0, None, "epochs")
    assert torch.equal(torch.random.get_rng_state(), before)  # nobody else's random numbers were used up


def test_a_network_takes_up_frozen_weights() -> None:
    from freshet.backends.sequences.network import Network
    from freshet.backends.sequences.rows import Rows

    before, _ = TorchSequenceTrainer(SMALL).train(job(chain(300), epochs=3.0))
    network = Network(Rows(chain(300)).shape(SMALL), job(chain(50)).vectors)
    network.begin_at(before)
    for mine, given in zip(astuple(network.frozen()), astuple(before), strict=True):
        np.testing.assert_allclose(mine, given, atol=1e-5)
    share = network.learned.norm() / torch.from_numpy(before.embedding).norm()
    assert share < 0.9  # the projection says what it can: of new things it is all there is


def test_what_begins_at_weights_that_know_goes_on_from_what_they_know() -> None:
    trainer = TorchSequenceTrainer(SMALL)
    before, _ = trainer.train(job(chain(1500), epochs=8.0))
    fresh, few = chain(300, seed=9), chain(300, seed=3)

    def right(begin: SequenceWeights | None) -> float:
        weights, report = trainer.train(replace(job(few, epochs=0.5), begin=begin))
        assert report.steps == 5
        logits = SequenceModel(weights).logits(fresh.recent, fresh.prior[0])
        best = np.where(fresh.known, -np.inf, logits).argmax(axis=1)
        return float((best == fresh.following).mean())

    assert right(before) > 0.9
    assert right(None) < 0.5


def test_what_is_known_takes_no_part_in_the_loss() -> None:
    """What is known could not have come next: it is not learned to be unlikely."""
    sequences = chain(400)
    weights, _ = TorchSequenceTrainer(SMALL).train(job(sequences, epochs=1.0))
    all_known = replace(sequences, known=np.ones_like(sequences.known))
    all_known.known[np.arange(400), all_known.following] = False
    unmoved, _ = TorchSequenceTrainer(replace(SMALL, weight_decay=0.0)).train(job(all_known, epochs=1.0))
    np.testing.assert_array_equal(unmoved.bias, np.zeros(THINGS, np.float32))
    assert np.abs(weights.bias).max() > 0


def test_too_little_to_learn_from_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="10 sequences are too few"):
        TorchSequenceTrainer().train(job(chain(10)))


def test_a_missing_torch_is_told_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="torch not installed") as error:
        TorchSequenceTrainer().train(job(chain(100)))
    assert "freshet[local]" in error.value.hint
    assert "[sequence] use = false" in error.value.hint
