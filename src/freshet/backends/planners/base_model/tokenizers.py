"""Whether a checkpoint's tokenizer goes with its weights, knows the words of prompts, and leaves room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from freshet.backends.planners.base_model.sources import refusal
from freshet.backends.planners.libraries import LibraryErrors, quiet
from freshet.backends.planners.tokenisation import Tokenisation, following
from freshet.core.errors import ArtifactError
from freshet.core.prompts import NEXT, names
from freshet.core.types import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Chat = bool | Literal["auto"]

GOES_WITH = (
    "copy the tokenizer of this very checkpoint into the folder (tokenizer.json, tokenizer_config.json)"
)


def tokenizer_of(folder: Path, rows: int) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint whose model has so many rows of embeddings.

    Raises:
        ConfigError: it is missing or damaged, or texts may become tokens that the model has no rows for.
    """
    from transformers import AutoTokenizer

    with (
        LibraryErrors(lambda message: refusal(folder, f"the tokenizer can't be read: {message}", GOES_WITH)),
        quiet(),
    ):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        known = tokenizer.get_vocab()
        fixed = tokenizer(NEXT, add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    if set(known.values()) <= special or not fixed or set(fixed) <= special:
        # where its files are missing, transformers makes one that knows no words
        raise refusal(folder, "no tokenizer, or one that knows no words", GOES_WITH)
    highest = max(_read_or_written(tokenizer))
    if highest >= rows:
        raise refusal(
            folder,
            f"the tokenizer's tokens go up to number {highest:,}, the model has {rows:,} rows of embeddings",
            "tokens were added without resizing the model, or the tokenizer is of another checkpoint: "
            f"{GOES_WITH}; or save the model after resize_token_embeddings(len(tokenizer))",
        )
    if tokenizer.eos_token_id is None:
        raise refusal(
            folder,
            "the tokenizer has no end-of-text token (eos_token), which closes every answer",
            "set eos_token in tokenizer_config.json, or name another checkpoint",
        )
    return tokenizer


def worded(folder: Path, tokenizer: PreTrainedTokenizerBase, chat: Chat) -> Tokenisation:
    """How text becomes tokens: through the chat template, if so wished, or where there is one.

    Raises:
        ConfigError: there is none, or it can't be applied.
    """
    has = bool(tokenizer.chat_template)
    if chat is True and not has:
        raise refusal(
            folder,
            "[planner] chat = true, and the tokenizer has no chat template",
            'chat = "auto", or name a checkpoint made for conversations (chat_template.jinja)',
        )
    try:
        return Tokenisation.of(tokenizer, has if chat == "auto" else chat)
    except ArtifactError as error:
        raise refusal(folder, error.message, error.hint) from None


def _read_or_written(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """All tokens but those that stand for something else than text, such as an image, which Gemma 3 has."""
    added = tokenizer.added_tokens_decoder
    ours = {
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        tokenizer.unk_token_id,
        *tokenizer("")["input_ids"],
    }
    return {
        number
        for number in tokenizer.get_vocab().values()
        if number in ours or number not in added or not added[number].special
    }


def check_names(folder: Path, words: Tokenisation, descriptions: Sequence[str], mode: str, rows: int) -> int:
    """Compare what the planner will write with a tokenizer; labels are added to it.

    Args:
        rows: of embeddings, before labels are added.

    Returns:
        Tokens of the longest answer, its end included.

    Raises:
        ConfigError: the tokenizer lacks words of an interest, or can't tell two apart.
    """
    tokenizer = words.tokenizer
    unlike = "name a checkpoint whose tokenizer knows the language of the descriptions"
    unknown = tokenizer.unk_token_id
    for text, ids in zip(descriptions, following(tokenizer, descriptions), strict=True):
        if not ids or max(ids) >= rows or (mode == "description" and unknown is not None and unknown in ids):
            raise refusal(folder, f"the tokenizer does not know the interest {text!r}", unlike)
    if mode == "label":
        add_tokens(tokenizer, names(descriptions, mode))
    answers = words.completions(names(descriptions, mode))
    seen: dict[tuple[int, ...], str] = {}
    for text, ids in zip(names(descriptions, mode), answers, strict=True):
        other = seen.setdefault(tuple(ids), text)
        if other != text:
            raise refusal(folder, f"to the tokenizer, {other!r} and {text!r} are the same interest", unlike)
        if mode == "label" and len(ids) != 2:  # the label and the end
            raise refusal(
                folder,
                "the tokenizer does not hold a label as one token",
                '[planner] mode = "description", or another checkpoint',
            )
    return max(map(len, answers), default=0)


def by_length(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[str]:
    """Texts, those of most tokens first."""
    lengths = [len(ids) for ids in following(tokenizer, texts)]
    return [texts[row] for row in sorted(range(len(texts)), key=lambda row: -lengths[row])]


def check_room(
    folder: Path,
    words: Tokenisation,
    prompts: Sequence[Prompt],
    answer: int,
    max_positions: int | None,
) -> int:
    """Compare the length of prompts, and of an answer after them, with the positions that a model has.

    Returns:
        Tokens of the longest prompt and answer.

    Raises:
        ConfigError: one is too long.
    """
    longest = max(map(len, words.prompts(prompts)), default=0)
    if max_positions is not None and longest + answer > max_positions:
        raise refusal(
            folder,
            f"the model has {max_positions:,} positions, a prompt may need {longest:,} tokens and its answer "
            f"{answer:,}",
            "name a checkpoint with more (max_position_embeddings); or lower [evidence] top or "
            "[transitions] k, or shorten the descriptions",
        )
    return longest + answer


def add_tokens(tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]) -> int:
    """Add a token for each label; returns how many rows of embeddings the tokenizer needs then."""
    from tokenizers import AddedToken

    tokenizer.add_tokens(
        [AddedToken(label, lstrip=True, normalized=False, special=False) for label in labels]
    )
    return 1 + max(tokenizer.get_vocab().values())
