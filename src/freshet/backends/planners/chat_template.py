"""Chat templates: what a checkpoint made for conversations reads around a prompt and after an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from freshet.backends.planners.libraries import LibraryErrors
from freshet.core.errors import ArtifactError
from freshet.core.types import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ASKED, ANSWERED, TOLD = "xqquestionqx", "xqanswerqx", "xqinstructionqx"
"""What stands for a prompt, an answer and an instruction where the template is looked at."""

NO_THINKING = {"enable_thinking": False, "thinking": False}
"""Variables of templates (Qwen 3, DeepSeek, Granite) that turn thinking before the answer off; others ignore
them. An answer is the name of an interest and nothing else."""

Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A tokenizer's chat template, looked at once.

    Attributes:
        before, after: what it writes before a prompt, and between the prompt and the answer.
        lead: what it writes between that and the answer's first letter, such as a space.
        end: the token that it closes an answer with.
        system: whether instructions have a place of their own; otherwise they stand before the prompt.
    """

    tokenizer: PreTrainedTokenizerBase
    before: str
    after: str
    lead: str
    end: int
    system: bool

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> ChatTemplate:
        """The template of a tokenizer that has one.

        Raises:
            ArtifactError: it can't be applied to one question.
        """
        with LibraryErrors(_unusable):
            asked = _applied(tokenizer, [_message("user", ASKED)])
        before, found, after = asked.partition(ASKED)
        if not found:
            raise _unusable("what the user says is not in its text")
        lead, end = _answer(tokenizer, asked)
        return cls(tokenizer, before, after, lead, end, _has_system(tokenizer))

    def render(self, prompts: Sequence[Prompt]) -> list[str]:
        """Each prompt as the template words it, up to where the answer begins."""
        frames = {"": (self.before, self.after)}
        texts = []
        for prompt in prompts:
            if prompt.system not in frames:
                frames[prompt.system] = self._frame(prompt.system)
            before, after = frames[prompt.system]
            texts.append(before + prompt.text + after)
        return texts

    def _frame(self, system: str) -> tuple[str, str]:
        """What stands around prompts that come with an instruction."""
        if not self.system:
            return f"{self.before}{system}\n\n", self.after
        messages = [_message("system", system), _message("user", ASKED)]
        before, _, after = _applied(self.tokenizer, messages).rpartition(ASKED)
        return before, after


def _message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _applied(tokenizer: PreTrainedTokenizerBase, messages: Messages, *, more: bool = True) -> str:
    """The text of a conversation; `more`: an answer is to follow."""
    apply: Any = tokenizer.apply_chat_template  # its types know no variables of templates
    return str(apply(messages, tokenize=False, add_generation_prompt=more, **NO_THINKING))


def _answer(tokenizer: PreTrainedTokenizerBase, asked: str) -> tuple[str, int]:
    """What the template writes right before an answer, and the token it closes one with.

    Where it shows none, an answer follows at once, and the end-of-text token closes it.
    """
    end = int(tokenizer.eos_token_id or 0)
    conversation = [_message("user", ASKED), _message("assistant", ANSWERED)]
    try:
        with LibraryErrors(_unusable):  # a template refuses what it doesn't like by raising
            whole = _applied(tokenizer, conversation, more=False)
    except ArtifactError:
        return "", end
    before, found, closing = whole.partition(ANSWERED)
    if not found:
        return "", end
    lead = before.removeprefix(asked) if before.startswith(asked) else ""
    first = tokenizer(closing, add_special_tokens=False)["input_ids"][:1]
    closes = first and first[0] in tokenizer.all_special_ids
    return "" if lead.strip() else lead, int(first[0]) if closes else end


def _has_system(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the template takes instructions; some refuse them, some leave them out in silence."""
    try:
        with LibraryErrors(_unusable):
            return TOLD in _applied(tokenizer, [_message("system", TOLD), _message("user", ASKED)])
    except ArtifactError:
        return False


def _unusable(why: str) -> ArtifactError:
    return ArtifactError(
        f"the tokenizer's chat template can't be applied: {why}",
        hint="[planner] chat = false does without it",
    )
