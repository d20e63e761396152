"""Vectors from a server that speaks OpenAI's embeddings protocol: OpenAI's own, vLLM, Ollama and many more.

Texts are sent there and nothing else is. The key is read from the environment at every call and goes into the
request's header alone: it is in no setting, no artifact, no version, and no message.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import math
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.backends.encoders.embedding_answer import BadAnswer, vectors_of
from freshet.core.errors import EncoderError
from freshet.core.ports import Progress, is_blank, silent

TRIES = 6
"""Times that one batch is sent at most."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 120.0
"""Seconds before the second try, which double from then on; and the longest that a server may ask to wait."""

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
"""Answers after which the same request may go well."""

_SHOWN = 200
"""Characters of a server's message."""


class OpenAIEncoder:
    """A model behind an endpoint.

    Args:
        model: what the server calls it.
        endpoint: base URL; `/embeddings` is added.
        api_key_env: environment variable of the key; '' = none.
        batch: texts of one request.
        timeout: seconds that the server may keep silent.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        model: str,
        endpoint: str,
        api_key_env: str,
        batch: int,
        timeout: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model = model
        self._url = endpoint.rstrip("/") + "/embeddings"
        self._key_name = api_key_env
        self._batch = batch
        self._timeout = timeout
        self._sleep = sleep

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
        body = json.dumps({"model": self._model, "input": clean, "encoding_format": "float"}).encode()
        problem = ""
        for attempt in range(TRIES):
            asked_to_wait = 0.0
            try:
                return vectors_of(self._sent(body), len(texts))
            except urllib.error.HTTPError as error:
                with error:
                    problem = self._told(error)
                    if error.code not in _AGAIN:
                        raise EncoderError(
                            f"{self._url}: {name}: {problem}", hint=self._hint(error)
                        ) from None
                    asked_to_wait = retry_after(error.headers.get("Retry-After", ""), time.time())
            except BadAnswer as error:
                problem = str(error)
                if not error.cut_short:
                    raise EncoderError(
                        f"{self._url}: {name}: {problem}",
                        hint=f"is {self._model!r} an embedding model, and the protocol OpenAI's?",
                    ) from None
            except (OSError, HTTPException) as error:  # not reached, too slow, or gone in the middle
                problem = self._without_key(str(error) or type(error).__name__)
            if asked_to_wait > LONGEST_WAIT:
                problem += f"; it asks to wait {asked_to_wait:.0f} seconds"
                break
            if attempt < TRIES - 1:
                self._sleep(pause(attempt, asked_to_wait, random.random()))
        raise EncoderError(
            f"{self._url}: {name}: no vectors after {attempt + 1} tries: {problem}",
            hint="see to [content] endpoint and the server; the same command continues where it was",
            retryable=True,
        )

    def _sent(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key := self._key():
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self._url, body, headers, method="POST")
        with _OPENER.open(request, timeout=self._timeout) as answer:
            found: bytes = answer.read()
        return found

    def _key(self) -> str:
        """The key, as the environment has it now.

        Raises:
            EncoderError: it can't be a header.
        """
        key = os.environ.get(self._key_name, "").strip() if self._key_name else ""
        if not key.isascii() or not key.isprintable():
            raise EncoderError(
                f"the environment variable {self._key_name} holds what can't be a key",
                hint="expected one line of ASCII characters",
            )
        return key

    def _told(self, error: urllib.error.HTTPError) -> str:
        """What a refusal says, in one line; nothing of what it says about the key."""
        told = f"HTTP {error.code} {error.reason}"
        if error.code in (401, 403):  # servers repeat parts of the key
            return told
        try:
            message = message_of(error.read(100_000))
        except (OSError, HTTPException):
            message = ""
        return self._without_key(f"{told}: {message}" if message else told)

    def _hint(self, error: urllib.error.HTTPError) -> str:
        if error.code in (401, 403):
            state = "is set" if self._key_name and os.environ.get(self._key_name) else "is not set"
            return f"the server wants another key: {self._key_name or '[content] api_key_env'} {state}"
        if error.code == 404:
            return "see to [content] endpoint, which often ends in /v1, and model"
        if 300 <= error.code < 400:
            return "it sends elsewhere, which is not followed: name the address it should be as endpoint"
        return "see to [content] model and batch_size; texts may be too many or too long for this model"

    def _without_key(self, text: str) -> str:
        key = os.environ.get(self._key_name, "").strip() if self._key_name else ""
        return text.replace(key, "***") if key else text


def rows_of(parts: Sequence[NDArray[np.float32]]) -> int:
    """Rows of all parts together."""
    return sum(map(len, parts))


def pause(attempt: int, asked: float, chance: float) -> float:
    """Seconds before the next try: no less than what the server asked for, and longer from try to try.

    Args:
        attempt: tries so far, less one.
        chance: from 0 to 1, so that many who were refused together don't come back together.
    """
    own = FIRST_WAIT * float(2**attempt)
    return max(asked, own / 2) + chance * own / 2


def retry_after(header: str, now: float) -> float:
    """Seconds that a `Retry-After` asks for, as a number or as a date; 0 where it says nothing."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - now
        except ValueError:
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


def message_of(body: bytes) -> str:
    """The message in a refusal, in one line: JSON as OpenAI has it, or plain text; '' of a page."""
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        return "" if text.lstrip().startswith("<") else " ".join(text.split())[:_SHOWN]
    for name in ("error", "message", "detail"):
        if isinstance(content, dict) and name in content:
            content = content[name]
    return " ".join(str(content).split())[:_SHOWN]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: following it would take texts and key to an address nobody configured."""

    def redirect_request(self, *_: Any) -> None:
        """None: it becomes an HTTPError."""


_OPENER = urllib.request.build_opener(_NoRedirect)
