"""Attacks on the service and on its files: is every one refused in words, within bounds?

    python benchmarks/hostile.py --json
    python benchmarks/hostile.py --only headers,host

The real `freshet serve` and the real commands, on a small SIMULATED workspace whose titles hold terminal
escapes. Each check says what it saw and `ok`; the exit code is 1 where one is not.

collect     `freshet collect` ends while 20 events a second keep coming
headers     4 connections send a header of `--header-mb` each: told 431, memory bounded, /healthz answers
idle        with more than `--descriptors` connections open that ask nothing, a new one is answered
keys        six `keys add` at once keep six; a revoked key never comes back in `--races` races
network     a refresh that trains a model with TRL opens no connection to another machine
damage      `data.mdb` cut to a half, and `--flips` times with 200 flipped bits: `doctor` names it; serving
            refuses in words or goes on; no signal, no traceback, no status 500
escapes     no control character of a title, a file name or an argument reaches a terminal or a page
paths       a name that leads out of its folder is refused (exit code 2), and nothing there is read
host        without keys: another `Host` and another `Origin` are refused, also with --no-auth
numbers     numbers of 5,001 digits and their like get a 4xx
old         events far in the past are refused (422), none of them is written
umask       whatever the umask, files have mode 600 and folders 700; pages are the person's who asked for them
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hostile_files
import hostile_http
from shared import freshet, parse, parser, simulated, tell

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\x9b31m"


@dataclass(frozen=True)
class Sizes:
    """How hard is tried.

    Attributes:
        header_mb: of each of four connections.
        idle: connections that stay open; `descriptors`: what the server may open, 0 = as the system has it.
        races: revocations beside an addition; `flips`: damaged copies.
        patience: seconds that `collect` gets.
    """

    header_mb: int
    idle: int
    descriptors: int
    races: int
    flips: int
    patience: float


CHECKS: dict[str, Callable[[Path, Sizes], dict[str, Any]]] = {
    "collect": hostile_http.collect,
    "headers": hostile_http.headers,
    "idle": hostile_http.idle,
    "keys": hostile_files.keys,
    "network": hostile_files.network,
    "damage": hostile_files.damage,
    "escapes": hostile_files.escapes,
    "paths": hostile_files.paths,
    "host": hostile_http.host,
    "numbers": hostile_http.numbers,
    "old": hostile_http.old,
    "umask": hostile_files.umask,
}


def main() -> None:
    """Attack, print, and fail if an attack got through."""
    made = parser(__doc__)
    made.add_argument("--only", default=",".join(CHECKS), help="checks, comma-separated")
    made.add_argument("--header-mb", type=int, default=15)
    made.add_argument("--idle", type=int, default=6000)
    made.add_argument(
        "--descriptors", type=int, default=1024, help="that the server may open; 0 = no limit of ours"
    )
    made.add_argument("--races", type=int, default=60)
    made.add_argument("--flips", type=int, default=9)
    made.add_argument("--patience", type=float, default=120.0, help="seconds for `collect` to end")
    options = parse(made, header_mb=4, idle=300, descriptors=256, races=1, flips=1, patience=60.0)
    names = options.only.split(",")
    if unknown := {*names} - {*CHECKS}:
        made.error(f"no checks {', '.join(sorted(unknown))}: there are {', '.join(CHECKS)}")
    sizes = Sizes(*(getattr(options, name) for name in Sizes.__dataclass_fields__))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        shop = prepare(Path(folder))
        for name in names:
            began = time.monotonic()
            try:
                found[name] = CHECKS[name](shop, sizes)
            except (OSError, RuntimeError) as error:  # an attack that brings down what it attacks
                found[name] = {"ok": False, "ended": f"{type(error).__name__}: {error}"[-600:]}
            told = "ok" if found[name]["ok"] else f"NOT OK {found[name]}"
            print(f"{name}: {told} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)
    found["ok"] = all(found[name]["ok"] for name in names)
    tell(options, found)
    sys.exit(not found["ok"])


def prepare(folder: Path) -> Path:
    """A workspace with a release, whose titles hold escapes; every check works on a copy."""
    shop = folder / "shop"
    os.umask(0)  # of what is started as well: `umask` looks at what comes of it
    simulated(shop, planner="counts", titles=ESCAPES)
    freshet("run", "-w", shop)
    return shop


if __name__ == "__main__":
    main()
