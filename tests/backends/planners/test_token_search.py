"""Search over single next tokens gives what the engine gives on the same model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners import model_folder, token_search
from freshet.backends.planners.bulk.plain import PlainReader
from freshet.backends.planners.local_planner import LocalPlanner, abilities_of
from freshet.backends.planners.token_planner import TokenPlanner
from freshet.backends.planners.token_search import Answers, Question
from freshet.backends.planners.tokenisation import Tokenisation
from freshet.checks import check_planner
from freshet.core.errors import PlannerError
from freshet.core.ports import Abilities
from freshet.core.prompts import TEMPLATE
from freshet.core.types import Usage
from tests.backends.planners import worlds


class TorchReader:
    """Next tokens of a model in this process, each text in a pass of its own.

    `refuse`: questions about a text that begins with these tokens get no answer.
    """

    limit = 256

    def __init__(self, folder: Path, refuse: Sequence[int] = ()) -> None:
        self.model, self.tokenizer = model_folder.load(folder, "cpu")
        self.plain = PlainReader(self.model, np.arange(self.model.config.vocab_size))
        self.refuse = list(refuse)
        self.asked = 0

    def requests(self, questions: int, wanted: int) -> int:
        return questions

    def logprobs(self, asked: Sequence[Question]) -> Answers:
        self.asked += len(asked)
        found, usage = [], Usage()
        for one in asked:
            logits, cost = self.plain.logits([one.tokens])
            found.append(logits[0].double().log_softmax(0).numpy()[one.wanted])
            usage += cost
        refused = {
            i: "refused"
            for i, one in enumerate(asked)
            if self.refuse and list(one.tokens[: len(self.refuse)]) == self.refuse
        }
        return Answers(found, usage, refused)

    def mass(self, asked: Sequence[Question]) -> np.ndarray:
        return np.array([np.exp(logp).sum() for logp in self.logprobs(asked).logp]).clip(max=1)

    def write(self, prompts: Sequence[Sequence[int]], most: int, end: int, decode) -> list[str]:
        found = []
        for prompt in prompts:
            text = list(prompt)
            while len(text) < len(prompt) + most:
                token = int(self.plain.logits([text])[0][0].argmax())
                if token == end:
                    break
                text.append(token)
            found.append(decode(text[len(prompt) :]))
        return found


def both(into: Path, mode: str, beam: int, refuse: Sequence[int] = ()) -> tuple[TokenPlanner, LocalPlanner]:
    """A planner on the tokens of a random checkpoint, and the engine's."""
    worlds.save_checkpoint(into)
    model, tokenizer = model_folder.load(into, "cpu")
    if mode == "label":
        from freshet.backends.planners.lora import add_labels

        add_labels(model, tokenizer, worlds.interests())
    card = model_folder.Card("transformers", mode, "random", TEMPLATE, worlds.N, True)
    model_folder.save(model, tokenizer, card, into)
    reader = TorchReader(into, refuse)
    planner = TokenPlanner(
        reader,
        Tokenisation.of(reader.tokenizer),
        worlds.interests(),
        mode,
        f"tokens of {into}",
        abilities_of(card),
        beam,
    )
    return planner, LocalPlanner(into, worlds.interests(), beam=beam, device="cpu")


@pytest.mark.parametrize("mode", ["description", "label"])
@pytest.mark.parametrize(("beam", "top"), [(1, worlds.N), (2, 5), (16, 1), (10_000, worlds.N)])
def test_it_finds_what_the_engine_finds(tmp_path: Path, mode: str, beam: int, top: int) -> None:
    planner, engine = both(tmp_path, mode, beam)
    prompts = worlds.prompts(mode, 12)
    got, expected = planner.rank(prompts, top), engine.rank(prompts, top)
    assert np.array_equal(got.successors, expected.successors)
    same = np.isfinite(expected.logp)
    assert np.allclose(got.logp[same], expected.logp[same], atol=1e-4)
    assert np.array_equal(same, np.isfinite(got.logp))


