"""Messages to a webhook, signed as Standard Webhooks has it; tried again while that may help."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from freshet.backends.http_json import Failing, JsonClient, Refusal, pause
from freshet.core.errors import ExportError

TRIES = 4
"""Times that a message is sent in one run."""

PATIENCE = 60.0
"""Seconds that one run spends on one message at most, whatever the server does."""

_AGAIN = (408, 425, 429)
"""Answers of 400 to 499 after which the same message may be taken."""

_MARK = "whsec_"
"""In front of secrets that are written in base64."""


class Webhook:
    """A URL that takes messages.

    Args:
        url: whole; what is behind its host may be secret and is not shown.
        secret_name: environment variable of the secret; '' = messages are not signed.
        timeout: seconds that the server may keep silent.
        sleep: waits for seconds.
        clock: seconds since 1970.
        tries: times that a message is sent in one call of `send`.
    """

    def __init__(
        self,
        url: str,
        secret_name: str,
        timeout: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.time,
        tries: int = TRIES,
    ) -> None:
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc}/..."
        self._url, self._secret_name, self._timeout = url, secret_name, timeout
        self._sleep, self._clock, self._tries = sleep, clock, tries
        self._client = JsonClient(f"{parts.scheme}://{parts.netloc}", "", timeout)

    def send(self, id_: str, body: bytes) -> None:
        """Send a message until it is taken or refused, the tries are over, or the patience.

        Raises:
            ExportError: it was not taken.
        """
        secret = self._secret()
        end = time.monotonic() + PATIENCE
        for attempt in range(1, self._tries + 1):
            try:
                self._post(id_, body, secret, end)
            except Refusal as refusal:
                wait = pause(attempt - 1, refusal.wait, random.random())
                if not _passing(refusal):
                    raise ExportError(
                        f"{self.name} refuses it: {refusal.said}",
                        hint="it is not sent again by itself; `freshet export` does when that is mended",
                    ) from None
                if attempt == self._tries or time.monotonic() + wait > end:
                    raise ExportError(
                        f"{self.name} did not take it in {attempt} tries: {refusal.said}",
                        hint="the next run tries again",
                        retryable=True,
                    ) from None
                self._sleep(wait)
            else:
                return

    def _post(self, id_: str, body: bytes, secret: bytes, end: float) -> None:
        """Send once. In a thread of its own: a server that answers a byte now and then may never end."""
        headers = signed(id_, body, secret, int(self._clock()))
        failed: list[Refusal] = []
        done = threading.Event()

        def post() -> None:
            try:
                self._client.exchange("POST", self._url, body, headers)
            except Refusal as refusal:
                failed.append(refusal)
            done.set()

        threading.Thread(target=post, name="webhook", daemon=True).start()
        if not done.wait(min(2 * self._timeout, max(0.0, end - time.monotonic()))):
            raise Refusal(Failing.UNREACHABLE, "timed out: no whole answer")
        if failed:
            raise failed[0]

    def _secret(self) -> bytes:
        """The key of signatures, as the environment has it now; empty where none is wanted."""
        if not self._secret_name:
            return b""
        text = os.environ.get(self._secret_name, "").strip()
        if not text:
            raise ExportError(
                f"messages to {self.name} can't be signed: the variable {self._secret_name} is not set",
                hint='set it; or webhook_secret_env = "" in [export], and messages are not signed',
                retryable=True,
            )
        try:
            return (
                base64.b64decode(text.removeprefix(_MARK), validate=True)
                if text.startswith(_MARK)
                else text.encode()
            )
        except binascii.Error:
            raise ExportError(
                f"messages to {self.name} can't be signed: {self._secret_name} is no base64 after {_MARK}",
                retryable=True,
            ) from None


def signed(id_: str, body: bytes, secret: bytes, now: int) -> Mapping[str, str]:
    """The headers of a message: its id, the moment (seconds since 1970), the signature of both and the body.

    Args:
        secret: empty = no signature.
    """
    headers = {"webhook-id": id_, "webhook-timestamp": str(now)}
    if not secret:
        return headers
    digest = hmac.new(secret, f"{id_}.{now}.".encode() + body, hashlib.sha256).digest()
    return headers | {"webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


def _passing(refusal: Refusal) -> bool:
    """Whether the same message may be taken later."""
    if refusal.status == 0 or refusal.status >= 500:
        return True
    return refusal.status in _AGAIN
