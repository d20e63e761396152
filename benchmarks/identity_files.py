"""What two versions of the source must agree on, byte for byte: normalising and comparing folders of files.

Only what names the time, the run or the machine is left out, and how many bytes that was is counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pyarrow.parquet as pq

IGNORED_KEYS = {
    "started": "when a run began",
    "peak_mb": "memory of the process",
    "age_days": "days from the release until today",
    "request_id": "random, made for each HTTP request",
    "at": "when a run was last heard of",
    "ended": "when a run ended",
    "sentence": "a service level in words, with times and ages",
}
"""Values of JSON that are not compared, and why."""
_LEVELS = re.compile(r'("value":\s*)(-?[\d.]+)(?=,\s*"objective")')
"""Values of service levels: most are ages until now."""
IGNORED_FILES = {"lock.mdb": "who has the state open"}
"""Files that are not compared, and why."""

_KEYS = re.compile(rf'("(?:{"|".join(IGNORED_KEYS)})":\s*)("(?:[^"\\]|\\.)*"|-?[\w.+-]+)')
_SHOWN = 3
"""Differences shown of one file."""


@dataclass
class Tally:
    """How much was compared, by kind of file (its suffix), and how much of it was left out."""

    files: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        """As JSON has it; shares are of bytes."""
        kinds = {
            kind: {"files": self.files[kind], "bytes": self.bytes[kind], "ignored": self.ignored[kind]}
            for kind in sorted(self.files)
        }
        size, ignored = self.bytes.total(), self.ignored.total()
        return {
            "files": self.files.total(),
            "bytes": size,
            "ignored": ignored,
            "ignored_share": ignored / size if size else 0.0,
            "kinds": kinds,
        }


def normalise(source: Path, target: Path) -> Tally:
    """Copy a folder, without what may differ between two runs of one version; says what was left out."""
    tally = Tally()
    for path in sorted(source.rglob("*")):
        if not path.is_file() or "logs" in path.relative_to(source).parts:  # what runs said, with times
            continue
        kind = path.suffix or path.name
        own = path.read_bytes()
        kept, ignored = _normalised(path, own)
        tally.files[kind] += 1
        tally.bytes[kind] += len(own)
        tally.ignored[kind] += ignored
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(kept)
    return tally


def _normalised(path: Path, own: bytes) -> tuple[bytes, int]:
    """(What is compared of a file, how many of its bytes are left out)."""
    if path.name in IGNORED_FILES:
        return b"", len(own)
    if path.name == "data.mdb":
        return _entries(path), 0
    if path.suffix != ".json":
        return own, 0
    ignored = 0

    def drop(match: re.Match[str]) -> str:
        nonlocal ignored
        ignored += len(match[2].encode())
        return f"{match[1]}<ignored>"

    return _LEVELS.sub(drop, _KEYS.sub(drop, own.decode())).encode(), ignored


def _entries(path: Path) -> bytes:
    """Whatever an LMDB file holds, as JSON: its pages depend on the order of writes, and on free ones."""
    found: dict[str, dict[str, str]] = {}
    with lmdb.open(str(path.parent), readonly=True, lock=False, max_dbs=64) as environment:
        with environment.begin() as transaction:
            names = [key for key, _ in transaction.cursor()]
        for name in names:
            part = environment.open_db(name, create=False)
            with environment.begin(db=part) as transaction:
                found[name.decode()] = {key.hex(): value.hex() for key, value in transaction.cursor()}
    return json.dumps(found, indent=0).encode()


def differences(before: Path, after: Path) -> dict[str, list[str]]:
    """By name of file: how it differs between two normalised folders; empty where nothing does."""
    names = {path.relative_to(root).as_posix() for root in (before, after) for path in files_of(root)}
    found = {}
    for name in sorted(names):
        a, b = before / name, after / name
        if not (a.is_file() and b.is_file()):
            found[name] = ["only " + ("before" if a.is_file() else "after")]
        elif a.read_bytes() != b.read_bytes():
            found[name] = list(islice(_explained(a, b), _SHOWN)) or ["the bytes differ"]
    return found


def files_of(root: Path) -> Iterator[Path]:
    """All files under a folder."""
    return (path for path in root.rglob("*") if path.is_file())


def _explained(a: Path, b: Path) -> Iterator[str]:
    if a.suffix in {".json", ".html", ".mdb", ".toml"}:
        for number, (one, other) in enumerate(zip_longest(_lines(a), _lines(b), fillvalue=""), 1):
            if one != other:
                yield f"line {number}: {_around(one, other)}"
    elif a.suffix == ".npy":
        one, other = np.load(a), np.load(b)
        if one.shape != other.shape or one.dtype != other.dtype:
            yield f"{one.dtype}{list(one.shape)} | {other.dtype}{list(other.shape)}"
        else:
            places = np.argwhere(one != other)
            for place in places:
                yield f"{place.tolist()} ({len(places)} differ): {one[tuple(place)]} | {other[tuple(place)]}"
    elif a.suffix == ".parquet":
        left, right = pq.read_table(a), pq.read_table(b)
        if left.schema != right.schema or len(left) != len(right):
            yield f"{len(left)} rows of {left.schema.names} | {len(right)} rows of {right.schema.names}"
            return
        for name in left.schema.names:
            pairs = enumerate(zip(left[name].to_pylist(), right[name].to_pylist(), strict=True))
            apart = next(((row, one, other) for row, (one, other) in pairs if one != other), None)
            if apart:
                yield "{}, row {}: {} | {}".format(name, *apart)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _around(one: str, other: str) -> str:
    """Both texts from a little before where they part."""
    pairs = enumerate(zip_longest(one, other))
    part = next(place for place, (a, b) in pairs if a != b)
    around = slice(max(0, part - 60), part + 60)
    return f"{one[around].strip()} | {other[around].strip()}"
