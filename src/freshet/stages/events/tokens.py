"""The words of a positive rule, and the error that points at one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from freshet.core.errors import ConfigError

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w))
      | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | `(?P<quoted>[^`]+)`
      | (?P<word>[^\W\d]\w*)
      | (?P<sign>==|!=|<>|<=|>=|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a rule.

    Attributes:
        kind: number, string, column, sign, end, or the keyword itself.
        value: as written, without backquotes.
        position: characters before it.
    """

    kind: str
    value: str
    position: int


def tokenize(rule: str) -> list[Token]:
    """Split a rule into tokens, the last of which is its end.

    Raises:
        ConfigError: some text is no token.
    """
    tokens = []
    position, end = 0, len(rule.rstrip())
    while position < end:
        match = _TOKEN.match(rule, position)
        if match is None or match.lastgroup is None:
            raise rule_error(rule, position, f"can't read {rule[position : position + 10]!r}")
        kind, value = match.lastgroup, match[match.lastgroup]
        start = match.start(kind)
        if not value.isprintable() and ("\0" in value or any("\ud800" <= c <= "\udfff" for c in value)):
            raise rule_error(rule, start, "holds a character that no column or value can have")
        if kind == "word":
            kind = value.lower() if value.lower() in _KEYWORDS else "column"
        tokens.append(Token("column" if kind == "quoted" else kind, value, start))
        position = match.end()
    return [*tokens, Token("end", "", len(rule))]


def rule_error(rule: str, position: int, problem: str) -> ConfigError:
    """The error for a problem after so many characters of a rule."""
    shown = rule if len(rule) <= 80 else rule[:77] + "..."
    return ConfigError(
        f"positive rule {shown!r}, position {position + 1}: {problem}",
        hint="[events] positive is a comparison such as `value >= 7`, joined by and, or, not, in, is null",
    )
