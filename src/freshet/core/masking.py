"""What may be shown of a URL, or of a text that may hold one: no user, no password, no signature."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s'\"]*@", re.IGNORECASE)
_QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s'\"?]*)\?[^\s'\"]*", re.IGNORECASE)


def without_secret(url: str) -> str:
    """A URL, right or wrong, without user and password."""
    return re.sub(r"^(.*?:)?/*.*@", r"\1//...@", url)


def masked(text: str) -> str:
    """A text whose URLs show neither user nor password, nor a query, which may hold a signature."""
    return _QUERY.sub(r"\1?...", _CREDENTIALS.sub(r"\1...@", text))
