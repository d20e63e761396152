from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.backends.planners.endpoint.chat import ChatAnswer, Choice, Form, Invalid
from freshet.backends.planners.endpoint.decision_form import DecisionForm
from freshet.backends.planners.endpoint.letters_form import LettersForm
from freshet.backends.planners.endpoint.list_form import ListForm
from freshet.backends.planners.endpoint.text_form import TextForm
from freshet.backends.planners.endpoint.wording import TASK, labels
from freshet.core.types import Prompt

NAMES = ("horror zombie", "drama war", "comedy romance", "space alien")
ALL = Prompt((0,), "liked : horror zombie ; next :")
FEW = Prompt((0,), "liked : horror zombie ; next :", options=(3, 1))


def chosen(form: Form, prompt: Prompt, text: str = "", **logprobs: float) -> Choice | Invalid:
    given = tuple((token, math.log(share)) for token, share in logprobs.items())
    return form.choice(prompt, ChatAnswer(text, given))


def shares(choice: Choice | Invalid) -> dict[int, float]:
    assert isinstance(choice, Choice), choice
    return dict(zip(choice.successors.tolist(), np.exp(choice.logp.astype(float)).tolist(), strict=True))


def test_what_is_alike_in_all_prompts_comes_first() -> None:
    one, other = (
        LettersForm(NAMES, 20).request(prompt) for prompt in (ALL, Prompt((1,), "liked : drama war ; next :"))
    )
    (role, system), (whose, text) = one.messages
    assert (role, whose) == ("system", "user")
    assert one.messages[0] == other.messages[0]
    assert system.startswith(TASK)
    assert "A. horror zombie\nB. drama war\nC. comedy romance\nD. space alien" in system
    assert text == ALL.text
    assert (one.max_tokens, one.top_logprobs, one.schema) == (1, 20, None)


def test_a_short_list_stands_with_its_prompt_and_a_template_has_its_own_words() -> None:
    prompt = Prompt((0,), "Somebody liked zombies.", "You know films.", (3, 1))
    (_, system), (_, text) = LettersForm(NAMES, 20).request(prompt).messages
    assert system.startswith("You know films.\n\nAnswer with the letter")
    assert text == ("Somebody liked zombies.\n\nThe interests to choose from:\nA. space alien\nB. drama war")


LISTED = Prompt((0,), "x", options=(3, 1), listing=("space alien (such as Alien)", "drama war (such as Ran)"))


def test_options_read_as_the_prompt_says() -> None:
    (_, _), (_, text) = LettersForm(NAMES, 20).request(LISTED).messages
    assert "A. space alien (such as Alien)\nB. drama war (such as Ran)" in text
    assert shares(chosen(LettersForm(NAMES, 20), LISTED, B=0.9))[1] > 0.9
    found = shares(chosen(TextForm(NAMES), LISTED, "drama war (such as Ran)\nspace alien"))
    assert found == pytest.approx({1: 0.5, 3: 0.25})
    decision = {"space alien (such as Alien)": 0.25, "drama war (such as Ran)": 0.75}
    assert shares(chosen(DecisionForm(NAMES), LISTED, **decision)) == pytest.approx({1: 0.75, 3: 0.25})


@pytest.mark.parametrize("form", [LettersForm(NAMES, 20), ListForm(NAMES), TextForm(NAMES)])
def test_asked_again_the_model_reads_what_was_wrong_and_the_request_is_another(form: Form) -> None:
    first, again = form.request(ALL), form.request(ALL, Invalid("'Paris' is none"))
    assert "'Paris' is none" in again.messages[-1][1]
    assert first.messages[0] == again.messages[0]
    assert first.id("planner") != again.id("planner")


def test_letters_are_read_with_what_tokenizers_put_around_them() -> None:
    found = shares(
        chosen(LettersForm(NAMES, 20), ALL, **{"A": 0.4, " A": 0.1, "▁B": 0.2, "ĠC": 0.1, "D.": 0.05})
    )
    assert list(found) == [0, 1, 2, 3]
    assert found[0] == pytest.approx(0.5 / 0.85, rel=1e-5)
    assert found[3] == pytest.approx(0.05 / 0.85, rel=1e-5)


def test_a_letter_that_is_missing_gets_less_than_the_least_that_is_there() -> None:
    found = shares(chosen(LettersForm(NAMES, 20), ALL, B=0.6, The=0.2, A=0.15))
    assert found[1] > found[0] > found[2] == found[3] > 0
    assert found[2] <= 0.15 / 2 / 0.75
    tight = shares(chosen(LettersForm(NAMES, 20), ALL, B=0.9, A=0.1))  # nothing is left for the others
    assert 0 < tight[2] < 1e-6


