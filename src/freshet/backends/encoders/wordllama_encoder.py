"""WordLlama: one ready vector per token, taken from a large language model, averaged over a text.

The package brings its weights (16 MB) and tokenizer along. They are read from there directly: its own loader
looks for them elsewhere and downloads them. Nothing is computed but a mean, so no GPU and no torch is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners.libraries import LibraryErrors
from freshet.core.errors import ArtifactError, MissingExtra
from freshet.core.ports import Progress, is_blank, silent
from freshet.storage.checksums import remembered, sha256

WEIGHTS, TOKENIZER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"

CODE = 1
"""Raised when texts become other vectors by the same files."""

_TOGETHER = 256
"""Texts of one pass: their tokens' vectors are in memory at once."""


class WordLlamaEncoder:
    """The encoder in the package `wordllama`; found and loaded when it is first needed."""

    @cached_property
    def version(self) -> str:
        """Of the files in the package."""
        listed = "".join(remembered(path, sha256) for path in (self._file(WEIGHTS), self._file(TOKENIZER)))
        return f"wordllama-{hashlib.sha256(f'{CODE} {listed}'.encode()).hexdigest()[:16]}"

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
        """(n, 256) unit means of the vectors of tokens; zero for a blank text."""
        table, tokenizer = self._loaded
        found = np.zeros((len(texts), table.shape[1]), np.float32)
        for start in range(0, len(texts), _TOGETHER):
            batch = texts[start : start + _TOGETHER]
            # half a character, as a damaged file may hold, is no text to a tokenizer
            clean = [text.encode("utf-8", "replace").decode() for text in batch]
            tokens = tokenizer.encode_batch(clean, add_special_tokens=False)
            for row, (text, token) in enumerate(zip(batch, tokens, strict=True), start):
                if not is_blank(text):
                    found[row] = _mean(table, token.ids)
            progress(start + len(batch), len(texts))
        return found

    @cached_property
    def _loaded(self) -> tuple[NDArray[np.float32], Any]:
        """(tokens, 256) vectors, and the tokenizer.

        Raises:
            MissingExtra: the package is not installed.
            ArtifactError: its files are damaged.
        """
        weights, words = self._file(WEIGHTS), self._file(TOKENIZER)
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        def damaged(message: str) -> ArtifactError:
            return ArtifactError(
                f"the files of the package wordllama in {weights.parent.parent} can't be read: {message}",
                hint="pip install --force-reinstall wordllama",
            )

        with LibraryErrors(damaged):
            (table,) = load_file(weights).values()
            tokenizer = Tokenizer.from_file(str(words))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            if table.ndim != 2 or len(table) < tokenizer.get_vocab_size() or not np.isfinite(table).all():
                raise ValueError(f"vectors of shape {table.shape} don't go with the tokenizer")
        return table.astype(np.float32), tokenizer

    @staticmethod
    def _file(name: str) -> Path:
        """A file of the package, which is not imported."""
        spec = find_spec("wordllama")
        install = (
            "pip install 'freshet[wordllama]'   (or set [content] encoder = \"tfidf\", which needs it not)"
        )
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtra(
                '[content] encoder = "wordllama" needs the package wordllama, which is not installed',
                hint=install,
            )
        path = Path(spec.submodule_search_locations[0], name)
        if not path.is_file():
            raise MissingExtra(
                f"the package wordllama does not hold {name}: it is another version", hint=install
            )
        return path


def _mean(table: NDArray[np.float32], tokens: list[int]) -> NDArray[np.float64]:
    """(256,) of length one; zero where there is no token, or where they cancel out."""
    if not tokens:
        return np.zeros(table.shape[1])
    mean = table[tokens].mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 1e-9 else np.zeros_like(mean)
