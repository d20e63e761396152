"""Tokenizers of many kinds: with spaces of their own, with tokens at both ends, with chat templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshet.backends.planners.chat_template import ChatTemplate
from freshet.backends.planners.tokenisation import Tokenisation, following
from freshet.core.errors import ArtifactError
from freshet.core.types import Prompt
from tests.backends.planners import worlds
from tests.backends.planners.tokenizers_made import CHATML, LLAMA2, tokenizer


@pytest.mark.parametrize("kind", ["bytes", "metaspace", "prepended"])
def test_a_name_stands_after_a_prompt_as_in_a_text(kind: str) -> None:
    words = Tokenisation.of(tokenizer(kind))
    [prompt] = words.prompts([Prompt((4,), "liked : drama ; next :")])
    [answer] = words.completions(["war drama"])
    whole = words.tokenizer("liked : drama ; next : war drama", add_special_tokens=False)["input_ids"]
    assert [*prompt, *answer] == [*whole, words.tokenizer.eos_token_id]


def test_a_space_of_ones_own_would_be_one_too_many() -> None:
    made = tokenizer("prepended")
    assert made(" war", add_special_tokens=False)["input_ids"] != following(made, ["war"])[0]


def test_tokens_at_both_ends_stand_where_they_belong() -> None:
    words = Tokenisation.of(tokenizer("ends"))
    [prompt] = words.prompts([Prompt((4,), "liked : drama ; next :")])
    [answer] = words.completions(["war"])
    assert prompt[0] == 1
    assert [token for token in (*prompt, *answer) if token in (1, 2)] == [1, 2]
    assert answer[-1] == 2


def test_a_chat_template_stands_around_prompt_and_answer() -> None:
    words = Tokenisation.of(tokenizer(template=CHATML), chat=True)
    plain = Prompt((4,), "liked : drama ; next :")
    told = Prompt((4,), "liked : drama ; next :", system="Answer with one name.")
    first, second = words.prompts([plain, told])
    assert words.tokenizer.decode(first) == (
        "<|im_start|>user\nliked : drama ; next :<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    assert words.tokenizer.decode(second).startswith("<|im_start|>system\nAnswer with one name.<|im_end|>\n")
    [answer] = words.completions(["war drama"])
    assert words.tokenizer.decode(answer) == "war drama<|im_end|>"
    assert words.tokenizer.convert_ids_to_tokens(first[0]) == "<|im_start|>"  # one token, not its letters


def test_without_a_closing_token_the_end_of_text_closes_an_answer() -> None:
    words = Tokenisation.of(tokenizer(template=CHATML.replace("<|im_end|>", " .")), chat=True)
    assert words.end == words.tokenizer.eos_token_id


def test_a_template_that_takes_no_instruction_gets_it_before_the_prompt() -> None:
    words = Tokenisation.of(tokenizer("ends", LLAMA2), chat=True)
    assert words.chat is not None
    assert not words.chat.system
    [prompt] = words.prompts([Prompt((4,), "next :", system="Answer with one name.")])
    text = words.tokenizer.decode(prompt)
    assert text == "<s>[INST] Answer with one name.\n\nnext : [/INST]"
    [answer] = words.completions(["war"])
    assert words.tokenizer.decode(answer) == " war</s>"
    assert prompt.count(1) == 1  # the template writes it, and the tokenizer not again


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('never') }}", "{{ nothing.at.all }}", "always this"]
)
def test_a_template_that_cannot_be_applied_is_refused(template: str) -> None:
    with pytest.raises(ArtifactError, match="chat template can't be applied") as caught:
        ChatTemplate.of(tokenizer(template=template))
    assert "chat = false" in caught.value.hint


def test_a_saved_tokenizer_words_prompts_alike(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    made = tokenizer(template=CHATML)
    made.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    prompts = worlds.prompts("description", 5)
    assert Tokenisation.of(again, True).prompts(prompts) == Tokenisation.of(made, True).prompts(prompts)
