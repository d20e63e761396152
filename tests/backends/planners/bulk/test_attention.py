"""Attention to shared stretches against attention written out token by token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from freshet.backends.planners.bulk.attention import Grid, Pass, Stretch  # noqa: E402

HEADS, EACH, WIDTH = 2, 3, 4


def made(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32))


def stretch(rng: np.random.Generator, lengths: np.ndarray) -> tuple[Stretch, list]:
    """A stretch of so many tokens for each of n, and its real keys and values one by one."""
    grid = Grid.of(lengths, torch.device("cpu"))
    keys = made(rng, HEADS, len(lengths), grid.width, WIDTH)
    values = made(rng, HEADS, len(lengths), grid.width, WIDTH)
    real = [(keys[:, i, :length], values[:, i, :length]) for i, length in enumerate(lengths)]
    return Stretch([keys], [values], grid.hidden), real


def expected(query, key, value, lengths, seen, scale: float) -> torch.Tensor:
    """(tokens, heads * each, width): every token looks at its stretches, then at its row so far."""
    out, at = torch.zeros(query.shape[1], HEADS * EACH, WIDTH), 0
    for row, length in enumerate(lengths):
        for step in range(length):
            keys = [part[row * len(part) // len(lengths)][0] for part in seen] + [key[:, at : at + step + 1]]
            values = [part[row * len(part) // len(lengths)][1] for part in seen] + [
                value[:, at : at + step + 1]
            ]
            for head in range(HEADS * EACH):
                mine = torch.cat(keys, 1)[head // EACH].double()
                weight = (mine @ query[head, at + step].double() * scale).softmax(0)
                out[at + step, head] = (weight[:, None] * torch.cat(values, 1)[head // EACH].double()).sum(0)
        at += length
    return out


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 4), max_size=2),
    st.integers(1, 3),
    st.sampled_from([1, 3, 17]),
)
def test_equals_attention_written_out(seed: int, groups: list[int], places: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(np.prod(groups)) * places
    lengths = rng.integers(0, longest + 1, rows)
    lengths[rng.integers(rows)] = longest
    parts = [stretch(rng, rng.integers(0, 4, int(np.prod(groups[: i + 1])))) for i in range(len(groups))]
    tokens, scale = int(lengths.sum()), 0.7
    query = made(rng, HEADS * EACH, tokens, WIDTH)
    key, value = made(rng, HEADS, tokens, WIDTH), made(rng, HEADS, tokens, WIDTH)
    current = Pass(Grid.of(lengths, torch.device("cpu")), [part for part, _ in parts])
    found = current.attend(query, key, value, scale)
    assert torch.allclose(
        found, expected(query, key, value, lengths, [real for _, real in parts], scale), atol=1e-5
    )


@given(st.integers(0, 10_000))
def test_joined_stretches_are_the_stretches(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [stretch(rng, rng.integers(1, 5, rng.integers(1, 4))) for _ in range(3)]
    joined = Stretch.join([part for part, _ in parts])
    real = [pair for _, pairs in parts for pair in pairs]
    for i, (keys, values) in enumerate(real):
        length = keys.shape[1]
        assert torch.equal(joined.keys[0][:, i, :length], keys)
        assert torch.equal(joined.values[0][:, i, :length], values)
        if joined.hidden is not None:
            assert (joined.hidden[i, :, 0] == 0).sum() == length
