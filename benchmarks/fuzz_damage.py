"""What is done to the files of a workspace: case n of a seed and a workspace is always the same."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MANIFEST = "manifest.json"
UNREAD = ("source", ".html")
"""Files that nobody reads again."""
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, 10**30, -(2**70), 1e308, float("nan"), float("inf"), -0.0),
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "é" * 300,
        "x" * 9000,
        "../../etc/passwd",
        "/",
        ".",
        "2024-13-45",
        "9999-12-31",
        "0",
    ),
    *(
        "0001-01-01T00:00:00+00:00",
        "2024-01-01T00:00:00",
        "running",
        "waiting",
        "done",
        "\x1b[2J",
        "nan",
        "-1",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        {"a": 1},
        {"": ""},
        [1, "a"],
        ["x"] * 500,
        [{"a": []}],
        {"number": "1", "rows": []},
    ),
)
RAW = (
    "[" * 100_000,
    '{"a":' * 50_000,
    "9" * 5001,
    "1e999",
    "NaN",
    "nul",
    "",
    '"',
    "{}",
    "[]",
    "0",
    '"\\ud800"',
    "\ufeff",
)
KINDS: dict[str, tuple[str, ...]] = {
    "state": ("recommend", "collect", "doctor", "forget"),
    "keys.json": ("keys list", "keys add", "pages", "doctor"),
    "CURRENT": ("recommend", "status", "pages", "doctor", "rollback"),
    "PAUSED": ("schedule look", "schedule status", "status", "pages"),
    "alerts": ("alerts", "status", "pages"),
    "exports": ("status", "export", "rollback", "doctor"),
    "exported": ("export", "rollback"),
    "backup": ("backup", "doctor", "restore"),
    "safe": ("restore", "backup"),
    "safe-keys": ("restore", "backup"),
    "privacy": ("forget", "recommend", "doctor", "collect", "import"),
    "experiments": (
        "experiment list",
        "recommend",
        "recommend",
        "rollback",
        "status",
        "pages",
        "experiment report",
        "collect",
    ),
    "impressions": ("experiment report", "forget", "collect", "doctor"),
    "quarantine": ("doctor", "forget", "import", "status"),
    "decisions": ("status", "history one", "doctor", "pages", "approve", "rollback"),
    "runs": ("status", "history", "history one", "schedule look", "pages", "doctor", "alerts", "approve"),
    "logs": ("pages", "history one"),
    "releases": ("recommend", "status", "diff", "rollback", "doctor", "pages", "gc"),
    "events": ("doctor", "status", "explain prompt", "import", "collect", "forget", "recommend"),
    "days": ("explain", "doctor", "recommend", "pages"),
    "freshet.toml": ("status", "recommend", "pages"),
    "replay": ("pages", "status", "gc", "cadence"),
    "cadence": ("pages", "status"),
    "drift": ("pages", "status"),
    "gates": ("pages", "status", "doctor", "approve"),
    "work": ("doctor",),
}
"""Where a file lies -> what reads it; of all else, artifacts, it is `READ`."""
READ = (
    "recommend",
    "recommend",
    "explain",
    "explain prompt",
    "interests",
    "diff",
    "pages",
    "doctor",
    "export",
    "status",
)


@dataclass(frozen=True)
class Damage:
    """One case.

    Attributes:
        path: below the folder of the workspace and its backup.
        content: of the file; None = it is gone.
        also: other files that are written with it, so that checksums fit.
        sealed: the checksums were made to fit.
        changed: the file is not as it was.
        readers: what reads it, in order.
    """

    path: str
    content: bytes | None
    also: dict[str, bytes]
    sealed: bool
    changed: bool
    readers: tuple[str, ...]
    done: list[str]

    @property
    def kind(self) -> str:
        """Where it lies."""
        return kind_of(self.path)


def kind_of(path: str) -> str:
    """Kind of artifact, or folder; a backup's objects are all alike."""
    first, *rest = PurePosixPath(path).parts
    return rest[0] if first == "shop" else first


