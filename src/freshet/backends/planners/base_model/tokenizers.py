"""Whether a checkpoint's tokenizer goes with its weights, knows the words of prompts, and leaves room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from freshet.backends.planners import tokenisation
from freshet.backends.planners.base_model.sources import refusal
from freshet.backends.planners.libraries import LibraryErrors, quiet
from freshet.core.prompts import NEXT, names

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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


def check_names(
    folder: Path, tokenizer: PreTrainedTokenizerBase, descriptions: Sequence[str], mode: str, rows: int
) -> int:
    """Compare what the planner will write with a tokenizer; labels are added to it.

    Args:
        rows: of embeddings, before labels are added.

    Returns:
        Tokens of the longest answer, its end included.

    Raises:
        ConfigError: the tokenizer lacks words of an interest, or can't tell two apart.
    """
    unlike = "name a checkpoint whose tokenizer knows the language of the descriptions"
    unknown = tokenizer.unk_token_id
    for text, ids in zip(descriptions, _tokens(tokenizer, descriptions), strict=True):
        if not ids or max(ids) >= rows or (mode == "description" and unknown is not None and unknown in ids):
            raise refusal(folder, f"the tokenizer does not know the interest {text!r}", unlike)
    if mode == "label":
        add_tokens(tokenizer, names(descriptions, mode))
    answers = tokenisation.completion_tokens(tokenizer, names(descriptions, mode))
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


def _tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    found = tokenizer([f" {text}" for text in texts], add_special_tokens=False)["input_ids"]
    return [list(ids) for ids in found]


def by_length(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[str]:
    """Texts, those of most tokens first."""
    lengths = [len(ids) for ids in _tokens(tokenizer, texts)]
    return [texts[row] for row in sorted(range(len(texts)), key=lambda row: -lengths[row])]


def check_room(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    answer: int,
    max_positions: int | None,
) -> None:
    """Compare the length of prompts, and of an answer after them, with the positions that a model has.

    Raises:
        ConfigError: one is too long.
    """
    longest = max(map(len, tokenisation.prompt_tokens(tokenizer, prompts)), default=0)
    if max_positions is not None and longest + answer > max_positions:
        raise refusal(
            folder,
            f"the model has {max_positions:,} positions, a prompt may need {longest:,} tokens and its answer "
            f"{answer:,}",
            "name a checkpoint with more (max_position_embeddings); or lower [evidence] top or "
            "[transitions] k, or shorten the descriptions",
        )


def add_tokens(tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]) -> int:
    """Add a token for each label; returns how many rows of embeddings the tokenizer needs then."""
    from tokenizers import AddedToken

    tokenizer.add_tokens(
        [AddedToken(label, lstrip=True, normalized=False, special=False) for label in labels]
    )
    return 1 + max(tokenizer.get_vocab().values())
