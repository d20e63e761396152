"""Constrained search against the definition, scored naively name by name without any cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freshet.backends.planners import model_folder, tokenisation
from freshet.backends.planners.local_planner import LocalPlanner
from freshet.checks import check_planner
from freshet.core.errors import PlannerError
from freshet.core.prompts import TEMPLATE
from freshet.core.types import Prompt
from tests.backends.planners import worlds

EVERYTHING = 10_000


def planner_on(into: Path, kind: str = "qwen3", beam: int = EVERYTHING) -> LocalPlanner:
    worlds.save_checkpoint(into, kind)
    card = model_folder.Card("transformers", "description", "random", TEMPLATE, worlds.N, True)
    model, tokenizer = model_folder.load(into, "cpu")
    model_folder.save(model, tokenizer, card, into)
    return LocalPlanner(into, worlds.interests(), beam=beam, device="cpu")


def naive(folder: Path, prompt: Prompt) -> np.ndarray:
    """(N,) log-probabilities: each whole name in one forward pass, every token renormalised over the
    tokens that some name allows after the same beginning."""
    import torch

    model, tokenizer = model_folder.load(folder, "cpu")
    [start] = tokenisation.prompt_tokens(tokenizer, [prompt.text])
    answers = tokenisation.completion_tokens(tokenizer, worlds.DESCRIPTIONS)
    result = np.zeros(len(answers))
    for row, answer in enumerate(answers):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([start + answer])).logits[0].double()
        for depth, token in enumerate(answer):
            allowed = {other[depth] for other in answers if other[:depth] == answer[:depth]}
            scores = logits[len(start) + depth - 1]
            result[row] += float(scores[token] - torch.logsumexp(scores[sorted(allowed)], 0))
    return result


@pytest.mark.parametrize("kind", ["qwen3", "gpt2", "sliding"])
def test_an_unpruned_beam_equals_brute_force(tmp_path: Path, kind: str) -> None:
    planner = planner_on(tmp_path, kind)
    prompts = worlds.prompts("description", 4)
    ranking = planner.rank(prompts, worlds.N)
    assert np.allclose(np.exp(ranking.logp).sum(axis=1), 1, atol=1e-5)
    for row, prompt in enumerate(prompts):
        expected = naive(tmp_path, prompt)
        assert np.ptp(expected) > 1, "the random model is too even for this test to show an error"
        assert np.allclose(ranking.logp[row], expected[ranking.successors[row]], atol=1e-4)
        assert ranking.successors[row].tolist() == np.argsort(-expected, kind="stable").tolist()


@pytest.mark.parametrize(("kind", "why"), [("qwen3", ""), ("gpt2", ""), ("sliding", "attend")])
def test_architectures_that_cannot_share_say_so(tmp_path: Path, kind: str, why: str) -> None:
    note = planner_on(tmp_path, kind).note
    assert (why in note) if why else note == ""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_rows_do_not_depend_on_their_company_nor_on_the_size_of_passes(
    tmp_path: Path, data: st.DataObject
) -> None:
    if not (tmp_path / "model").exists():
        planner_on(tmp_path / "model")
    planner = LocalPlanner(tmp_path / "model", worlds.interests(), beam=3, device="cpu")
    prompts = [p for p, _ in worlds.with_evidence("description", 20, 0)] + worlds.prompts("description", 20)
    alone = planner.rank(prompts, 5)
    some = data.draw(st.lists(st.integers(0, len(prompts) - 1), min_size=1, max_size=12))
    planner._engine.reader.budget = data.draw(st.integers(1, 200))
    planner._engine._workers = lambda: data.draw(st.integers(1, 3))
    together = planner.rank([prompts[i] for i in some], 5)
    for row, i in enumerate(some):
        assert np.allclose(together.logp[row], alone.logp[i], atol=1e-4)
        clear = np.abs(np.diff(alone.logp[i], append=-np.inf)) > 1e-3
        first = int(np.argmin(clear)) if not clear.all() else 5
        assert together.successors[row][:first].tolist() == alone.successors[i][:first].tolist()


def test_fewer_names_are_the_head_of_more_and_read_fewer_tokens(tmp_path: Path) -> None:
    planner = planner_on(tmp_path)
    prompts = worlds.prompts("description", 30)
    whole, few = planner.rank(prompts, worlds.N), planner.rank(prompts, 2)
    assert np.array_equal(few.successors, whole.successors[:, :2])
    assert np.allclose(few.logp, whole.logp[:, :2], atol=1e-4)
    assert few.usage.tokens < whole.usage.tokens  # branches that can't matter are not read


def test_a_shared_beginning_is_read_once(tmp_path: Path) -> None:
    planner = planner_on(tmp_path)
    [prompt] = worlds.prompts("description", 1)
    once, twice = planner.rank([prompt], worlds.N), planner.rank([prompt] * 2, worlds.N)
    [tokens] = planner._tokens([prompt])
    root = len(planner._trie.branches[0].path)
    assert twice.usage.tokens == 2 * once.usage.tokens - (len(tokens) + root - 1)


def test_contract_with_a_narrow_beam(tmp_path: Path) -> None:
    check_planner(planner_on(tmp_path, beam=2), worlds.prompts("description", 7), worlds.N)


def test_a_narrow_beam_gives_up_mass_and_changes_no_score(tmp_path: Path) -> None:
    wide = planner_on(tmp_path / "model")
    narrow = LocalPlanner(tmp_path / "model", worlds.interests(), beam=1, device="cpu")
    prompts = worlds.prompts("description", 6)
    full, part = wide.rank(prompts, worlds.N), narrow.rank(prompts, worlds.N)
    assert (part.successors == -1).any()
    assert np.exp(part.logp).sum(axis=1).max() < 1
    for row in range(len(prompts)):
        exact = dict(zip(full.successors[row].tolist(), full.logp[row].tolist(), strict=True))
        kept = part.successors[row] >= 0
        expected = [exact[i] for i in part.successors[row][kept].tolist()]
        assert np.allclose(part.logp[row][kept], expected, atol=1e-4)
    assert part.usage.tokens < full.usage.tokens
    assert narrow.version != wide.version


def test_usage_counts_every_token_once_and_size_bounds_it(tmp_path: Path) -> None:
    planner = planner_on(tmp_path)
    prompts = worlds.prompts("description", 5)
    usage = planner.rank(prompts, worlds.N).usage
    size = planner.size(prompts)
    assert usage.tokens == size.tokens  # every branch is visited
    assert usage.flops == pytest.approx(size.flops, rel=0.02)


def test_a_prompt_too_long_for_the_model_is_named(tmp_path: Path) -> None:
    planner = planner_on(tmp_path)
    long = Prompt((3, 1), "liked : " + "war " * 300)
    with pytest.raises(PlannerError, match=r"\(3, 1\).*tokens"):
        planner.rank([*worlds.prompts("description", 2), long], 3)


def test_scores_that_are_not_numbers_are_an_error(tmp_path: Path) -> None:
    import torch

    planner = planner_on(tmp_path)
    with torch.no_grad():
        planner._model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(PlannerError, match="not finite"):
        planner.rank(worlds.prompts("description", 2), 3)
