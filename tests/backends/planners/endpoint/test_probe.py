from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from freshet.backends import http_json
from freshet.backends.planners.endpoint.chat_wire import BadAnswer, completion
from freshet.backends.planners.endpoint.probe import length_of
from freshet.backends.planners.endpoint.server_card import ServerCard, read_server_card
from freshet.core.errors import ArtifactError, ConfigError, PlannerGone
from freshet.core.ports import TuningPlan
from simulated_chat import MODEL, Behaviour, Simulated, serving

from .asking_world import interests, job, tuner


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "FIRST_WAIT", 0.01)


def card_of(server: Simulated, root: Path, **changes: object) -> ServerCard:
    tuner(server, root, **changes).tune(job(interests()), root / "model")
    return read_server_card(root / "model")


def test_what_was_proven_is_in_the_card_and_said(simulated: Simulated, tmp_path: Path) -> None:
    card = card_of(simulated, tmp_path)
    assert (card.form, card.schema, card.listed, card.context, card.limited) == (
        "letters",
        True,
        True,
        8192,
        True,
    )
    assert card.alternatives >= 2
    assert 3.5 < card.characters < 4.5  # the server counts a token for every four
    assert f"model {MODEL}: log-probabilities of" in str(card)
    stored = json.loads((tmp_path / "model" / "freshet.json").read_text())
    assert stored["note"] == str(card)


@pytest.mark.parametrize(
    ("behaviour", "form", "says"),
    [
        (Behaviour(logprobs=0), "list", "no log-probabilities, keeps to a JSON schema"),
        (Behaviour(logprobs=0, schema=False), "text", "no log-probabilities, no JSON schema"),
        (Behaviour(logprobs=0, decision=True), "decision", "probabilities of up to 26 options"),
    ],
)
def test_what_is_ignored_in_silence_is_not_believed(
    behaviour: Behaviour, form: str, says: str, tmp_path: Path
) -> None:
    with serving(behaviour) as server:
        card = card_of(server, tmp_path)
    assert card.form == form
    assert says in str(card)


def test_a_server_is_asked_as_it_wants_to_be(tmp_path: Path) -> None:
    with serving(Behaviour(limit="max_completion_tokens", system=False)) as server:
        card = card_of(server, tmp_path)
        assert (card.limit, card.system, card.form) == ("max_completion_tokens", False, "letters")


@pytest.mark.parametrize(
    ("behaviour", "answers", "told"),
    [
        (Behaviour(logprobs=0), "letters", "gives no log-probabilities"),
        (Behaviour(schema=False), "list", "doesn't keep to a JSON schema"),
    ],
)
def test_answers_that_are_wanted_and_not_supported_are_refused(
    behaviour: Behaviour, answers: str, told: str, tmp_path: Path
) -> None:
    with serving(behaviour) as server, pytest.raises(ConfigError, match=told):
        card_of(server, tmp_path, answers=answers)


def test_answers_that_are_wanted_are_taken_though_better_ones_are_there(
    simulated: Simulated, tmp_path: Path
) -> None:
    assert card_of(simulated, tmp_path, answers="text").form == "text"


def test_a_model_that_is_not_there_is_named(simulated: Simulated, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"HTTP 404 Not Found: The model 'other' does not exist"):
        card_of(simulated, tmp_path, model="other")


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (Behaviour(key="k"), r"HTTP 401 Unauthorized\n.*wants another key: FRESHET_TEST_KEY is not set"),
        (Behaviour(spent_after=0), "balance or quota is spent"),
        (Behaviour(dies_after=0), "Remote end closed"),
    ],
)
def test_a_server_that_can_not_be_asked_is_no_verdict_on_the_model(
    behaviour: Behaviour, told: str, tmp_path: Path
) -> None:
    with serving(behaviour) as server, pytest.raises(PlannerGone, match=told):
        card_of(server, tmp_path, api_key_env="FRESHET_TEST_KEY")


def test_too_many_interests_for_a_prompt_are_refused_before_anything_is_asked(
    simulated: Simulated, tmp_path: Path
) -> None:
    plan = TuningPlan([str(number) for number in range(900)], "description", 2, 3, 0)
    with pytest.raises(ConfigError, match=r"one of 900 interests, and at most 400.*\n.*shortlist"):
        tuner(simulated, tmp_path).check(plan)
    tuner(simulated, tmp_path, shortlist=30).check(plan)
    with pytest.raises(ConfigError, match="labels say nothing"):
        tuner(simulated, tmp_path).check(TuningPlan([], "label", 2, 3, 0))
    assert simulated.chats == 0


def test_many_interests_are_asked_for_in_a_form_that_has_room(simulated: Simulated, tmp_path: Path) -> None:
    many = interests(tuple(f"kind {number}" for number in range(80)))
    tuner(simulated, tmp_path).tune(job(many), tmp_path / "model")
    assert read_server_card(tmp_path / "model").form == "list"
    with pytest.raises(ConfigError, match="one of 80 interests, and at most 62 can be listed"):
        tuner(simulated, tmp_path, answers="letters").tune(job(many), tmp_path / "other")


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "freshet.json").write_text('{"kind": "scratch"}')
    with pytest.raises(ArtifactError, match=r"freshet\.json can't be read as the card of a server"):
        read_server_card(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [{"meta": "x"}, {"max_model_len": "many"}, {"max_model_len": -1}, {"meta": {"n_ctx_train": None}}, []],
)
def test_a_list_of_models_that_says_nonsense_says_nothing(entry: object) -> None:
    assert length_of(entry, "n_ctx_train") == 0
    assert length_of({"meta": {"n_ctx_train": 512}}, "n_ctx_train") == 512


def test_counts_of_tokens_that_can_not_be_lower_no_budget_and_stop_no_run() -> None:
    content = {"choices": [{"message": {"content": "A"}}], "usage": {"prompt_tokens": -5}}
    assert completion(content).read == 0
    with pytest.raises(BadAnswer, match="infinity"):
        completion({**content, "usage": {"prompt_tokens": math.inf}})
