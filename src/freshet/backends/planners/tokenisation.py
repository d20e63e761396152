"""Text to tokens, the same way in training and in inference.

Prompt and completion are tokenised apart and joined as tokens, so that the boundary between them is the
same whatever the tokenizer would merge across it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freshet.backends.planners.chat_template import ChatTemplate
from freshet.core.errors import ArtifactError, PlannerError
from freshet.core.prompts import NEXT
from freshet.core.types import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Tokenisation:
    """How prompts and completions of one model become tokens.

    Attributes:
        tokenizer: of the model.
        chat: its chat template, where prompts go through that; None = text is read and written plainly.
    """

    tokenizer: PreTrainedTokenizerBase
    chat: ChatTemplate | None = None

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, chat: bool = False) -> Tokenisation:
        """With the tokenizer's chat template or without it.

        Raises:
            ArtifactError: the template can't be applied.
        """
        return cls(tokenizer, ChatTemplate.of(tokenizer) if chat else None)

    @property
    def end(self) -> int:
        """The token that closes every completion."""
        return end_token(self.tokenizer) if self.chat is None else self.chat.end

    def prompts(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Tokens of each prompt; instructions (`Prompt.system`) are for models that chat."""
        if self.chat is None:
            return prompt_tokens(self.tokenizer, [prompt.text for prompt in prompts])
        if not prompts:
            return []
        # the template writes the start token itself, where there is one
        encoded = self.tokenizer(self.chat.render(prompts), add_special_tokens=False)["input_ids"]
        return [list(ids) for ids in encoded]

    def completions(self, names: Sequence[str]) -> list[list[int]]:
        """Tokens of each completion, the end token last.

        Raises:
            PlannerError: a name holds a word that the tokenizer doesn't know.
        """
        if self.chat is None:
            return completion_tokens(self.tokenizer, names)
        if not names:
            return []
        texts = [f"{self.chat.lead}{name}" for name in names]
        encoded = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return _closed(self.tokenizer, names, encoded, self.end)

    def answers(self, names: Sequence[str], mode: str) -> list[list[int]]:
        """Completions of all names; in the mode `label` each is one token, and the end.

        Raises:
            PlannerError: a name holds a word that the tokenizer doesn't know, or a label is cut up.
        """
        found = self.completions(names)
        if mode == "label" and any(len(tokens) != 2 for tokens in found):
            raise PlannerError(
                "the model's tokenizer does not hold a label as one token",
                hint="the folder was not tuned in label mode: run `freshet finetune`",
            )
        return found


def end_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that closes every completion of a model that doesn't chat."""
    if tokenizer.eos_token_id is None:
        raise ArtifactError(
            "the model's tokenizer has no end-of-text token",
            hint="choose a base checkpoint whose tokenizer defines eos_token",
        )
    return int(tokenizer.eos_token_id)


def prompt_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Tokens of each prompt, with the tokenizer's own start token but no end token."""
    if not texts:
        return []
    words = _vocabulary_of_words(tokenizer)
    if words is not None:
        unknown = tokenizer.unk_token_id
        return [_looked_up(words, text.split(), unknown) for text in texts]
    end = tokenizer.eos_token_id
    encoded = tokenizer(list(texts), add_special_tokens=True)["input_ids"]
    return [ids[:-1] if len(ids) > 1 and ids[-1] == end else list(ids) for ids in encoded]


def _vocabulary_of_words(tokenizer: PreTrainedTokenizerBase) -> dict[str, int] | None:
    """Word -> token, where a tokenizer does nothing but look up words between spaces; None for others.

    Such a tokenizer belongs to a model so small that the general machinery would take longer than the model.
    """
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if (
        backend is None
        or backend.normalizer is not None
        or tokenizer.num_special_tokens_to_add()
        or not isinstance(backend.model, WordLevel)
        or not isinstance(backend.pre_tokenizer, WhitespaceSplit)
    ):
        return None
    return dict(backend.get_vocab())


def _looked_up(words: dict[str, int], text: list[str], unknown: int) -> list[int]:
    try:
        return list(map(words.__getitem__, text))
    except KeyError:
        return [words.get(word, unknown) for word in text]


def completion_tokens(tokenizer: PreTrainedTokenizerBase, names: Sequence[str]) -> list[list[int]]:
    """Tokens of each completion of a model that doesn't chat: the name after a space, the end token.

    Raises:
        PlannerError: a name holds a word that the tokenizer doesn't know.
    """
    if not names:
        return []
    return _closed(tokenizer, names, following(tokenizer, names), end_token(tokenizer))


def following(tokenizer: PreTrainedTokenizerBase, names: Sequence[str]) -> list[list[int]]:
    """Tokens of each name as it stands after a prompt's last word.

    Some tokenizers write a space as a letter of the word after it, others add one to every text by
    themselves: a name with a space before it, on its own, would have two there. So it is read behind the
    last words of a prompt, and these are cut off.
    """
    if not names:
        return []
    before = list(tokenizer(NEXT, add_special_tokens=False)["input_ids"])
    alone: list[list[int]] = tokenizer([f" {name}" for name in names], add_special_tokens=False)["input_ids"]
    behind = tokenizer([f"{NEXT} {name}" for name in names], add_special_tokens=False)["input_ids"]
    size = len(before)
    return [
        list(ids[size:]) if list(ids[:size]) == before else list(other)
        for ids, other in zip(behind, alone, strict=True)
    ]


def _closed(
    tokenizer: PreTrainedTokenizerBase, names: Sequence[str], encoded: Sequence[Sequence[int]], end: int
) -> list[list[int]]:
    """Names as tokens, with the end token after each."""
    unknown = tokenizer.unk_token_id
    for name, ids in zip(names, encoded, strict=True):
        if not ids or (unknown is not None and unknown != end and unknown in ids):
            raise PlannerError(
                f"the model's tokenizer does not know the interest {name!r}",
                hint="the interests changed after the model was made: run `freshet finetune`",
            )
    return [[*ids, end] for ids in encoded]


def check_room(
    prompts: Sequence[Prompt], tokens: Sequence[Sequence[int]], answer: int, limit: int | None
) -> None:
    """Check that prompts, given with their tokens, leave room for `answer` more tokens.

    Raises:
        PlannerError: one doesn't.
    """
    for prompt, ids in zip(prompts, tokens, strict=True):
        needed = len(ids) + answer
        if limit is not None and needed > limit:
            raise PlannerError(
                f"the prompt of context {prompt.context} needs {needed} tokens, the model has {limit}",
                hint="name fewer successors in the prompt ([evidence] top) or shorten descriptions",
            )
