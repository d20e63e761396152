"""Compiled attention against attention written out token by token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from freshet.backends.planners.bulk.compiled_attention import Arena, RaggedPass  # noqa: E402

KEY_HEADS = 2


def made(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32))


def filled(rng: np.random.Generator, tokens: int, width: int, value_width: int) -> Arena:
    """An arena in which so many tokens were read."""
    arena = Arena(tokens)
    current = RaggedPass.of(arena, np.array([tokens]), np.empty((1, 0, 2), np.int64))
    query, key = made(rng, KEY_HEADS, tokens, width), made(rng, KEY_HEADS, tokens, width)
    current.attend(query, key, made(rng, KEY_HEADS, tokens, value_width), 1.0)
    arena.used = tokens
    return arena


def spans_within(rng: np.random.Generator, rows: int, each: int, tokens: int) -> np.ndarray:
    """(rows, each, 2), some of them empty, neighbours often alike."""
    spans = np.sort(rng.integers(0, tokens + 1, (rows, each, 2)), axis=2)
    for row in range(1, rows):
        same = rng.integers(0, each + 1)
        spans[row, :same] = spans[row - 1, :same]
    return spans


def expected(query, keys, values, first, spans, scale: float) -> torch.Tensor:
    """(tokens, heads, value width) in double precision."""
    each = query.shape[0] // KEY_HEADS
    out = torch.zeros(query.shape[1], query.shape[0], values.shape[2], dtype=torch.double)
    for row in range(len(spans)):
        seen = np.concatenate([np.arange(a, b) for a, b in spans[row]])
        own = int(first[row + 1] - first[row])
        for step in range(own):
            visible = torch.from_numpy(seen[: len(seen) - own + step + 1])
            token = int(first[row]) + step
            for head in range(query.shape[0]):
                scores = keys[visible, head // each].double() @ query[head, token].double() * scale
                out[token, head] = scores.softmax(0) @ values[visible, head // each].double()
    return out


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    each=st.integers(1, 3),
    widths=st.sampled_from([(4, 4), (16, 16), (20, 12), (8, 24)]),
    stretches=st.integers(0, 3),
    spread=st.sampled_from([1.0, 100.0]),
)
def test_equals_attention_written_out(
    seed: int, lengths: list[int], each: int, widths: tuple[int, int], stretches: int, spread: float
) -> None:
    rng, tokens = np.random.default_rng(seed), sum(lengths)
    arena = filled(rng, 30, *widths)
    query, key = made(rng, KEY_HEADS * each, tokens, widths[0]), made(rng, KEY_HEADS, tokens, widths[0])
    value = made(rng, KEY_HEADS, tokens, widths[1])
    seen = spans_within(rng, len(lengths), stretches, 30)
    current = RaggedPass.of(arena, np.array(lengths), seen)
    found = current.attend(query, key, value, spread)
    assert arena.room >= 30 + tokens
    assert torch.equal(arena.keys[0][30 : 30 + tokens], key.transpose(0, 1))
    right = expected(query, arena.keys[0], arena.values[0], current.first, current.spans, spread)
    assert torch.allclose(found.double(), right, atol=2e-5 * spread)

    with ThreadPoolExecutor(3) as pool:
        again = RaggedPass.of(arena, np.array(lengths), seen, pool)
        assert torch.equal(again.attend(query, key, value, spread), found)

    last = RaggedPass.of(arena, np.array(lengths), seen, last=0).attend(query, key, value, spread)
    ends = torch.from_numpy(current.first[1:] - 1)
    assert torch.equal(last[ends], found[ends])
    assert not last.index_fill(0, ends, 0.0).any()


def test_what_is_not_a_number_stays_in_its_row() -> None:
    rng = np.random.default_rng(0)
    arena = filled(rng, 4, 16, 16)
    lengths = np.array([13, 3, 5])
    query, key, value = (made(rng, KEY_HEADS, 21, 16) for _ in range(3))
    for part in (query, key, value):
        part[:, 12] = torch.nan  # the last token of the first row
    seen = np.tile(np.array([[[0, 4]]]), (3, 1, 1))
    found = RaggedPass.of(arena, lengths, seen).attend(query, key, value, 1.0)
    assert found[12].isnan().all()
    assert found[13:].isfinite().all()
    assert found[:12].isfinite().all()
