"""Vectors from a server that speaks OpenAI's embeddings protocol: OpenAI's own, vLLM, Ollama and many more.

Texts are sent there and nothing else is. The key is read from the environment at every call and goes into the
request's header alone: it is in no setting, no artifact, no version, and no message.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.backends.encoders.embedding_answer import BadAnswer, vectors_of
from freshet.backends.http_json import Failing, JsonClient, Refusal
from freshet.backends.telemetry import gen_ai
from freshet.core.errors import EncoderError
from freshet.core.ports import Progress, is_blank, silent


class OpenAIEncoder:
    """A model behind an endpoint.

    Args:
        model: what the server calls it.
        endpoint: base URL; `/embeddings` is added.
        api_key_env: environment variable of the key; '' = none.
        batch: texts of one request.
        timeout: seconds that the server may keep silent.
        sleep: waits for seconds; None = really.
    """

    def __init__(
        self,
        model: str,
        endpoint: str,
        api_key_env: str,
        batch: int,
        timeout: float,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._model = model
        self._client = JsonClient(endpoint, api_key_env, timeout, sleep=sleep)
        self._url = self._client.base + "/embeddings"
        self._batch = batch

    @property
    def version(self) -> str:
        """Of the address and the model's name: what weights the server has nobody can see from here."""
        return f"openai-{hashlib.sha256(f'{self._url} {self._model}'.encode()).hexdigest()[:16]}"

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
        """(n, d) unit rows; zero for blank texts, which are not sent."""
        wanted = [row for row, text in enumerate(texts) if not is_blank(text)]
        parts: list[NDArray[np.float32]] = []
        batches = math.ceil(len(wanted) / self._batch)
        for number in range(batches):
            rows = wanted[number * self._batch : (number + 1) * self._batch]
            name = f"batch {number + 1} of {batches} ({len(rows)} texts)"
            part = self._asked([texts[row] for row in rows], name)
            if parts and part.shape[1] != parts[0].shape[1]:
                raise EncoderError(
                    f"{self._url}: {name}: vectors have {part.shape[1]} numbers, those before "
                    f"{parts[0].shape[1]}",
                    hint=f"expected one width for all texts: is {self._model!r} one model?",
                )
            parts.append(part)
            progress(len(texts) - len(wanted) + rows_of(parts), len(texts))
        found = np.zeros((len(texts), parts[0].shape[1] if parts else 0), np.float32)
        if parts:
            found[wanted] = np.concatenate(parts)
        return found

    def _asked(self, texts: Sequence[str], name: str) -> NDArray[np.float32]:
        """Vectors of one batch, sent again while that may help.

        Raises:
            EncoderError: the server refused it, or gave no good answer in all tries.
        """
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        content = {"model": self._model, "input": clean, "encoding_format": "float"}

        def read(body: bytes) -> NDArray[np.float32]:
            try:
                return vectors_of(body, len(texts))
            except BadAnswer as error:
                raise Refusal(Failing.BUSY if error.cut_short else Failing.REFUSED, str(error)) from None

        try:
            with gen_ai.call("embeddings", self._url, self._model):
                return self._client.asked("/embeddings", content, read)
        except Refusal as refusal:
            told = f"{self._url}: {name}: "
            if not refusal.passing:
                raise EncoderError(f"{told}{refusal.said}", hint=self._hint(refusal)) from None
            raise EncoderError(
                f"{told}no vectors after {refusal.tries} tries: {refusal.said}",
                hint="see to [content] endpoint and the server; the same command continues where it was",
                retryable=True,
            ) from None

    def _hint(self, refusal: Refusal) -> str:
        if general := self._client.hint(refusal, "[content]"):
            return general
        if not refusal.status:  # it answered, with something else than vectors
            return f"is {self._model!r} an embedding model, and the protocol OpenAI's?"
        return "see to [content] model and batch_size; texts may be too many or too long for this model"


def rows_of(parts: Sequence[NDArray[np.float32]]) -> int:
    """Rows of all parts together."""
    return sum(map(len, parts))
