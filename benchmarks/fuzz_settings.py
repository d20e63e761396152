"""Valid `freshet.toml` files over all sections and keys, and what is done to them.

Keys, types and ranges come from the schema of the configuration, so that a new key is mutated without a word
here. Case n of a seed is always the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

Path = tuple[str, ...]

ALTERNATIVES: tuple[dict[str, Any], ...] = (
    {"planner": {"kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9/v1", "answers": "letters"}},
    {
        "planner": {
            "kind": "openai",
            "model": "m",
            "endpoint": "http://127.0.0.1:9/v1",
            "max_money_per_run": 1.5,
        },
        "prices": {"per_million_tokens": 2.0},
    },
    {"planner": {"kind": "openai", "model": "m", "batch": "anthropic"}},
    {"planner": {"kind": "transformers", "model": "base"}, "tuning": {"lora_rank": 4, "micro_batch": 2}},
    {"content": {"encoder": "openai", "model": "e", "endpoint": "http://127.0.0.1:9/v1"}},
    {"content": {"encoder": "wordllama"}, "interests": {"text_vectors": "encoder"}},
    {
        "stream": {
            "kind": "kafka",
            "servers": "127.0.0.1:9",
            "topic": "events",
            "options": {"client.id": "me"},
        }
    },
    {"stream": {"kind": "redis", "servers": "redis://127.0.0.1:9/0", "topic": "events", "live": True}},
    {"schedule": {"blackout": ["Mon-Fri 08:00-10:00", "23:00-01:00"], "timezone": "Europe/Berlin"}},
    {
        "schedule": {
            "policy": "combined",
            "tune_cron": "0 1 1 * *",
            "collect_cron": "*/30 * * * *",
            "gc_days": 7,
        }
    },
    {"experiments": {"metrics": [{"name": "liked", "counts": "value >= 9", "of": "impression"}]}},
    {"experiments": {"guardrails": [{"metric": "satisfied", "tolerance": 0.02}], "smallest_effect": 0.1}},
    {"serving": {"rules": [{"attribute": "region", "values": ["de"], "blocked": ["1"]}], "explore": 0.2}},
    {"alerts": {"email_to": ["a@b.example"], "email_from": "f@b.example", "smtp": "127.0.0.1:9"}},
    {
        "alerts": {
            "alertmanager": "http://127.0.0.1:9",
            "webhook": "http://127.0.0.1:9/hook?a=b",
            "model_days": "off",
        }
    },
    {"canary": {"share": 0.1, "metrics": ["satisfied", "dissatisfied"]}},
    {"retention": {"events_days": 400}, "transitions": {"novelty_days": "ever"}},
    {
        "export": {
            "to": ["out.freshet", "out", "redis://127.0.0.1:9/0?prefix=x"],
            "webhook": "http://127.0.0.1:9",
        }
    },
    {"ray": {"address": "local", "resources": {"tuning": {"gpus": 0.5, "custom": {"big": 1.0}}}}},
    {"backup": {"to": "safe", "keys": "../keys", "keep": 3}, "privacy": {"hash_users": True}},
    {
        "tracking": {"mlflow": "http://127.0.0.1:9", "openlineage": "lineage.jsonl"},
        "http": {"origins": ["*"]},
    },
    {"events": {"files": ["a.csv", "b/*.parquet"], "columns": {"user": "u"}, "item_columns": {"title": "t"}}},
)
"""Valid settings that the defaults don't hold, beside each other or alone."""
SECRET = "hunter2"
"""Stands in addresses where a password would: no message may repeat it."""
TEXTS = (
    *("", " ", "null", "auto", "off", "ever", "\0", "\x1b[2J", "é" * 200, "日本", "\u202e", "x" * 70_000),
    *("../../etc/passwd", "/dev/null", "/", ".", "~", "a\nb", "%s", "{0}", "$HOME", "${PATH}"),
    *("1", "nan", "-1"),
    *(f"http://u:{SECRET}@127.0.0.1:9/", "http://", "http://[", "http://127.0.0.1:99999"),
    *("ftp://x", "//x", "http://\0"),
    *(f"redis://:{SECRET}@127.0.0.1:9/0", "redis://127.0.0.1:9/x", "rediss://", "s3://"),
    *("s3://b/../c", "file:///x"),
    *("0 3 * * *", "* * * * *", "0 0 30 2 *", "60 0 * * *", "0 3 * * * *", "@daily"),
    *("0 0 31 4 *", "0/0 * * * *"),
    *("0 3 * * MON#9", "1-0 * * * *", "L L L L L", "0 3 29 2 *"),
    *("0 3 " + "1," * 3000 + "1 * *", "0 0 1 1 */7"),
    *("Mon-Fri 08:00-10:00", "00:00-24:00", "24:00-00:00", "08:00-08:00", "Fri-Mon 1:00-2:00"),
    "Mon,Mon 1:00-1:01",
    *("Europe/Berlin", "Europe", "utc", "../UTC", "/etc/localtime", "UTC\0", "posixrules", "Etc/GMT+12"),
    *("value >= 7", "value >=", "value >= 1e999", "(" * 5000 + "value" + ")" * 5000),
    "not " * 3000 + "value > 1",
    *("a and b or c", "value in (1, 2)"),
    *("value ~ '('", "user = 'x' --", "1 = 1", "not", "event_type = \"a\""),
    *("a@b.example", "a@b", "@", "a b@c", "127.0.0.1:9", ":9", "host:99999", "localhost"),
    *("[::1]:9", "a" * 300 + ":9"),
    *("torch", "vllm", "kafka", "openai", "scratch", "lmdb", "auto,cpu", "latin-1", "utf-16"),
    "no-such-encoding",
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    *(
        0,
        -0,
        1,
        -1,
        2,
        3,
        24,
        255,
        256,
        65_535,
        65_536,
        2**31 - 1,
        2**31,
        2**53 + 1,
        2**63 - 1,
        2**63,
        -(2**63) - 1,
    ),
    *(10**30, 10**400, 0.0, -0.0, 0.5, 0.999999, 1.0, 1.0000001, 1e-9, 1e-320, 1e9, 1e15),
    *(1e308, -1e308, 3.7),
    *(float("inf"), float("-inf"), float("nan"), 366, 10_000, 999_999_999, 100_000_000_000),
)
OTHERS: tuple[Any, ...] = (
    *(
        True,
        False,
        [],
        {},
        [[]],
        [{}],
        [1, "a"],
        ["a", "a"],
        {"a": 1},
        {"": ""},
        [""],
        [None],
        [True],
        {"a": {"b": []}},
    ),
    *(
        [["x"] * 50] * 50,
        ["x"] * 10_000,
        {f"k{n}": n for n in range(2000)},
        {"a": {"a": {"a": {"a": {"a": 1}}}}},
    ),
)
DATES = (
    "1979-05-27T07:32:00Z",
    "1979-05-27",
    "07:32:00",
    "0001-01-01",
    "9999-12-31T23:59:59.999999999+23:59",
)
RAW = (
    *(
        "[" * 200_000,
        "{" * 200_000,
        "x = " + "[" * 50_000 + "]" * 50_000,
        "x = " + "{a=" * 3000 + "1" + "}" * 3000,
    ),
    *("a" + ".a" * 50_000 + " = 1", "[a" + ".a" * 50_000 + "]", "x = 1" + "0" * 5000),
    *("x = 0x" + "f" * 9000),
    *(
        'x = """',
        "x = '",
        'x = "\\uD800"',
        'x = "\\UFFFFFFFF"',
        "x = 1__0",
        "x = 01",
        "x = +inf",
        "x = 0b2",
        "= 1",
    ),
    *(
        "[]",
        "[[]]",
        "[x",
        "x",
        "x = ",
        '"" = 1',
        "[''.'']",
        "x.y = 1\nx = 2",
        "\r",
        "\0",
        "\x7f",
        "# \x01",
        "\ufeff",
    ),
    *(
        "x = 9999-99-99",
        "x = 25:61:61",
        "x = 1979-05-27T",
        "x = 1e99999",
        "x = [1,,2]",
        "x = {a=1,}",
        "a.b.c = {}",
    ),
    *("[events]\n" * 2, "[[events]]\n", "[planner.kind]\n", "planner = 1\n", "events.columns.user = 1\n"),
)
ENCODINGS = ("latin-1", "cp1252", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7")


@dataclass(frozen=True)
class Settings:
    """A file.

    Attributes:
        content: its bytes.
        keys: whose values were changed, where nothing else was: a refusal must name one of them.
        done: what was done to it.
    """

    content: bytes
    keys: tuple[Path, ...]
    done: list[str]

    @property
    def form(self) -> str:
        """What kind of mutation it is."""
        return "values" if self.keys else "text" if self.done else "valid"


def settings(seed: int, number: int) -> Settings:
    """The case of this number."""
    rng = random.Random(f"{seed}/{number}/settings")
    made, done, keys = _valid(rng), list[str](), list[Path]()
    for _ in range(rng.choice([0, 1, 1, 1, 1, 1, 2, 3])):
        key, value = _mutated(rng, made)
        keys.append(key)
        done.append(f"{'.'.join(key)[:80]} = {value!r}"[:200])
    text = toml(made)
    if rng.random() < 0.2:
        keys = []
        for _ in range(rng.choice([1, 1, 2])):
            name = rng.choice([*TEXT])
            text = TEXT[name](rng, text)
            done.append(name)
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.05:
        encoding = rng.choice(ENCODINGS)
        content, keys = text.encode(encoding, "replace"), []
        done.append(encoding)
    if rng.random() < 0.1:
        content, keys = _bytes(rng, content), []
        done.append("bytes")
    return Settings(content, tuple(keys), done)


def _valid(rng: random.Random) -> dict[str, Any]:
    """Some sections at their defaults, some as nobody has them by default."""
    every, made = defaults(), dict[str, Any]()
    share = rng.choice([0.1, 0.3, 1.0])
    for section, values in every.items():
        if rng.random() < share and isinstance(values, dict):
            part = rng.choice([0.3, 1.0])
            made[section] = {key: value for key, value in values.items() if rng.random() < part}
    for one in rng.sample(ALTERNATIVES, rng.choice([0, 0, 1, 1])):
        for section, values in one.items():
            made[section] = {**values}
    made = json.loads(json.dumps(made))  # what is mutated is this case's alone
    if made.get("planner", {}).get("kind") not in ("openai", "transformers"):
        made["planner"] = {**made.get("planner", {}), "kind": "counts"}
    return made


@cache
def defaults() -> dict[str, Any]:
    """Every key with its default; those that have none are not there."""
    from freshet.core.config import Config

    found: dict[str, Any] = json.loads(json.dumps(Config().model_dump(mode="json")))
    return found


@cache
def _limits() -> dict[Path, tuple[Any, ...]]:
    """Values at the limits of what the schema allows, and its words, for every key."""
    from freshet.core.config import Config

    schema = Config.model_json_schema()
    found: dict[Path, tuple[Any, ...]] = {}

    def visit(part: dict[str, Any], path: Path) -> None:
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
        for key, one in part.get("properties", {}).items():
            visit(one, (*path, key))
        values: list[Any] = [*part.get("enum", ()), *([part["const"]] if "const" in part else ())]
        for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if name in part:
                limit = part[name]
                values += [limit, limit - 1, limit + 1, limit - 1e-9, limit + 1e-9, float(limit), str(limit)]
        found[path] = (*found.get(path, ()), *values)
        for one in (
            *part.get("anyOf", ()),
            *([part["items"]] if isinstance(part.get("items"), dict) else ()),
        ):
            visit(one, path)

    visit(schema, ())
    return found


def _mutated(rng: random.Random, made: dict[str, Any]) -> tuple[Path, Any]:
    """Change the value of a key, or add one; the key, and what it is now."""
    limits = _limits()
    path = rng.choice([one for one in limits if one])
    if rng.random() < 0.1:  # a key that there isn't
        odd = rng.choice(
            ["", "kinds", "Kind", "use ", "é", "a.b", "\x1b[2J", "x" * 5000, "model_config", "__class__"]
        )
        path = (*path[:-1], odd)
    known = limits.get(path, ())
    pools: list[tuple[Any, ...]] = [TEXTS, NUMBERS, OTHERS, tuple(map(Date, DATES))]
    usual = _default(path)
    if known and rng.random() < 0.5:
        value = rng.choice(known)
    elif usual is not None and rng.random() < 0.6:  # of its type, so that more than the type is looked at
        value = rng.choice(
            (False, True) if isinstance(usual, bool) else TEXTS if isinstance(usual, str) else NUMBERS
        )
        value = [rng.choice(TEXTS)] if isinstance(usual, list) else value
    else:
        value = rng.choice(rng.choice(pools))
    if rng.random() < 0.1:
        value = [value]
    at: Any = made
    for depth, key in enumerate(path[:-1]):
        inner = at.get(key)
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            at = inner[0]
        elif isinstance(inner, dict):
            at = inner
        elif isinstance(_default(path[: depth + 1]), list):
            at[key] = [{}]
            at = at[key][0]
        else:
            at[key] = {}
            at = at[key]
    at[path[-1]] = value
    return path, value


def _default(path: Path) -> Any:
    """Of a key; None where it has none."""
    at: Any = defaults()
    for key in path:
        at = at.get(key) if isinstance(at, dict) else None
    return at


class Date(str):
    """Is written as it stands."""


def toml(made: dict[str, Any]) -> str:
    """Sections under their heads, everything else within a line."""
    flat = {key: value for key, value in made.items() if not isinstance(value, dict)}
    lines = [f"{_key(key)} = {_inline(value)}" for key, value in flat.items()]
    for section, values in made.items():
        if isinstance(values, dict):
            lines.append(f"[{_key(section)}]")
            lines += [f"{_key(key)} = {_inline(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return _inline(key)


def _inline(value: Any) -> str:
    match value:
        case Date():
            return str(value)
        case None:
            return '"null"'
        case bool():
            return str(value).lower()
        case float():
            return repr(value)
        case int():
            return hex(value) if value > 10**300 else str(value)
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case dict():
            inner = ", ".join(
                f"{_key(key)} = {_inline(one)}" for key, one in value.items() if one is not None
            )
            return f"{{{inner}}}"
        case _:
            return f"[{', '.join(map(_inline, value))}]"


def _line(rng: random.Random, text: str) -> tuple[list[str], int]:
    lines = text.split("\n")
    return lines, rng.randrange(len(lines))


def _doubled(rng: random.Random, text: str) -> str:
    lines, at = _line(rng, text)
    return "\n".join([*lines[: at + 1], *lines[at:]])


def _dropped(rng: random.Random, text: str) -> str:
    lines, at = _line(rng, text)
    return "\n".join([*lines[:at], *lines[at + 1 :]])


def _inserted(rng: random.Random, text: str) -> str:
    lines, at = _line(rng, text)
    return "\n".join([*lines[:at], rng.choice(RAW), *lines[at:]])


def _within(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return (
        text[:at]
        + rng.choice(["[", "]", "{", '"', "'", "=", "\n", "\0", "#", ".", ",", "\\", "é", "\r"])
        + text[at:]
    )


TEXT: dict[str, Callable[[random.Random, str], str]] = {
    "a doubled line": _doubled,
    "a line less": _dropped,
    "a line more": _inserted,
    "a character more": _within,
    "cut": lambda rng, text: text[: rng.randrange(len(text) + 1)],
    "twice": lambda _, text: text + text,
    "CRLF": lambda _, text: text.replace("\n", "\r\n"),
    "CR": lambda _, text: text.replace("\n", "\r"),
    "empty": lambda _, __: "",
    "shuffled": lambda rng, text: "\n".join(rng.sample(s := text.split("\n"), len(s))),
    "tables are arrays": lambda _, text: text.replace("\n[", "\n[[", 1).replace("]\n", "]]\n", 1),
    "single quotes": lambda _, text: text.replace('"', "'"),
    "no quotes": lambda _, text: text.replace('"', ""),
    "blanks for equals": lambda _, text: text.replace(" = ", " "),
    "JSON": lambda _, text: "{" + text.replace("=", ":").replace("\n", ",") + "}",
}


def _bytes(rng: random.Random, content: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if found:
            at = rng.randrange(len(found))
            found[at] = rng.choice([found[at] ^ (1 << rng.randrange(8)), rng.randrange(256)])
    return bytes(found)
