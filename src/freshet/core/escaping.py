"""Text of others as a person may read it: what acts on a terminal or page, or hides, is shown as an escape.

A title can hold sequences that clear a screen, marks that turn the direction of what follows, characters
without width, and halves of characters that no output can encode.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Controls, formats (bidirectional, zero width, byte order, tags), halves of pairs, separators of lines."""
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Letters and marks that look like nothing."""


_SUSPECT = re.compile(r"[^\x20-\x7e]")


def visible(text: str, *, lines: bool = True) -> str:
    """The text with such characters as `\\x1b` or `\\u202e`.

    Args:
        lines: newlines and tabs are part of the text; else they are shown, too: what has one line keeps one.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return _SUSPECT.sub(lambda one: one[0] if one[0] in kept or not _acts(one[0]) else _escape(one[0]), text)


def json_text(document: Any, indent: int | None = 1) -> str:
    """A document as JSON in which such characters are escaped; it reads as the very same document."""
    return json_escaped(json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False))


def json_escaped(text: str) -> str:
    """JSON with such characters escaped, but for the newlines between its parts."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _SUSPECT.sub(
        lambda one: _json_escape(one[0]) if one[0] != "\n" and _acts(one[0]) else one[0], text
    )


def _acts(character: str) -> bool:
    return unicodedata.category(character) in _CATEGORIES or character in _BLANK


def _escape(character: str) -> str:
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")  # a character beyond 16 bits is a pair
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
