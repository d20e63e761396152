"""Text files as UTF-8, whatever encoding they are in.

What is UTF-8 is read as UTF-8. UTF-16 and UTF-32 say so in their first bytes. Other files are Windows-1252
(which holds Latin-1's letters) if, read so, letters stand where letters of Western European words stand; else
they are refused unless [events] encoding names their encoding. A few damaged lines in a file that is UTF-8
otherwise are left to be quarantined.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from freshet.core.errors import ConfigError, InputError
from freshet.core.urls import Location

AUTO = "auto"
_WESTERN = "cp1252"
_SHOWN = 40
_FEW = 10  # as many lines may be damaged in any file, and as many in a thousand in a long one
_PIECE = 1 << 20
_MARKS = "’‘“”„–—…•®™©°€£«»´§¿¡ªº½¼¾×²³±·\xa0\xad"
_IN_WORDS = "’´·–—\xad"
# But for Iceland; ƒ begins each katakana of Shift-JIS. ìù inside a word are as rare: Czech and Turkish texts,
# misread, have them.
_STRANGE = "ðþýÿÐÞÝƒ"
_RUN = 4  # so many in a row are another alphabet
_HIGH = re.compile(r"[^\x00-\x7f]+")
_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class Lines:
    """What lines that are not ASCII look like.

    Attributes:
        all: lines of the file.
        utf8: those that are UTF-8 and not ASCII.
        broken: those that are not UTF-8.
        western: share of the broken lines' signs that make sense in Windows-1252.
        first: number and bytes of the first broken line.
    """

    all: int
    utf8: int
    broken: int
    western: float
    first: tuple[int, bytes]


def wide(path: Path) -> str | None:
    """UTF-16 or UTF-32, by a file's first bytes; None for everything else."""
    with path.open("rb") as file:
        start = file.read(4096)
    for bom, encoding in _BOMS.items():
        if start.startswith(bom):
            return encoding
    even, odd = start[::2].count(0), start[1::2].count(0)
    if len(start) >= 8 and max(even, odd) > len(start) // 4 > 4 * min(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def encoding_of(path: Path, shown: Location, wanted: str) -> tuple[str | None, str]:
    """The encoding of a file that isn't UTF-8 throughout, and a note; None: UTF-8 with damaged lines.

    Args:
        shown: the file's name in messages.
        wanted: [events] encoding.

    Raises:
        InputError: the encoding isn't clear.
        ConfigError: there is no such encoding.
    """
    if wanted != AUTO:
        return known(wanted), f"{shown.name} is not UTF-8: read as {wanted}"
    found = _lines(path)
    number, line = found.first
    text = line.decode(_WESTERN, "replace").strip()
    few = max(_FEW, found.all // 1000)
    if found.western >= 0.9 and found.broken > found.utf8:
        example = _HIGH.search(text)
        start = max(0, example.start() - _SHOWN // 2) if example else 0
        return _WESTERN, (
            f"{shown.name} is not UTF-8: read as Windows-1252, such as {text[start : start + _SHOWN]!r} in "
            f"line {number}; if that is wrong, set [events] encoding"
        )
    if found.broken <= few or found.broken < found.utf8:
        lines = "1 line is" if found.broken == 1 else f"{found.broken} lines are"
        return None, f"{shown.name}: {lines} not UTF-8 (line {number} first)"
    raise InputError(
        f"{shown} is neither UTF-8 nor Windows-1252: line {number} holds {line.strip()[:_SHOWN]!r}",
        hint="save it as UTF-8, or set [events] encoding to its encoding, such as 'cp1251' or 'shift_jis'",
    )


def known(encoding: str) -> str:
    """An encoding's name, as Python knows it.

    Raises:
        ConfigError: it is unknown, or not one of text.
    """
    try:
        "".encode(encoding)
    except (LookupError, TypeError, ValueError):
        raise ConfigError(
            f"[events] encoding {encoding!r} is not an encoding", hint="such as 'auto', 'utf-16' or 'cp1251'"
        ) from None
    return encoding


def decode(path: Path, shown: Location, encoding: str, into: Path) -> Path:
    """Write a file anew as UTF-8.

    Raises:
        InputError: it is not in this encoding.
    """
    try:
        with (
            path.open(encoding=encoding, newline="") as source,
            into.open("w", encoding="utf-8", newline="") as target,
        ):
            while piece := source.read(_PIECE):
                target.write(piece)
    except UnicodeError as error:
        raise InputError(
            f"{shown} is not {encoding}: {error}",
            hint="set [events] encoding to its encoding, or save it as UTF-8",
        ) from None
    return into


def _lines(path: Path) -> Lines:
    lines = utf8 = broken = fitting = signs = 0
    first = (0, b"")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            lines = number
            if line.isascii():
                continue
            try:
                line.decode()
                utf8 += 1
            except UnicodeDecodeError:
                first = first if broken else (number, line)
                broken += 1
                good, some = _fitting(line)
                fitting, signs = fitting + good, signs + some
    return Lines(lines, utf8, broken, fitting / max(1, signs), first)


def _fitting(line: bytes) -> tuple[int, int]:
    """(signs that stand where they may in Western European text, signs beyond ASCII) of a line."""
    text = line.decode(_WESTERN, "replace")
    good = some = 0
    for run in islice(_HIGH.finditer(text), 1000):
        some += len(run.group())
        if len(run.group()) < _RUN:
            good += sum(_fits(text, at) for at in range(*run.span()))
    return good, some


def _fits(text: str, at: int) -> bool:
    sign, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if sign in _MARKS:
        return sign in _IN_WORDS or not (before.isalpha() and after.isalpha())
    if sign in "ìù":
        return not after.isalpha()
    shouts = before.islower() and sign.isupper()  # Ž in CafŽ is Mac Roman's é
    return sign.isalpha() and sign not in _STRANGE and not shouts