def listed(root: Path) -> dict[str, list[str]]:
    """Files by kind, in a fixed order."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.endswith(UNREAD[1]) and f"/{UNREAD[0]}/" not in name:
            found[kind_of(name)].append(name)
    return dict(found)


def damage(seed: int, number: int, root: Path, files: dict[str, list[str]], every: tuple[str, ...]) -> Damage:
    """The case of this number.

    Args:
        files: of `listed`.
        every: names of all readers.
    """
    rng = random.Random(f"{seed}/{number}/damage")
    kind = rng.choice([*files])
    name = rng.choice(files[kind])
    done: list[str] = []
    before = (root / name).read_bytes()
    form = PurePosixPath(name).suffix
    content: bytes | None
    known = FORMS.get(form)
    if known is not None and rng.random() < 0.65:
        content = known(rng, before, done)
    else:
        content = _bytes(rng, before, [root / one for one in files[kind]], done)
    sealed = content is not None and content != before and rng.random() < (0.85 if known else 0.5)
    also = {}
    if sealed and content is not None:
        content, also = _fitted(root, name, content)
    usual = KINDS.get(kind, READ)
    readers = [rng.choice(usual if rng.random() < 0.8 else every) for _ in range(rng.choice([1, 1, 2]))]
    told = tuple(dict.fromkeys(readers))
    return Damage(name, content, also, bool(sealed), content != before, told, done)


def _fitted(root: Path, name: str, content: bytes) -> tuple[bytes, dict[str, bytes]]:
    """The file and its manifest, with checksums that fit."""
    path = root / name
    if path.name == MANIFEST:
        made = _loaded(content)
        return (_manifest(made), {}) if isinstance(made, dict) else (content, {})
    for folder in path.parents:
        if folder == root:
            break
        manifest = folder / MANIFEST
        if manifest.exists():
            made = json.loads(manifest.read_bytes())
            made["files"][path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
            return content, {manifest.relative_to(root).as_posix(): _manifest(made)}
    return content, {}


def _loaded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _manifest(made: dict[str, Any]) -> bytes:
    rest = {key: value for key, value in made.items() if key != "seal"}
    made = {**rest, "seal": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}
    return json.dumps(made, indent=1, sort_keys=True).encode()


def _bytes(rng: random.Random, before: bytes, beside: list[Path], done: list[str]) -> bytes | None:
    """Flips, cuts, other contents."""
    what = rng.choice(
        ["flip", "flip", "flip", "flip", "cut", "empty", "gone", "swap", "zeros", "random", "more", "twice"]
    )
    done.append(what)
    found = bytearray(before)
    at = rng.randrange(len(found)) if found else 0
    match what:
        case "flip" if found:
            for _ in range(rng.choice([1, 1, 2, 8, 200])):
                found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
        case "cut":
            del found[at:]
        case "empty":
            return b""
        case "gone":
            return None
        case "swap":
            return rng.choice(beside).read_bytes()
        case "zeros":
            length = min(rng.choice([1, 64, 4096]), len(found) - at)
            found[at : at + length] = bytes(length)
        case "random":
            return rng.randbytes(rng.choice([1, 7, 100, 5000]))
        case "more":
            found += rng.randbytes(rng.choice([1, 3, 4096]))
        case "twice":
            found += bytes(found)
        case _:
            found += b"x"
    return bytes(found)


def _json(rng: random.Random, before: bytes, done: list[str]) -> bytes:
    """Another value somewhere, a key less or more, or text that is none."""
    made = _loaded(before)
    if rng.random() < 0.1:
        text, raw = before.decode("utf-8", "replace"), rng.choice(RAW)
        at = rng.randrange(len(text) + 1)
        done.append(f"{raw[:20]!r} at {at}")
        return (
            (text[:at] + raw + text[at:]).encode("utf-8", "surrogatepass")
            if rng.random() < 0.6
            else raw.encode()
        )
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        made = _changed(rng, made, done)
    return json.dumps(made, indent=1).encode("utf-8", "surrogatepass")


def _changed(rng: random.Random, made: Any, done: list[str]) -> Any:
    if not (isinstance(made, list | dict) and made) or rng.random() < 0.03:
        done.append("all of it")
        return deepcopy(rng.choice(ODD))
    at, where = made, ""
    while True:
        key = rng.choice([*at]) if isinstance(at, dict) else rng.randrange(len(at))
        where += f".{key}"
        inner = at[key]
        if not (isinstance(inner, list | dict) and inner) or rng.random() < 0.25:
            break
        at = inner
    odd = deepcopy(rng.choice(ODD))
    match rng.choice(["value", "value", "value", "like it", "like it", "less", "more", "key"]):
        case "less":
            del at[key]
            done.append(f"no {where}"[:80])
        case "more" if isinstance(at, list):
            at.insert(0, odd)
            done.append(f"one more before {where}"[:80])
        case "key" if isinstance(at, dict):
            at[rng.choice(["", "x", "number", "id", "../x", "\0", "é"])] = at.pop(key)
            done.append(f"{where} is called otherwise"[:80])
        case "like it" if isinstance(inner, bool):
            at[key] = not inner
            done.append(f"{where} turned"[:80])
        case "like it" if isinstance(inner, int | float):
            at[key] = rng.choice(
                [-inner, inner + 1, inner * 1000, inner / 3, 0, -1, float("nan"), str(inner)]
            )
            done.append(f"{where} = {at[key]}"[:80])
        case "like it" if isinstance(inner, str):
            at[key] = rng.choice(
                [inner[::-1], inner[:-1], inner + "0", inner.upper(), f"{inner}\n", " " + inner]
            )
            done.append(f"{where} = {at[key]!r}"[:80])
        case _:
            at[key] = odd
            done.append(f"{where} = {odd!r}"[:80])
    return made


def _lines(rng: random.Random, before: bytes, done: list[str]) -> bytes:
    """JSON on one line of several."""
    lines = before.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = _json(rng, lines[at], done).replace(b"\n", b"") if lines[at] else rng.choice(RAW).encode()
    return b"\n".join(lines)


def _npy(rng: random.Random, before: bytes, done: list[str]) -> bytes:
    """Numbers of another type, shape or size."""
    array = np.load(io.BytesIO(before), allow_pickle=False)
    done.append(what := rng.choice([*ARRAYS]))
    try:
        changed = ARRAYS[what](rng, array)
    except (ValueError, TypeError, IndexError, OverflowError):  # nothing in it, or of a type that doesn't go
        changed = array[:0]
    sink = io.BytesIO()
    np.save(sink, changed, allow_pickle=what == "objects")
    content = sink.getvalue()
    if what == "a huge shape":
        content = content.replace(b"'shape': (", b"'shape': (99999999999, ", 1)
    return content


def _set(rng: random.Random, array: Any, value: float) -> Any:
    found = array.copy()
    found.flat[rng.randrange(max(1, array.size))] = value
    return found


ARRAYS: dict[str, Callable[[random.Random, Any], Any]] = {
    "nan": lambda rng, a: _set(rng, a, float("nan")),
    "infinite": lambda rng, a: _set(rng, a, float("inf")),
    "negative": lambda rng, a: _set(rng, a, -1),
    "large": lambda rng, a: _set(rng, a, 32_000),
    "larger": lambda rng, a: _set(rng, a, 2**31 - 1),
    "zeros": lambda _, a: np.zeros_like(a),
    "all large": lambda _, a: np.full_like(a, 120),
    "shorter": lambda _, a: a[:-1],
    "empty": lambda _, a: a[:0],
    "longer": lambda _, a: np.concatenate([a, a]),
    "reversed": lambda _, a: a[::-1],
    "flat": lambda _, a: a.reshape(-1),
    "a dimension more": lambda _, a: a[None],
    "turned": lambda _, a: a.T,
    "narrower": lambda _, a: a[..., :-1],
    "scalar": lambda _, a: np.asarray(a.flat[0]),
    "doubles": lambda _, a: a.astype(np.float64),
    "ints": lambda _, a: a.astype(np.int64),
    "bytes": lambda _, a: a.astype(np.int8),
    "text": lambda _, a: a.astype("U8"),
    "complex": lambda _, a: a.astype(complex),
    "objects": lambda _, a: a.astype(object),
    "big-endian": lambda _, a: a.astype(a.dtype.newbyteorder(">")),
    "fortran": lambda _, a: np.asfortranarray(a),
    "a huge shape": lambda _, a: a,
}


def _parquet(rng: random.Random, before: bytes, done: list[str]) -> bytes:
    """A table with other columns, types or values."""
    table = pq.read_table(io.BytesIO(before))
    name = rng.choice(table.column_names) if table.column_names else ""
    what = rng.choice([*TABLES])
    done.append(f"{what}: {name}")
    try:
        table = TABLES[what](rng, table, name)
    except (pa.ArrowException, ValueError, KeyError, TypeError):  # nothing to change
        table = table.slice(0, 0)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _with(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


def _shaken(rng: random.Random, table: pa.Table, name: str) -> pa.Table:
    values = table[name].to_pylist()
    at = rng.randrange(len(values))
    old = values[at]
    values[at] = (
        rng.choice([0, -1, 2**31 - 1, 32_000])
        if isinstance(old, int)
        else float("nan")
        if isinstance(old, float)
        else None
    )
    return _with(table, name, pa.array(values, table.schema.field(name).type))


TABLES: dict[str, Callable[[random.Random, pa.Table, str], pa.Table]] = {
    "no rows": lambda _, t, __: t.slice(0, 0),
    "a row less": lambda _, t, __: t.slice(0, t.num_rows - 1),
    "twice": lambda _, t, __: pa.concat_tables([t, t]),
    "no column": lambda _, t, n: t.drop_columns([n]),
    "renamed": lambda _, t, n: t.rename_columns([f"{n}x" if one == n else one for one in t.column_names]),
    "a column more": lambda _, t, n: t.append_column("more", t[n]),
    "a column twice": lambda _, t, n: t.append_column(n, t[n]),
    "null": lambda _, t, n: _with(t, n, pa.nulls(t.num_rows, t.schema.field(n).type)),
    "text": lambda _, t, n: _with(t, n, pa.array([str(one) for one in t[n].to_pylist()])),
    "doubles": lambda _, t, n: _with(t, n, t[n].cast(pa.float64())),
    "small": lambda _, t, n: _with(t, n, t[n].cast(pa.int8())),
    "binary": lambda rng, t, n: _with(t, n, pa.array([rng.randbytes(3) for _ in range(t.num_rows)])),
    "lists": lambda _, t, n: _with(t, n, pa.array([[one] for one in t[n].to_pylist()])),
    "reversed": lambda _, t, __: t.take([*range(t.num_rows)][::-1]),
    "another value": _shaken,
    "one more odd value": _shaken,
    "without metadata": lambda _, t, __: t.replace_schema_metadata(None),
}
FORMS: dict[str, Callable[[random.Random, bytes, list[str]], bytes]] = {
    ".json": _json,
    ".jsonl": _lines,
    ".progress": _json,
    ".npy": _npy,
    ".parquet": _parquet,
}
