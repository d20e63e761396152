"""Who has logged in: a signed cookie that names an API key, and the tokens of this session's forms.

Nothing is stored. The signature covers what is kept of the key, so a session ends the moment its key is
revoked; it ends by itself after half a day.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_urlsafe
from time import time

import orjson

from freshet.http.api_keys import SCOPES, Key

COOKIE = "freshet"
SECONDS = 12 * 3600
"""How long a session lasts."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who asks.

    Attributes:
        key: id of the API key; '' where the server has none, and everybody is let in.
        name: of the key.
        scope: what may be done; '' = nothing, not even to look.
        cookie: the text that the browser holds.
    """

    key: str
    name: str
    scope: str
    cookie: str

    def allows(self, scope: str) -> bool:
        """Whether it may do what a scope may."""
        return bool(self.scope) and SCOPES.index(self.scope) >= SCOPES.index(scope)


class Sessions:
    """Makes and reads cookies.

    Args:
        secret: signs them; None = random, so that sessions end with this object.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = hashlib.sha256(secret).digest() if secret else os.urandom(32)

    def cookie(self, key: Key | None, now: float | None = None) -> str:
        """The cookie of a new session; None is somebody who needs no key."""
        content = {"key": key.id if key else "", "from": int(now or time()), "nonce": token_urlsafe(12)}
        text = urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")
        return f"{text}.{self._signature(text, key)}"

    def read(
        self, cookie: str, find: Callable[[str], Key | None], open_scope: str = "", now: float | None = None
    ) -> Session | None:
        """The session of a cookie; None where it is none, has ended, or its key was revoked.

        Args:
            find: the key with an id.
            open_scope: what those without a key may do, '' = nothing.
        """
        text, _, signature = cookie.partition(".")
        try:
            content = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            identity, since = str(content["key"]), int(content["from"])
        except (ValueError, KeyError, TypeError):
            return None
        key = find(identity) if identity else None
        if key is None and (identity or not open_scope):
            return None
        if not hmac.compare_digest(signature.encode(), self._signature(text, key).encode()):
            return None
        if not -60 <= (now or time()) - since < SECONDS:
            return None
        return Session(key.id, key.name, key.scope, cookie) if key else Session("", "", open_scope, cookie)

    def token(self, cookie: str) -> str:
        """What forms of a session send along, which no page of another site can know."""
        return self._mac(f"form {cookie}")

    def is_token(self, token: str, cookie: str) -> bool:
        """Whether it is the session's."""
        return bool(cookie) and hmac.compare_digest(token.encode(), self.token(cookie).encode())

    def mark(self, text: str, cookie: str) -> str:
        """Goes along with a text that this server sends a session by way of the browser."""
        return self._mac(f"text {cookie} {text}")

    def is_mark(self, mark: str, text: str, cookie: str) -> bool:
        """Whether this server has sent the text to the session."""
        return hmac.compare_digest(mark.encode(), self.mark(text, cookie).encode())

    def _signature(self, text: str, key: Key | None) -> str:
        return self._mac(f"session {text} {key.hash if key else ''}")

    def _mac(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()