@given(
    st.dictionaries(
        st.sampled_from(["A", "B", " A", "C", "D", "E", "The", ""]),
        st.floats(-60, 0.0),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_the_log_probabilities_a_choice_is_ordered_and_sums_to_at_most_one(
    told: dict[str, float],
) -> None:
    choice = LettersForm(NAMES, 20).choice(ALL, ChatAnswer("A", tuple(told.items())))
    if isinstance(choice, Invalid):
        assert not {"A", "B", " A", "C", "D"} & set(told) or all(math.exp(v) == 0 for v in told.values())
        return
    assert sorted(choice.successors.tolist()) == [0, 1, 2, 3]
    assert np.isfinite(choice.logp).all()
    assert (np.diff(choice.logp) <= 0).all()
    assert np.exp(choice.logp.astype(float)).sum() <= 1 + 1e-6


def test_an_answer_without_a_letter_is_not_valid() -> None:
    found = chosen(LettersForm(NAMES, 20), ALL, "Well", Well=0.9, I=0.1)
    assert found == Invalid("'Well' is no letter of an interest")
    assert isinstance(chosen(LettersForm(NAMES, 20), FEW, "C", C=0.9), Invalid)  # there are two options


def test_a_list_is_kept_to_the_labels_and_ranked_by_place() -> None:
    form = ListForm(NAMES)
    request = form.request(FEW)
    assert request.schema is not None
    assert request.schema["properties"]["best"]["items"]["enum"] == ["A", "B"]
    assert shares(chosen(form, FEW, '{"best": ["B", "A"]}')) == pytest.approx({1: 0.5, 3: 0.25})
    assert shares(chosen(form, ALL, '```json\n{"best": ["C", "C", "Z", "A"]}\n```')) == pytest.approx(
        {2: 0.5, 0: 0.25}
    )


@pytest.mark.parametrize(
    "text", ["", "A", '{"best": []}', '{"best": ["Z", "A"]}', '{"other": ["A"]}', "[1]", "{" * 99]
)
def test_a_list_whose_first_is_no_label_is_not_valid(text: str) -> None:
    assert isinstance(chosen(ListForm(NAMES), ALL, text), Invalid)


def test_text_is_held_against_the_descriptions() -> None:
    form = TextForm(NAMES)
    found = shares(chosen(form, ALL, "1. Comedy, romance\n\n- *Drama War*\nsomething else\nhorror zombie."))
    assert found == pytest.approx({2: 0.5, 1: 0.25, 0: 0.125})


@pytest.mark.parametrize(
    "text", ["", " \n", "Sure! Here they are:\ndrama war", "drama", "drama war and more"]
)
def test_text_whose_first_line_is_no_description_is_not_valid(text: str) -> None:
    assert isinstance(chosen(TextForm(NAMES), ALL, text), Invalid)


def test_text_names_only_what_there_was_to_choose_from() -> None:
    assert isinstance(chosen(TextForm(NAMES), FEW, "horror zombie"), Invalid)


def test_two_descriptions_that_differ_by_signs_alone_are_told_by_them() -> None:
    form = TextForm(("a-b", "a b", "c"))
    assert shares(chosen(form, ALL, "a b\nA B\nc")) == pytest.approx({1: 0.5, 2: 0.25})


def test_a_decision_gives_each_option_its_probability() -> None:
    form = DecisionForm(NAMES)
    request = form.request(FEW)
    assert request.decides == ("space alien", "drama war")
    assert shares(chosen(form, FEW, **{"space alien": 0.25, "drama war": 0.75})) == pytest.approx(
        {1: 0.75, 3: 0.25}
    )
    assert isinstance(chosen(form, FEW, **{"space alien": 1.0}), Invalid)


def test_labels_are_different_and_of_one_sign_as_long_as_there_are_enough() -> None:
    assert labels(3) == ["A", "B", "C"]
    assert len(set(labels(62))) == 62
    assert labels(63)[:2] == ["1", "2"]
    assert json.dumps(ListForm([str(i) for i in range(400)]).request(ALL).schema)


def test_an_alternative_of_no_probability_leaves_every_letter_some() -> None:
    """vLLM tells -9999 for what can't come."""
    told = (("A", -0.1), ("B", -9999.0))
    choice = LettersForm(NAMES, 20).choice(ALL, ChatAnswer("A", told))
    assert isinstance(choice, Choice)
    assert np.isfinite(choice.logp).all()
    assert choice.successors[0] == 0
