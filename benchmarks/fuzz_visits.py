"""Requests for pages of the dashboard, and what is done to them: case n of a seed is always the same."""

from __future__ import annotations

import random
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from fuzz_wire import BREAKS, HEADERS, METHODS, Request

PAGES = (
    *(
        "",
        "overview/fresh",
        "overview/changed",
        "playground",
        "playground/items",
        "interests",
        "contexts",
        "runs",
    ),
    *(
        "releases",
        "releases/compare",
        "reviews",
        "reports",
        "login",
        "static/style.css",
        "static/htmx.min.js",
    ),
    *("interests/{}", "interests/{}/over-time", "interests/{}/popularity.svg", "interests/{}/successors.svg"),
    *(
        "runs/{}",
        "runs/{}/live",
        "releases/{}",
        "reviews/{}",
        "reports/{}",
        "reports/{}/{}",
        "static/{}",
        "{}",
    ),
)
FORMS = (
    *("releases/{}/rollback", "reviews/{}/approve", "reviews/{}/reject", "logout", "login", "login"),
    *("runs/{}", "playground", "{}"),
)
IDS = (
    *(
        "0",
        "1",
        "2",
        "3",
        "00001",
        "00002",
        "00004",
        "7",
        "999",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "0x1",
        "99999999999999999999",
    ),
    *(
        "replay",
        "drift",
        "cadence",
        "workspace",
        "experiment",
        "try",
        "style.css",
        "icon.svg",
        "..",
        "../..",
        ".",
        "%2e%2e",
    ),
    *(
        "%00",
        "%ff",
        "a/b",
        "%2f",
        "%5c",
        "é",
        "\u202e",
        "x" * 3000,
        "",
        " ",
        "'",
        '"',
        "<script>",
        "{{7*7}}",
        "null",
    ),
    *("\u0661", "1\n", "1%0d%0aX: y", "runs", "live", "__init__.py", "~", "*", "?", "#", "CON", "keys.json"),
)
QUERIES = (
    *(
        "q",
        "like",
        "liked",
        "add",
        "drop",
        "clear",
        "user",
        "page",
        "sort",
        "a",
        "b",
        "context",
        "contexts",
        "interests",
    ),
    *(
        "items",
        "order",
        "next",
        "run",
        "release",
        "most",
        "command",
        "outcome",
        "filter",
        "said",
        "key",
        "reason",
        "by",
    ),
)
TEXTS = (
    *(
        "",
        "1",
        "0",
        "-1",
        "1.5",
        "nan",
        "1e9",
        "9" * 30,
        "9" * 5000,
        "item00001",
        "item00001,item00002",
        "u1",
        "\0",
        "a",
    ),
    *(
        "\x1b[2J",
        "é" * 100,
        "日本",
        "\u202e",
        "<img src=x>",
        "{{7*7}}",
        "' or 1=1 --",
        "%",
        "_",
        "\\",
        "(",
        "[",
        "*" * 50,
    ),
    *(
        "a" * 20_000,
        "0,1",
        "0,0",
        "1 2",
        "//evil.example",
        "http://evil.example",
        "/dashboard/",
        "runs/1",
        "\r\nX: y",
        "true",
    ),
)
FLAGS = (
    *(
        "HX-Request: true",
        "HX-Target: main",
        "HX-Boosted: true",
        "HX-Current-URL: x",
        "Sec-Fetch-Site: cross-site",
    ),
    *(
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Site: none",
        "Origin: null",
        "X-Forwarded-Proto: https",
        "Forwarded: for=x",
    ),
    *(
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Prefix: /shop",
        "X-Freshet-Client: 9.9.9.9",
        "Accept: text/event-stream",
    ),
    *(
        "Last-Event-ID: 5",
        "Accept-Language: de",
        "Referer: http://evil.example",
        "If-Modified-Since: soon",
        "DNT: 1",
    ),
)
COOKIES = (
    *(
        "freshet=",
        "freshet=a.b",
        "freshet=.",
        "freshet=e30.00",
        "freshet=" + "a" * 5000,
        "freshet=\xff",
        "a=b; freshet=x",
    ),
    *(
        'freshet="',
        "freshet=bnVsbA.x",
        "freshet=W10.x",
        "freshet=eyJrZXkiOiIifQ.x",
        ";;;",
        "=",
        "freshet",
        "freshet=é.é",
    ),
)


