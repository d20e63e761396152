"""The forward pass of the frozen model against a plain reading of its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.stages.sequence import SequenceModel, read, write
from tests.stages.sequence.worlds import histories, random_model

PRIOR = np.log(np.array([[0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1], [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]]))


def norm(x: np.ndarray, scale_and_shift: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * scale_and_shift[0] + scale_and_shift[1]


def by_definition(model: SequenceModel, recent: tuple[int, ...]) -> np.ndarray:
    """Logits of one history, position by position and head by head."""
    w = model.weights
    beforehand = w.bias + w.prior @ PRIOR
    if not recent:
        return beforehand
    stream = [
        w.embedding[thing] + w.position[len(w.position) - len(recent) + i] for i, thing in enumerate(recent)
    ]
    for layer in range(len(w.inner)):
        normed = [norm(x, w.attention_norm[layer]) for x in stream]
        after = []
        for i in range(len(stream)):
            heads = []
            for head in range(w.attention.shape[3]):
                query, key, value = (w.attention[layer, part, :, head] for part in range(3))
                scores = np.array([(normed[i] @ query) @ (normed[j] @ key) for j in range(i + 1)])
                shares = np.exp(scores / np.sqrt(query.shape[1]))
                shares /= shares.sum()
                heads.append(sum(s * (normed[j] @ value) for j, s in enumerate(shares)))
            x = stream[i] + np.concatenate(heads) @ w.attended[layer]
            inner = np.maximum(norm(x, w.forward_norm[layer]) @ w.inner[layer] + w.inner_bias[layer], 0)
            after.append(x + inner @ w.outer[layer] + w.outer_bias[layer])
        stream = after
    return norm(stream[-1], w.norm) @ w.embedding.T + beforehand


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_logits_follow_their_definition(layers: int) -> None:
    model = random_model(layers, layers=layers)
    recent = [(3,), (), (0, 1), (6, 5, 4, 3, 2), (2, 4, 1)]
    wanted = np.stack([by_definition(model, history) for history in recent])
    np.testing.assert_allclose(model.logits(histories(*recent), PRIOR), wanted, rtol=1e-4, atol=1e-4)


@given(st.lists(st.permutations(range(7)).map(lambda p: tuple(p[: p[0] % 6])), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_a_user_is_read_alike_alone_and_among_others(recent: list[tuple[int, ...]]) -> None:
    model = random_model()
    together = model.logits(histories(*recent), PRIOR)
    alone = [model.logits(histories(history, width=len(history) or 1), PRIOR)[0] for history in recent]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-4, atol=1e-5)


@given(st.permutations(range(7)), st.integers(0, 7), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_one_user_compiled_is_the_row_of_many(order: list[int], length: int, layers: int) -> None:
    model = random_model(layers, layers=layers)
    recent = np.array(order[:length], np.int32)
    row = model.states(histories(tuple(order[:length]), width=length or 1))[0]
    np.testing.assert_allclose(model.state_of(recent), row, rtol=1e-4, atol=1e-5)


def test_what_came_longer_ago_than_the_model_reads_is_left_out() -> None:
    model = random_model()
    long = model.logits(histories((6, 5, 4, 3, 2, 1), width=8), PRIOR)
    np.testing.assert_array_equal(long, model.logits(histories((5, 4, 3, 2, 1)), PRIOR))


def test_the_order_of_a_history_matters() -> None:
    model = random_model()
    one, other = model.logits(histories((1, 2), (2, 1)), PRIOR)
    assert np.abs(one - other).max() > 0.01


def test_many_users_are_read_in_blocks() -> None:
    model = random_model()
    random = np.random.default_rng(0)
    many = random.integers(0, 7, (5000, 5)).astype(np.int16)
    at_once = model.states(many)
    np.testing.assert_allclose(at_once[4000:4010], model.states(many[4000:4010]), rtol=1e-4, atol=1e-5)


def test_a_model_is_read_as_it_was_written_without_any_pickle(tmp_path: Path) -> None:
    model = random_model()
    write(model, tmp_path / "model")
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".npy"}
    again = read(tmp_path / "model")
    recent = histories((1, 2), (4,))
    np.testing.assert_array_equal(again.logits(recent, PRIOR), model.logits(recent, PRIOR))
