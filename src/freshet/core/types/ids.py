"""The one rule for ids, so that a user or an item has one name in every file, format and request.

Blanks around an id are no part of it. A whole number written as a decimal is the whole number: tools write
`162.0`, `162.00` or `1.62E7` where a column of numbers has gaps. Everything else stays as it is: `00162` is
text, and so is `12e5`, which is a hash more often than a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

BLANKS = " \t\n\r\f\v\u00a0\ufeff"
DECIMAL = r"-?(0|[1-9][0-9]*)\.0*"
SCIENTIFIC = r"-?[0-9]+(\.[0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}"
"""As floats are printed: a point in front of the exponent, or a plus in it."""

SHORTENED = r"-?[0-9](\.[0-9]{1,5})?[eE]\+"
"""How spreadsheets and C's `%g` begin a large number: six digits at most, whatever it had before."""

_DECIMAL, _SCIENTIFIC = re.compile(DECIMAL), re.compile(SCIENTIFIC)


def plain_id(text: str) -> str:
    """An id as the log holds it."""
    text = text.strip(BLANKS)
    if "." in text or "+" in text:
        if _DECIMAL.fullmatch(text):
            whole = text.partition(".")[0]
            return "0" if whole == "-0" else whole
        if _SCIENTIFIC.fullmatch(text):
            number = float(text)
            return str(int(number)) if number.is_integer() else text
    return text


def no_ids(spellings: Iterable[str]) -> frozenset[str]:
    """What stands for no id, in small letters: these spellings, and nothing at all."""
    return frozenset(["", *(word.strip(BLANKS).lower() for word in spellings)])
