"""The positive rule: which events are engagements, such as `value >= 7 and device in ('tv', 'web')`.

    rule    = either
    either  = both { "or" both }
    both    = negated { "and" negated }
    negated = "not" negated | "(" either ")" | test
    test    = column | "true" | "false" | operand comparison operand
            | column ["not"] "in" "(" literal { "," literal } ")" | column "is" ["not"] "null"

A column is a plain name or a name in backquotes; a literal is a number, true, false, or a string in single or
double quotes (a backslash takes the next character as it is). The literal says how the column is read (as
number, text or truth value); two columns are compared as numbers where both are numbers, else as text. SQL is
built from the parsed parts, so no text of the rule reaches the database unquoted. A comparison with a missing
value is unknown, and unknown is not positive.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import NoReturn

from freshet.core.errors import ConfigError
from freshet.storage import sql

MAX_LENGTH = 4000
"""Longest rule in characters; also keeps the SQL below the database's limit of 1,000 nested parts."""

MAX_DEPTH = 50
"""Deepest nesting of parentheses and `not`."""

_COMPARISONS = {
    "=": "=",
    "==": "=",
    "!=": "<>",
    "<>": "<>",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed rule.

    Attributes:
        text: as it was written.
        sql: a SQL boolean over quoted column names, never null.
        columns: the columns it reads.
    """

    text: str
    sql: str
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Literal:
    type: str  # DOUBLE, VARCHAR or BOOLEAN
    sql: str


@dataclass(slots=True)
class _Parser:
    text: str
    tokens: list[Token]
    at: int = 0
    depth: int = 0
    columns: set[str] = field(default_factory=set)

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def accept(self, *kinds: str) -> Token | None:
        """The current token if it is one of these kinds or signs, moving past it."""
        token = self.token
        if token.kind in kinds or (token.kind == "sign" and token.value in kinds):
            self.at += 1
            return token
        return None

    def expect(self, what: str, *kinds: str) -> Token:
        token = self.accept(*kinds)
        if token is None:
            self.fail(what)
        return token

    def fail(self, expected: str) -> NoReturn:
        found = repr(self.token.value) if self.token.kind != "end" else "its end"
        raise rule_error(self.text, self.token.position, f"expected {expected}, found {found}")

    def either(self) -> str:
        parts = [self.both()]
        while self.accept("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else "(" + " OR ".join(parts) + ")"

    def both(self) -> str:
        parts = [self.negated()]
        while self.accept("and"):
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else "(" + " AND ".join(parts) + ")"

    def negated(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise rule_error(self.text, self.token.position, f"nested deeper than {MAX_DEPTH} levels")
        if self.accept("not"):
            found = f"(NOT {self.negated()})"
        elif self.accept("("):
            found = self.either()
            self.expect("`)`", ")")
        else:
            found = self.test()
        self.depth -= 1
        return found

    def test(self) -> str:
        left = self.operand()
        comparison = self.accept(*_COMPARISONS)
        if comparison:
            position = self.token.position
            right = self.operand()
            if isinstance(left, _Literal) and isinstance(right, _Literal):
                raise rule_error(self.text, position, "expected a column on one side of a comparison")
            return _compare(left, _COMPARISONS[comparison.value], right)
        if isinstance(left, _Literal):
            if left.type != "BOOLEAN":
                self.fail("a comparison")
            return left.sql
        if self.accept("is"):
            negation = "NOT " if self.accept("not") else ""
            self.expect("`null`", "null")
            return f"({sql.name(left)} IS {negation}NULL)"
        if self.accept("not"):
            self.expect("`in`", "in")
            return f"(NOT {self.choices(left)})"
        if self.accept("in"):
            return self.choices(left)
        return _read(left, "BOOLEAN")

    def choices(self, column: str) -> str:
        self.expect("`(`", "(")
        tests = [_compare(column, "=", self.literal())]
        while self.accept(","):
            tests.append(_compare(column, "=", self.literal()))
        self.expect("`,` or `)`", ")")
        return "(" + " OR ".join(tests) + ")"

    def operand(self) -> str | _Literal:
        column = self.accept("column")
        if column:
            self.columns.add(column.value)
            return column.value
        return self.literal()

    def literal(self) -> _Literal:
        token = self.expect("a column or a value", "number", "string", "true", "false")
        if token.kind == "number":
            number = float(token.value)
            if math.isinf(number):
                raise rule_error(self.text, token.position, "the number is too large")
            return _Literal("DOUBLE", f"CAST({number!r} AS DOUBLE)")
        if token.kind == "string":
            return _Literal("VARCHAR", sql.text(re.sub(r"\\(.)", r"\1", token.value[1:-1], flags=re.DOTALL)))
        return _Literal("BOOLEAN", token.kind)


def parse(rule: str) -> Rule:
    """Parse a positive rule; an empty one holds for every event.

    Raises:
        ConfigError: the text is not a rule; the message names the position.
    """
    if len(rule) > MAX_LENGTH:
        raise rule_error(rule, MAX_LENGTH, f"longer than {MAX_LENGTH} characters")
    if not rule.strip():
        return Rule(rule, "true", frozenset())
    parser = _Parser(rule, tokenize(rule))
    condition = parser.either()
    if parser.token.kind != "end":
        parser.fail("`and`, `or` or the end")
    return Rule(rule, f"coalesce({condition}, false)", frozenset(parser.columns))


def _read(column: str, type_: str) -> str:
    """A column as a type; NULL where it isn't one. NaN is not a number, though SQL orders it above all."""
    if type_ == "VARCHAR":
        return f"CAST({sql.name(column)} AS VARCHAR)"
    cast = f"TRY_CAST({sql.name(column)} AS {type_})"
    return f"nullif({cast}, CAST('nan' AS DOUBLE))" if type_ == "DOUBLE" else cast


def _compare(left: str | _Literal, sign: str, right: str | _Literal) -> str:
    if isinstance(left, str) and isinstance(right, str):
        numbers = f"{_read(left, 'DOUBLE')} {sign} {_read(right, 'DOUBLE')}"
        return f"coalesce({numbers}, {_read(left, 'VARCHAR')} {sign} {_read(right, 'VARCHAR')})"
    type_ = left.type if isinstance(left, _Literal) else right.type if isinstance(right, _Literal) else ""
    sides = [side.sql if isinstance(side, _Literal) else _read(side, type_) for side in (left, right)]
    return f"({sides[0]} {sign} {sides[1]})"


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
