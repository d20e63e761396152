"""The engine against brute force, for any names: every name scored alone, in full, without a cache."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from freshet.backends.planners.bulk import trie  # noqa: E402
from freshet.backends.planners.bulk.engine import Engine  # noqa: E402
from tests.backends.planners.bulk.test_trie import closed_names  # noqa: E402

EVERYTHING = 10_000
some_prompts = st.lists(st.lists(st.integers(5, 9), min_size=1, max_size=6), min_size=1, max_size=8)


@cache
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=10,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def brute(names: list[tuple[int, ...]], prompt: list[int]) -> np.ndarray:
    """(N,) log-probabilities."""
    found = np.zeros(len(names))
    for row, name in enumerate(names):
        with torch.no_grad():
            logits = model()(input_ids=torch.tensor([[*prompt, *name]])).logits[0].double()
        for depth, token in enumerate(name):
            allowed = sorted({other[depth] for other in names if other[:depth] == name[:depth]})
            scores = logits[len(prompt) + depth - 1]
            found[row] += float(scores[token] - torch.logsumexp(scores[allowed], 0))
    return found


def made(names, compiled: bool) -> Engine:
    """An engine that attends as on a CPU (compiled) or as on an accelerator."""
    engine = Engine(model(), trie.build(names))
    assert engine.slow == ""
    assert engine.reader.compiled
    engine.reader.compiled = compiled
    return engine


@settings(max_examples=40, deadline=None)
@given(closed_names.filter(lambda names: len(names) > 1), some_prompts, st.booleans())
def test_an_unpruned_search_equals_brute_force(names, prompts, compiled: bool) -> None:
    engine = made(names, compiled)
    ranking = engine.rank(prompts, EVERYTHING, len(names))
    for row, prompt in enumerate(prompts):
        expected = brute(names, prompt)
        assert sorted(ranking.successors[row].tolist()) == list(range(len(names)))
        assert np.allclose(ranking.logp[row], expected[ranking.successors[row]], atol=1e-4)
        assert (np.diff(ranking.logp[row]) <= 0).all()


@settings(max_examples=40, deadline=None)
@given(closed_names.filter(lambda names: len(names) > 1), some_prompts, st.integers(1, 4), st.integers(1, 5))
def test_a_pruned_search_finds_true_scores_and_an_unpruned_one_the_true_best(
    names, prompts, beam: int, top: int
) -> None:
    engine = Engine(model(), trie.build(names))
    whole = engine.rank(prompts, EVERYTHING, len(names))
    best = engine.rank(prompts, EVERYTHING, top)
    assert np.allclose(best.logp, whole.logp[:, : min(top, len(names))], atol=1e-4)
    pruned = engine.rank(prompts, beam, len(names))
    for row in range(len(prompts)):
        exact = dict(zip(whole.successors[row].tolist(), whole.logp[row].tolist(), strict=True))
        for name, score in zip(pruned.successors[row].tolist(), pruned.logp[row].tolist(), strict=True):
            assert name == -1 or abs(exact[name] - score) < 1e-4


@settings(max_examples=25, deadline=None)
@given(closed_names.filter(lambda names: len(names) > 1), some_prompts, st.integers(1, 4), st.booleans())
def test_plain_and_shared_reading_agree(names, prompts, beam: int, compiled: bool) -> None:
    shared, plain = made(names, compiled), Engine(model(), trie.build(names))
    plain.reader = plain._plain
    one, other = shared.rank(prompts, beam, 3), plain.rank(prompts, beam, 3)
    assert np.allclose(one.logp, other.logp, atol=1e-4)
    assert one.usage.tokens <= other.usage.tokens
    # what is foretold is an estimate: a search may read a token more of a prompt than it foresees
    assert one.usage.tokens <= shared.size(prompts, beam).tokens + len(prompts)


def test_scores_do_not_depend_on_the_number_of_cores() -> None:
    engine = Engine(model(), trie.build([(1, 0), (2, 0), (3, 1, 0), (3, 2, 0)]))
    prompts = [[5, a, 6, b] for a in range(10) for b in range(10)]
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(engine.rank(prompts, 2, 4))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0].successors, found[1].successors)
    assert np.array_equal(found[0].logp, found[1].logp)


@pytest.mark.parametrize("budget", [7, 40, 4096])
def test_scores_do_not_depend_on_the_size_of_passes(budget: int) -> None:
    engine = made([(1, 0), (2, 4, 0), (3, 1, 0), (3, 2, 4, 0), (3, 2, 1, 0)], compiled=True)
    prompts = [[5, a, 6, b, *[7] * (a % 3)] for a in range(10) for b in range(10)]
    whole = engine.rank(prompts, EVERYTHING, 5)
    engine.reader.budget = budget
    cut = engine.rank(prompts, EVERYTHING, 5)
    assert cut.usage.tokens == whole.usage.tokens
    assert np.allclose(cut.logp, whole.logp, atol=1e-4)


def test_a_larger_model_attends_on_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = made([(1, 0), (2, 0), (3, 1, 0), (3, 2, 0)], compiled=True)
    prompts = [[5, a, 6, b] for a in range(10) for b in range(10)]
    alone, before = engine.rank(prompts, 2, 4), torch.get_num_threads()
    monkeypatch.setattr("freshet.backends.planners.decoder.SMALL", 0)
    try:
        torch.set_num_threads(3)
        together = engine.rank(prompts, 2, 4)
    finally:
        torch.set_num_threads(before)
    assert engine.reader.pool is None
    assert np.array_equal(alone.successors, together.successors)
    assert np.allclose(alone.logp, together.logp, atol=1e-5)


def test_values_narrower_than_keys_are_read_in_long_rows_too() -> None:
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    torch.manual_seed(0)
    config = DeepseekV3Config(
        vocab_size=10,
        hidden_size=32,
        intermediate_size=48,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=2,
        kv_lora_rank=8,
        q_lora_rank=8,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=12,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    engine = Engine(DeepseekV3ForCausalLM(config).eval(), trie.build([(1, 0), (2, 0), (3, 1, 0)]))
    plain = Engine(engine.model, engine.trie)
    plain.reader = plain._plain
    prompts = [[5, 6, *[7, 8] * 15, 9], [5, 6, 4], [9, 8, 7]]
    assert np.allclose(engine.rank(prompts, 3, 3).logp, plain.rank(prompts, 3, 3).logp, atol=1e-4)


def test_a_model_that_fails_in_the_first_try_is_read_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    from freshet.backends.planners.bulk import compiled_attention

    def broken(*_: object) -> None:
        raise RuntimeError("not this one")

    monkeypatch.setattr(compiled_attention, "attend_rows", broken)
    engine = Engine(model(), trie.build([(1, 0), (2, 0), (3, 1, 0)]))
    assert "not this one" in engine.slow
    assert engine.rank([[5, 6], [5, 7]], 2, 3).successors.shape == (2, 3)


def test_the_last_layer_works_on_scored_tokens_alone() -> None:
    engine = made([(1, 0), (2, 0), (3, 1, 0)], compiled=True)
    first, last = model().model.layers[0].mlp, model().model.layers[-1].mlp
    seen: dict[str, int] = {"first": 0, "last": 0}
    hooks = []
    for name, block in (("first", first.gate_proj), ("last", last.gate_proj)):

        def count(_, args, name=name) -> None:
            seen[name] += args[0].shape[1]

        hooks.append(block.register_forward_pre_hook(count))
    try:
        usage = engine.rank([[5, 6, 7, 8], [5, 6, 7, 9]], 1, 3).usage
    finally:
        for hook in hooks:
            hook.remove()
    assert seen["first"] == usage.tokens
    assert seen["last"] <= 2 * 2 + 1  # a prompt and perhaps a continuation each, one of the beginning
    assert not last._forward_hooks
    assert not last._forward_pre_hooks


def test_where_leaving_out_work_changes_scores_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from freshet.backends.planners.bulk import last_layer

    monkeypatch.setattr(last_layer, "feed_forward", lambda model: model.model.layers[0].mlp)
    engine = Engine(model(), trie.build([(1, 0), (2, 0), (3, 1, 0)]))
    assert engine.slow == ""
    assert engine.reader.shares
    assert not engine.reader.lean


def test_the_model_is_left_as_it_was() -> None:
    names = [(1, 0), (2, 0), (3, 1, 0)]
    head, kind = model().get_output_embeddings(), model().config._attn_implementation
    Engine(model(), trie.build(names)).rank([[5, 6]], 2, 2)
    assert model().get_output_embeddings() is head
    assert model().config._attn_implementation == kind
