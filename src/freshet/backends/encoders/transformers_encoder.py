"""Any sentence encoder of transformers, run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from freshet.backends.encoders import sentence_folder
from freshet.backends.encoders.sentence_folder import INSTEAD, SentenceFolder, refusal
from freshet.backends.planners.libraries import LibraryErrors, need_local, quiet
from freshet.backends.planners.model_folder import resolve_device
from freshet.core.errors import ConfigError
from freshet.core.ports import Progress, is_blank, silent

if TYPE_CHECKING:
    from torch import Tensor

_AGAIN = "copy or download the checkpoint again into a folder of its own, or name another one"

_FEWEST = 4
"""Least tokens that a text may be cut to; a limit below says that something is wrong."""


class TransformersEncoder:
    """The encoder in a folder or of the hub; found and loaded when it is first needed.

    Args:
        model: folder, or name on the hub.
        batch: texts computed together; those of about the same length are.
    """

    def __init__(self, model: str, batch: int) -> None:
        self._model = model
        self._batch = batch

    @property
    def version(self) -> str:
        """Of all the folder's files, by their bytes."""
        return self._folder.version

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
        """(n, d) unit rows; zero for blank texts. What is beyond the model's limit is not read."""
        network = self._network
        wanted = [row for row, text in enumerate(texts) if not is_blank(text)]
        found = np.zeros((len(texts), network.width), np.float32)
        tokens = network.tokens([texts[row] for row in wanted])
        # the longest first: they decide what memory is needed, so that it is lacking at once or never
        order = sorted(range(len(wanted)), key=lambda position: -len(tokens[position]))
        done = len(texts) - len(wanted)
        for start in range(0, len(order), self._batch):
            chosen = order[start : start + self._batch]
            with LibraryErrors(self._failed):
                vectors = network.vectors([tokens[position] for position in chosen])
            found[[wanted[position] for position in chosen]] = vectors
            done += len(chosen)
            progress(done, len(texts))
        return found

    def _failed(self, message: str) -> ConfigError:
        return refusal(
            self._folder.model,
            f"{self._batch} texts can't be encoded together: {message}",
            "lower [content] batch_size where memory is short, or name another sentence encoder",
        )

    @cached_property
    def _folder(self) -> SentenceFolder:
        return sentence_folder.find(self._model)

    @cached_property
    def _network(self) -> _Network:
        need_local("torch", "transformers", "safetensors", instead=INSTEAD)
        return _Network(self._folder)


class _Network:
    """A loaded model with its tokenizer.

    Raises:
        ConfigError: it can't be opened, is no encoder of text, or its weights are not whole.
    """

    def __init__(self, folder: SentenceFolder) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self._folder = folder
        self._device = resolve_device("auto")
        where = folder.model
        with LibraryErrors(lambda message: refusal(where, f"it can't be opened: {message}", _AGAIN)), quiet():
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                where, local_files_only=True, trust_remote_code=False
            )
            loaded: Any = AutoModel.from_pretrained(
                where,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        model, report = loaded
        if model.config.is_encoder_decoder:
            raise refusal(where, "an encoder with a decoder, expected an encoder alone")
        lacking = sorted(name for name in report["missing_keys"] if "pooler" not in name)  # it is not used
        if lacking:
            raise refusal(where, f"the weights lack {lacking[0]}, which would be random", _AGAIN)
        self._model: Any = model.to(self._device).eval()
        self._limit = self._limit_of(model.config)
        with LibraryErrors(lambda message: refusal(where, f"it can't encode text: {message}")):
            self.width = self.vectors(self.tokens(["."])).shape[1]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Numbers of each text's tokens, those that open and close a text included."""
        if not texts:
            return []
        worded = [self._folder.prompt + text.encode("utf-8", "replace").decode() for text in texts]
        if self._folder.lower:
            worded = [text.lower() for text in worded]
        with quiet():
            found = self._tokenizer(worded, truncation=True, max_length=self._limit)["input_ids"]
        return [list(ids) for ids in found]

    def vectors(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """(n, d) unit vectors of texts by their tokens.

        Raises:
            ConfigError: numbers are not finite.
        """
        import torch

        longest = max(1, *map(len, rows))
        ids = torch.full((len(rows), longest), self._tokenizer.pad_token_id or 0)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for row, numbers in enumerate(rows):  # on the right: first and last token stay where they are
            ids[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.long)
            mask[row, : len(numbers)] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            pooled = torch.nn.functional.normalize(self._pooled(hidden.float(), mask), dim=1)
        found = np.asarray(pooled.cpu().numpy(), np.float32)
        if not np.isfinite(found).all():
            raise refusal(self._folder.model, "what it computes is not finite", _AGAIN)
        return found

    def _pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(n, d) one vector of the (n, tokens, d) vectors of a text's tokens."""
        if self._folder.pooling == "cls":
            return hidden[:, 0]
        if self._folder.pooling == "lasttoken":
            last = (mask.sum(dim=1) - 1).clamp(min=0)
            return hidden[range(len(last)), last]
        weights = mask[:, :, None].float()
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)

    def _limit_of(self, config: Any) -> int:
        """Tokens read of a text: the least of what model, tokenizer and folder allow."""
        positions = getattr(config, "max_position_embeddings", None)
        if positions and config.model_type in _SHIFTED:
            positions -= (config.pad_token_id or 0) + 1
        limits = (positions, self._tokenizer.model_max_length, self._folder.longest)
        # where nothing is known, tokenizers say 10^30
        limit = min((int(limit) for limit in limits if limit and 0 < limit < 10**9), default=512)
        if limit < _FEWEST:
            raise refusal(self._folder.model, f"it reads {limit} tokens of a text at most", _AGAIN)
        return limit


_SHIFTED = (
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
    "longformer",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
)
"""Models that number positions from behind the padding token, so that they have fewer than it seems."""
