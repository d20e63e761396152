"""A planner asked in files: nothing is asked twice that was answered or is out, whatever the results hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners.batch.batch_planner import GIVEN_UP, BatchPlanner
from freshet.backends.planners.batch.batches import Batches
from freshet.backends.planners.batch.openai_layout import OpenAILayout
from freshet.backends.planners.endpoint.server_card import ServerCard
from freshet.backends.planners.endpoint.spending import Spending
from freshet.core.errors import AnswersPending, ArtifactError, ConfigError
from freshet.core.types import Prompt

from .asking import Kept, Words, answered, asked, failed, results

NAMES = ["jazz", "rock", "folk"]
PROMPTS = [Prompt((0,), "after jazz?"), Prompt((1,), "after rock?"), Prompt((2,), "after folk?")]


def planner(root: Path, kept: Kept, max_tokens: int = 0) -> BatchPlanner:
    card = ServerCard("https://example.org/v1", "m", "list", batch="openai")
    layout, batches = OpenAILayout("m", {}), Batches(root, kept)
    return BatchPlanner(card, NAMES, Words(NAMES), layout, kept, batches, Spending(max_tokens))


def prepared(model: BatchPlanner, *parts: list[Prompt]) -> None:
    for part in parts:
        model.prepare(part)
    model.ready()


def names_of(root: Path, batch: int) -> list[str]:
    return list(asked(root / "batches" / f"{batch:05d}"))


def test_all_parts_are_in_one_batch_and_each_prompt_once(tmp_path: Path) -> None:
    model = planner(tmp_path, Kept())
    with pytest.raises(AnswersPending, match=r"3 answers of m missing: 3 requests written to batches/00001"):
        prepared(model, PROMPTS[:2], PROMPTS[1:])
    assert sorted(asked(tmp_path).values()) == sorted(prompt.text for prompt in PROMPTS)
    with pytest.raises(AnswersPending, match="3 answers of m missing: 3 are out already"):
        prepared(model, PROMPTS)
    assert len(asked(tmp_path)) == 3


def test_half_a_batch_costs_nothing_twice(tmp_path: Path) -> None:
    kept = Kept()
    model = planner(tmp_path, kept)
    with pytest.raises(AnswersPending):
        prepared(model, PROMPTS)
    one, two, three = names_of(tmp_path, 1)
    half = results(
        tmp_path / "r.jsonl", answered(three, "jazz"), answered(one, "rock"), failed(two, "batch_expired")
    )
    taken = model.batches.take(half)
    assert (taken.answered, taken.unasked, taken.failed, taken.read, taken.written) == (2, 1, 0, 20, 4)
    with pytest.raises(AnswersPending, match=r"1 request written to batches/00002.*again: batch_expired"):
        prepared(model, PROMPTS)
    [again] = names_of(tmp_path, 2)
    assert again != two
    assert asked(tmp_path)[again] == asked(tmp_path)[two]
    again_read = model.batches.take(
        half
    )  # the same file twice: no request that is out again is taken for lost
    assert (again_read.answered, again_read.repeated, again_read.read) == (0, 2, 0)
    with pytest.raises(AnswersPending, match="1 are out already"):
        prepared(model, PROMPTS)
    model.batches.take(results(tmp_path / "r.jsonl", answered(again, "folk")))
    prepared(model, PROMPTS)
    ranking = model.rank(PROMPTS, 2)
    assert ranking.successors.tolist() == [[1, -1], [2, -1], [0, -1]]
    assert np.isneginf(ranking.logp[:, 1]).all()
    assert ranking.failures == ()
    assert len(asked(tmp_path)) == 4


def test_an_answer_that_comes_late_settles_the_repeat_too(tmp_path: Path) -> None:
    kept = Kept()
    model = planner(tmp_path, kept)
    with pytest.raises(AnswersPending):
        prepared(model, PROMPTS[:1])
    [name] = names_of(tmp_path, 1)
    model.batches.take(results(tmp_path / "r.jsonl", failed(name, "batch_expired")))
    with pytest.raises(AnswersPending):
        prepared(model, PROMPTS[:1])
    model.batches.take(results(tmp_path / "r.jsonl", answered(name, "rock")))
    prepared(model, PROMPTS[:1])
    assert [file.open for file in model.batches.index.files()] == [0, 0]


def test_an_invalid_answer_is_asked_again_with_what_was_wrong(tmp_path: Path) -> None:
    kept = Kept()
    model = planner(tmp_path, kept)
    for number in (1, 2, 3):
        told = (
            f"1 of them ask again what had no valid answer: 'polka {number - 1}'"
            if number > 1
            else "1 request"
        )
        with pytest.raises(AnswersPending, match=told):
            prepared(model, PROMPTS[:1])
        [name] = names_of(tmp_path, number)
        model.batches.take(results(tmp_path / "r.jsonl", answered(name, f"polka {number}")))
    prepared(model, PROMPTS[:1])
    assert list(asked(tmp_path).values()) == [
        "after jazz?",
        "after jazz? Not 'polka 1'.",
        "after jazz? Not 'polka 2'.",
    ]
    assert model.rank(PROMPTS[:1], 3).failures == ((0, "'polka 3'"),)


def test_a_request_that_fails_each_time_is_given_up_and_said(tmp_path: Path) -> None:
    model = planner(tmp_path, Kept())
    for number in range(1, GIVEN_UP + 1):
        with pytest.raises(AnswersPending, match="asked again: server_error" if number > 1 else "1 request"):
            prepared(model, PROMPTS[:1])
        [name] = names_of(tmp_path, number)
        model.batches.take(results(tmp_path / "r.jsonl", failed(name, "server_error")))
    prepared(model, PROMPTS[:1])
    ranking = model.rank(PROMPTS[:1], 3)
    assert ranking.failures == ((0, "given up after 3 tries: server_error: no"),)
    assert (ranking.successors == -1).all()


def test_results_of_others_and_broken_lines_change_nothing(tmp_path: Path) -> None:
    model = planner(tmp_path, Kept())
    with pytest.raises(AnswersPending):
        prepared(model, PROMPTS)
    one, two, _ = names_of(tmp_path, 1)
    path = results(
        tmp_path / "r.jsonl",
        answered(one, "rock"),
        answered(one, "folk"),
        answered("0" * 32 + "-1", "jazz"),
        answered(one.replace("-1", "-7"), "jazz"),
        answered("task-3", "jazz"),
    )
    with path.open("a") as file:
        file.write('{"id": "x"}\n' + str(answered(two, "jazz"))[:60])
    taken = model.batches.take(path)
    assert (taken.answered, taken.repeated, taken.unknown) == (1, 1, 3)
    assert [(name, line) for name, line, _ in taken.unreadable] == [("r.jsonl", 6), ("r.jsonl", 7)]
    assert model.rank(PROMPTS, 1).successors[0].tolist() == [1]  # the first answer counts
    assert [row for row, _ in model.rank(PROMPTS, 1).failures] == [1, 2]


def test_a_budget_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    model = planner(tmp_path, Kept(), max_tokens=20)
    with pytest.raises(ConfigError, match=r"about 36 tokens: \[planner\] max_tokens_per_run = 20 is reached"):
        prepared(model, PROMPTS)
    assert not (tmp_path / "batches").exists()
    assert model.size(PROMPTS).tokens == 36
    assert model.size(PROMPTS).requests == 3


def test_a_file_closed_by_hand_is_asked_again(tmp_path: Path) -> None:
    model = planner(tmp_path, Kept())
    with pytest.raises(AnswersPending):
        prepared(model, PROMPTS)
    index = model.batches.index
    assert index.close(1, "requests-1.jsonl", "unasked", "closed by hand") == 3
    assert index.problems(1) == [("closed by hand", 3)]
    with pytest.raises(AnswersPending, match="batches/00002"):
        prepared(model, PROMPTS)


def test_numbers_are_not_reused_and_a_damaged_index_is_named(tmp_path: Path) -> None:
    model = planner(tmp_path, Kept())
    (tmp_path / "batches" / "00004").mkdir(parents=True)  # a run died before it was remembered
    with pytest.raises(AnswersPending, match="batches/00005"):
        prepared(model, PROMPTS)
    (tmp_path / "batches" / "index.sqlite").write_bytes(b"no database at all, " * 100)
    with pytest.raises(ArtifactError, match=r"index\.sqlite can't be used"):
        prepared(model, PROMPTS)
