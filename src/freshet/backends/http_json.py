"""JSON over HTTP to a server that may be busy, wrong, or gone: one client for encoders and planners.

The key is read from the environment at every request and goes into the request's header alone: it is in no
attribute, no artifact, no version, and no message. Redirects are not followed: that would take texts and key
to an address nobody configured. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`).
"""

from __future__ import annotations

import email.utils
import json
import math
import os
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError

from freshet.core import tracing

TRIES = 6
"""Times that one request is sent at most."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 120.0
"""Seconds before the second try, which double from then on; and the longest that a server may ask to wait."""

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Answers after which the same request may go well."""

_SPENT = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_balance",
    "insufficient_credits",
    "insufficient_funds",
    "payment_required",
    "exceeded_current_quota_error",
}
"""Codes and types of errors that say that there is no money left, whatever their status."""

_SECRET = 12
"""Letters of a key at least; `EMPTY` and the like, for servers that want any, stay where answers hold it."""

_SHOWN = 200
"""Characters of a server's message."""

T = TypeVar("T")


class Failing(Enum):
    """Why a request was not answered."""

    BUSY = "busy"
    """The server answers, but not now: the same request may go well later."""
    UNREACHABLE = "unreachable"
    """It is not there, keeps silent, or was gone in the middle; the same request may go well later."""
    REFUSED = "refused"
    """This request is wrong, and will be the next time."""
    KEY = "key"
    """The key is missing or wrong: so is every other request."""
    SPENT = "spent"
    """The balance or quota is exhausted: every other request is refused, too."""


class Refusal(Exception):
    """A request was not answered.

    Attributes:
        why: what that means for this request and others.
        said: what happened, in one line without the key.
        status: of the HTTP answer, 0 where there was none.
        wait: seconds that the server asks to wait.
        tries: how often the request was sent.
    """

    def __init__(self, why: Failing, said: str, *, status: int = 0, wait: float = 0.0) -> None:
        super().__init__(said)
        self.why = why
        self.said = said
        self.status = status
        self.wait = wait
        self.tries = 1

    @property
    def passing(self) -> bool:
        """Whether the same request may go well later."""
        return self.why in (Failing.BUSY, Failing.UNREACHABLE)