@dataclass(frozen=True)
class Door:
    """What a visitor has been given: a session's cookie, the token of its forms, and a key."""

    cookie: str
    token: str
    key: str = ""


def visit(seed: int, number: int, door: Door) -> Request:
    """The case of this number, of a visitor who has been let in, or comes with something else."""
    rng = random.Random(f"{seed}/{number}/visit")
    form = rng.random() < 0.35
    template = rng.choice(FORMS if form else PAGES)
    ids = [quote(one, safe="%/") if rng.random() < 0.9 else one for one in rng.choices(IDS, k=2)]
    path = "/dashboard/" + template.format(*ids)
    if rng.random() < 0.5 or not form:
        pairs = [(rng.choice(QUERIES), rng.choice(TEXTS)) for _ in range(rng.choice([0, 0, 1, 1, 2, 5]))]
        path += f"?{_encoded(rng, pairs)}" if pairs else rng.choice(["", "", "?", "?&&=", "?%", "?%zz=%ff"])
    method = rng.choice(["POST"] * 8 + METHODS) if form else rng.choice(["GET"] * 12 + METHODS)
    lines = ["Host: 127.0.0.1", *_headers(rng, door, form)]
    body = _body(rng, door, template) if method in ("POST", "PUT", "PATCH") or rng.random() < 0.03 else b""
    framing = f"Content-Length: {len(body)}"
    target = path if path.isascii() and path.isprintable() and " " not in path else quote(path, safe="/?&=%")
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, framing, "", ""]).encode("latin-1", "replace")
    raw = head + body
    whole = len(head) < 30_000 and not any(
        one.startswith(("Transfer", "Upgrade", "Connection", "Expect", "Host: two")) for one in lines
    )
    if rng.random() < 0.15:
        broken = rng.choice(BREAKS)(rng, raw.replace(b"Host: 127.0.0.1", b"Host: localhost"))
        return Request(broken, False, method == "HEAD")
    return Request(raw, whole, method == "HEAD")


def _headers(rng: random.Random, door: Door, form: bool) -> list[str]:
    lines = [rng.choice([*FLAGS, *HEADERS]) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    if rng.random() < 0.8:
        lines.append(f"Cookie: freshet={_bent(rng, door.cookie)}")
    elif rng.random() < 0.7:
        lines.append(f"Cookie: {rng.choice(COOKIES)}")
    if form:
        kinds = ["application/x-www-form-urlencoded"] * 8 + [
            "multipart/form-data; boundary=x",
            "text/plain",
            "a/b",
            "",
        ]
        lines.append(f"Content-Type: {rng.choice(kinds)}")
        if rng.random() < 0.9:
            lines.append("Sec-Fetch-Site: same-origin")
    return lines


def _bent(rng: random.Random, text: str) -> str:
    """As it is, mostly; else with another character somewhere."""
    if rng.random() < 0.85 or not text:
        return text
    at = rng.randrange(len(text))
    return text[:at] + rng.choice(["", "a", ".", "=", "%", "é", "0"]) + text[at + rng.choice([0, 1]) :]


def _body(rng: random.Random, door: Door, template: str) -> bytes:
    pairs = [("token", _bent(rng, door.token))] if rng.random() < 0.9 else []
    if "login" in template:
        pairs += [
            ("key", _bent(rng, door.key) if rng.random() < 0.5 else rng.choice(TEXTS)),
            ("next", rng.choice(TEXTS)),
        ]
    else:
        pairs += [("reason", rng.choice(TEXTS)), ("by", rng.choice(["Ada", *TEXTS]))]
    pairs += [(rng.choice(QUERIES), rng.choice(TEXTS)) for _ in range(rng.choice([0, 0, 0, 1, 3, 250]))]
    if rng.random() < 0.2:
        rng.shuffle(pairs)
    text = _encoded(rng, pairs)
    if rng.random() < 0.1:
        at = rng.randrange(len(text) + 1)
        text = (
            text[:at]
            + rng.choice(["%", "%zz", "&&&", "=", ";", "\0", "%00", "%ff%fe", "&token=x", "é", "\ud800"])
            + text[at:]
        )
    if rng.random() < 0.03:
        text = "a=" + "b" * 70_000
    return text.encode("utf-8", "surrogatepass") if rng.random() < 0.97 else rng.randbytes(50)


def _encoded(rng: random.Random, pairs: list[tuple[str, str]]) -> str:
    return urlencode([(key, value[: rng.choice([50, 50, 30_000])]) for key, value in pairs])