@pytest.mark.parametrize("mode", ["description", "label"])
def test_it_keeps_the_planners_contract(tmp_path: Path, mode: str) -> None:
    planner, engine = both(tmp_path, mode, 16)
    prompts = worlds.prompts(mode, 6)
    check_planner(planner, prompts, worlds.N)
    assert planner.generate(prompts) == engine.generate(prompts)
    if mode == "label":
        assert np.allclose(planner.label_mass(prompts), engine.label_mass(prompts), atol=1e-5)


def test_prompts_with_options_are_answered_as_by_the_engine(tmp_path: Path) -> None:
    planner, engine = both(tmp_path, "description", 16)
    options = [(3, 1, 7), (), (9, 2)]
    prompts = [
        replace(one, options=few) for one, few in zip(worlds.prompts("description", 3), options, strict=True)
    ]
    got, expected = planner.rank(prompts, 4), engine.rank(prompts, 4)
    assert np.array_equal(got.successors, expected.successors)
    found = expected.successors >= 0
    assert np.allclose(got.logp[found], expected.logp[found], atol=1e-4)
    assert set(got.successors[0].tolist()) == {3, 1, 7, -1}


def test_branches_that_cannot_matter_are_not_read(tmp_path: Path) -> None:
    planner, _ = both(tmp_path, "description", 16)
    prompts = worlds.prompts("description", 10)
    whole, few = planner.rank(prompts, worlds.N), planner.rank(prompts, 1)
    assert few.usage.tokens < whole.usage.tokens
    assert whole.usage.tokens <= planner.size(prompts).tokens


def test_a_question_without_an_answer_costs_its_own_row_only(tmp_path: Path) -> None:
    prompts = worlds.prompts("description", 12)
    whole, _ = both(tmp_path, "description", 16)
    refused = whole._tokens(prompts[3:4])[0]
    planner, _ = both(tmp_path, "description", 16, refuse=refused)
    expected, got = whole.rank(prompts, worlds.N), planner.rank(prompts, worlds.N)
    lost = [row for row, _ in got.failures]
    assert lost == [row for row, prompt in enumerate(prompts) if prompt.text == prompts[3].text]
    assert (got.successors[lost] == -1).all()
    kept = np.setdiff1d(np.arange(12), lost)
    assert np.array_equal(got.successors[kept], expected.successors[kept])


def test_scores_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    planner, _ = both(tmp_path, "description", 16)
    reader = planner._reader
    reader.model.get_output_embeddings().weight.data.fill_(float("nan"))
    with pytest.raises(PlannerError, match="not finite"):
        planner.rank(worlds.prompts("description", 2), 3)


def test_a_prompt_without_room_for_an_answer_is_named(tmp_path: Path) -> None:
    planner, _ = both(tmp_path, "description", 16)
    planner._reader.limit = 10
    with pytest.raises(PlannerError, match=r"needs \d+ tokens, the model has 10"):
        planner.rank(worlds.prompts("description", 2), 3)


def test_the_best_are_ordered_by_score_then_index() -> None:
    scores = np.array([[-2.0, -1.0, -np.inf, -1.0], [-np.inf, -np.inf, -np.inf, -3.0]])
    names, logp = token_search.best(scores, 3)
    assert names.tolist() == [[1, 3, 0], [3, -1, -1]]
    assert logp.tolist() == [[-1, -1, -2], [-3, -np.inf, -np.inf]]


def test_one_name_needs_no_question(tmp_path: Path) -> None:
    reader = TorchReader(worlds.save_checkpoint(tmp_path))
    one = replace(
        worlds.interests(), ids=np.zeros(1, np.int32), descriptions=("war",), vectors=np.zeros((1, 8))
    )
    planner = TokenPlanner(
        reader, Tokenisation.of(reader.tokenizer), one, "description", "one", Abilities(generates=True)
    )
    ranking = planner.rank(worlds.prompts("description", 2), 3)
    assert ranking.successors.tolist() == [[0], [0]]
    assert reader.asked == 0
    assert planner.size(worlds.prompts("description", 2)) == Usage()