def bearer(key: str) -> Mapping[str, str]:
    """The header in which OpenAI's protocol has the key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


class JsonClient:
    """A server's base address, with connections that are kept open; may be used by several threads.

    Args:
        base: URL that paths are added to.
        key_name: environment variable of the key; '' = none.
        timeout: seconds that the server may keep silent.
        connections: kept open, as many as threads ask at once.
        silences: times that a request is sent which the server doesn't answer in time.
        sleep: waits for seconds; None = until then, or until `stop`.
        signed: headers of a request by the key, '' without one.
    """

    def __init__(
        self,
        base: str,
        key_name: str,
        timeout: float,
        connections: int = 1,
        silences: int = TRIES,
        sleep: Callable[[float], object] | None = None,
        signed: Callable[[str], Mapping[str, str]] = bearer,
    ) -> None:
        self._signed = signed
        self.base = base.rstrip("/")
        self.key_name = key_name
        self.sent = 0
        self._timeout = timeout
        self._silences = silences
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._pool = _pool(self.base, timeout, connections)

    def asked(self, path: str, content: Mapping[str, Any], read: Callable[[bytes], T]) -> T:
        """What `read` makes of the answer to a request, which is sent again while that may help.

        When a server asks to wait (`Retry-After`), requests that are new wait as well.

        Args:
            path: added to the base, such as `/embeddings`.
            read: raises `Refusal` for an answer that came garbled.

        Raises:
            Refusal: the server refused it, or gave no good answer in all tries.
        """
        body = json.dumps(content).encode()
        return self.patiently(lambda: read(self.post(path, body)))

    def patiently(self, send: Callable[[], T]) -> T:
        """What `send` gives, which is called again while that may help.

        Raises:
            Refusal: the server refused it, or gave no good answer in all tries.
        """
        attempt = 0
        while True:
            if attempt == 0 and (left := self._not_before - time.monotonic()) > 0:
                self._sleep(left * (1 + random.random() / 4))
            try:
                return send()
            except Refusal as refusal:
                attempt += 1
                refusal.tries = attempt
                silent = refusal.why == Failing.UNREACHABLE and "timed out" in refusal.said
                last = attempt >= (min(self._silences, TRIES) if silent else TRIES)
                if refusal.wait > LONGEST_WAIT:
                    refusal.said += f"; it asks to wait {refusal.wait:.0f} seconds"
                    last = True
                if last or not refusal.passing or self._stopped.is_set():
                    raise
                if refusal.wait:
                    self._not_before = max(self._not_before, time.monotonic() + refusal.wait)
                self._sleep(pause(attempt - 1, refusal.wait, random.random()))

    def stop(self) -> None:
        """Send nothing again from now on: those who wait to do so give up."""
        self._stopped.set()

    def post(self, path: str, body: bytes) -> bytes:
        """The answer to one request that is sent once.

        Raises:
            Refusal: there is none.
        """
        return self.content(self.exchange("POST", self.base + path, body))

    def get(self, path: str) -> bytes:
        """What is at a path; the same as `post` otherwise."""
        return self.content(self.exchange("GET", self.base + path))

    def content(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        """The body of an answer, without the key where the server repeats it."""
        key = os.environ.get(self.key_name, "").strip() if self.key_name else ""
        return answer.data.replace(key.encode(), b"***") if len(key) >= _SECRET else answer.data

    def exchange(
        self, method: str, url: str, body: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """One request, sent once, and its answer with headers.

        Args:
            url: whole; it gets the key, so it must be an address of the server.
            more: headers.

        Raises:
            Refusal: there is no answer, or it says no.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {**self._signed(self._key()), **(more or {})}
        if context := tracing.call_context():
            headers["traceparent"] = context
        with self._lock:
            self.sent += 1
        try:
            answer = self._pool.request(method, url, body, headers=headers, redirect=False, retries=False)
        except (HTTPError, OSError) as error:  # not reached, too slow, or gone in the middle
            cause = error.__cause__ or error.__context__ or error
            said = self._without_key(str(cause) or type(cause).__name__)
            if isinstance(error, TimeoutError) and not isinstance(error, NewConnectionError):
                said = f"timed out: no answer for {self._timeout:g} seconds"
            raise Refusal(Failing.UNREACHABLE, said) from None
        spent = answer.data[:50].lstrip().startswith(b'{"error"') and is_spent(answer.status, answer.data)
        if answer.status // 100 == 2 and not spent:  # gateways say so with 200, too
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: urllib3.BaseHTTPResponse) -> Refusal:
        """What an answer that is none means, in one line; nothing of what it says about the key."""
        status, body = answer.status, self.content(answer)[:100_000]  # messages are cut: a key could be, too
        said = self._without_key(f"HTTP {status} {answer.reason or ''}".rstrip())
        if is_spent(status, body):
            why = Failing.SPENT
        elif status in (401, 403):
            return Refusal(Failing.KEY, said, status=status)  # servers repeat parts of the key
        else:
            why = Failing.BUSY if status in _AGAIN else Failing.REFUSED
        message = message_of(body)
        said = self._without_key(f"{said}: {message}" if message else said)
        wait = retry_after(answer.headers.get("Retry-After", ""), time.time())
        return Refusal(why, said, status=status, wait=wait)

    def hint(self, refusal: Refusal, section: str) -> str:
        """What to do about a refusal that holds for every request; '' where that depends on the request.

        Args:
            section: of the settings that name the server, such as `[content]`.
        """
        if refusal.why == Failing.KEY:
            state = "is set" if self.key_name and os.environ.get(self.key_name) else "is not set"
            return f"the server wants another key: {self.key_name or f'{section} api_key_env'} {state}"
        if refusal.why == Failing.SPENT:
            return "the account's balance or quota is spent: see to it with the provider, then go on"
        if refusal.status == 404:
            return f"see to {section} endpoint, which often ends in /v1, and model"
        if 300 <= refusal.status < 400:
            return "it sends elsewhere, which is not followed: name the address it should be as endpoint"
        return ""

    def _key(self) -> str:
        """The key, as the environment has it now."""
        key = os.environ.get(self.key_name, "").strip() if self.key_name else ""
        if not key.isascii() or not key.isprintable():
            said = (
                f"the environment variable {self.key_name} holds what can't be a key, "
                "expected one line of ASCII characters"
            )
            raise Refusal(Failing.KEY, said)
        return key

    def _without_key(self, text: str) -> str:
        key = os.environ.get(self.key_name, "").strip() if self.key_name else ""
        return text.replace(key, "***") if key else text


def _pool(base: str, timeout: float, connections: int) -> urllib3.PoolManager:
    """Connections to an address, through the environment's proxy for it if there is one."""
    parts = urlsplit(base)
    settings: dict[str, Any] = {"maxsize": connections, "timeout": timeout}
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, **settings)
    return urllib3.PoolManager(**settings)


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


def is_spent(status: int, body: bytes) -> bool:
    """Whether a refusal says that no money is left: by its status, its code or type, or its words."""
    if status == 402:
        return True
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    error = content.get("error", content) if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return False
    named = {str(error.get("code")).lower(), str(error.get("type")).lower()}
    return bool(named & _SPENT) or "credit balance is too low" in str(error.get("message")).lower()
