"""Trained on choices, `scratch` learns what a context changes about popularity, and nothing about the known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners.scratch import ScratchTuner
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Abilities, Begin, Candidates, TuningJob
from freshet.core.prompts import names
from freshet.core.types import Example, TuningReport
from tests.backends.planners import worlds

COUNT = 2000
NEVER, KNOWN = 6, 7
"""Interests that nobody takes up; the second because everybody knows it."""


def world(follows: bool) -> TuningJob:
    """Two windows of opposite popularity; successors follow it alone, or half of them the planted rule."""
    random, known = np.random.default_rng(5), names(worlds.DESCRIPTIONS, "label")
    window = np.repeat([0, 1], COUNT // 2)
    scores = np.stack([np.linspace(0, 3, worlds.N), np.linspace(3, 0, worlds.N)])
    scores[:, [NEVER, KNOWN]] = -9.0
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    told = scores.copy()
    told[:, [NEVER, KNOWN]] = 0.0
    samples = []
    for row, prompt in enumerate(worlds.prompts("label", COUNT, seed=1)):
        answer = int(random.choice(worlds.N, p=shares[window[row]]))
        if follows and random.random() < 0.5 and worlds.rule(prompt.context) not in (NEVER, KNOWN):
            answer = worlds.rule(prompt.context)
        samples.append(Example(prompt, answer, known[answer]))
    given = np.zeros((COUNT, worlds.N), bool)
    given[:, KNOWN] = True
    return replace(
        worlds.job("label", samples, epochs=6),
        candidates=Candidates(given, told.astype(np.float32), window),
    )


@pytest.fixture(scope="module", params=[False, True])
def tuned(request, tmp_path_factory) -> tuple[bool, Path, TuningReport]:
    into = tmp_path_factory.mktemp("choice")
    return request.param, into, ScratchTuner(device="cpu").tune(world(request.param), into)


def answers(into: Path) -> np.ndarray:
    """(200, N) log-probabilities."""
    ranking = (
        ScratchTuner(device="cpu")
        .open(into, worlds.interests())
        .rank(worlds.prompts("label", 200, seed=2), worlds.N)
    )
    logp = np.empty((200, worlds.N))
    np.put_along_axis(logp, ranking.successors.astype(np.int64), ranking.logp, axis=1)
    return logp


def test_it_learns_what_a_context_changes(tuned) -> None:
    follows, into, report = tuned
    assert report.relative
    usual = [i for i in range(worlds.N) if i not in (NEVER, KNOWN)]
    logp = answers(into)
    if not follows:  # popularity explains it all: answers relative to it are nearly even
        even = logp[:, usual].mean(axis=0)
        assert even.max() - even.min() < 1.0
        return
    truth = np.array([worlds.rule(p.context) for p in worlds.prompts("label", 200, seed=2)])
    asked = np.isin(truth, usual)
    assert (logp[asked][:, usual].argmax(axis=1) == np.searchsorted(usual, truth[asked])).mean() > 0.9


def test_what_is_known_is_not_learned_to_be_unlikely(tuned) -> None:
    logp = answers(tuned[1]).mean(axis=0)
    assert logp[KNOWN] > logp[NEVER] + 1.0


def test_words_that_are_no_labels_are_learned_to_be_improbable(tuned) -> None:
    _, into, _ = tuned
    planner = ScratchTuner(device="cpu").open(into, worlds.interests())
    assert planner.abilities == Abilities(generates=True, labels=True, relative=True, options=True)
    assert planner.label_mass(worlds.prompts("label", 50, seed=2)).min() > 0.95


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    job = replace(world(False), epochs=0.2)
    steps: list[tuple[int, int]] = []
    for name in ("one", "two"):
        ScratchTuner(device="cpu").tune(job, tmp_path / name, lambda *at: steps.append(at))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    assert steps[-1][0] == steps[-1][1]
    with pytest.raises(NotEnoughData, match="no examples"):
        ScratchTuner(device="cpu").tune(replace(job, examples=[]), tmp_path / "none")


def test_an_earlier_model_gives_its_weights_word_by_word(tuned) -> None:
    from freshet.backends.planners import model_folder, scratch
    from freshet.backends.planners.decoder import token_tables

    _, into, _ = tuned
    job = replace(world(True), corpus=(*worlds.DESCRIPTIONS, "a zither"), seed=4)
    words = scratch.vocabulary(job)
    made, anew = scratch.build_model(words, job), scratch.build_model(words, job)
    scratch.take_weights(made, words, into)
    before, tokenizer = model_folder.load(into, "cpu")
    numbers = tokenizer.get_vocab()
    assert [word for word in words if word not in numbers] == ["a", "zither"]
    [table], [given], [first] = token_tables(made), token_tables(before), token_tables(anew)
    for row, word in enumerate(words):
        wanted = given[numbers[word]] if word in numbers else first[row]
        np.testing.assert_array_equal(table[row].detach().numpy(), wanted.detach().numpy())
    for mine, its in zip(made.model.layers.parameters(), before.model.layers.parameters(), strict=True):
        np.testing.assert_array_equal(mine.detach().numpy(), its.detach().numpy())


def test_what_begins_at_a_model_goes_on_from_what_it_knows(tuned, tmp_path: Path) -> None:
    follows, into, _ = tuned
    job = world(follows)
    anew = ScratchTuner(device="cpu").tune(replace(job, epochs=1.2), tmp_path / "anew")
    begun = replace(job, begin=Begin(into, 0.2))
    reports = [ScratchTuner(device="cpu").tune(begun, tmp_path / name) for name in ("one", "two")]
    assert reports[0] == reports[1]
    assert reports[0].epochs == pytest.approx(1.2)
    assert reports[0].ended == "epochs"
    assert reports[0].steps == anew.steps
    assert reports[0].losses[0] < anew.losses[0] - 0.5
    assert reports[0].losses[-1] < anew.losses[-1]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
