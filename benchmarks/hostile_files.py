"""Attacks on files, commands and terminals; `hostile.py` says what each must find."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freshet.http.api_keys import load_keys
from hostile_tools import ask, copied, get, post
from shared import command, serving

if TYPE_CHECKING:
    from hostile import Sizes

INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What changes a terminal or the order of letters; line ends and tabs are fine."""
BLOCK = '''"""No connection leaves the machine; who tries is written down."""
import os, socket

def refuse(what):
    def call(*arguments, **named):
        told = str(arguments[-1] if what == "connect" else arguments[0])
        if what == "connect" and not isinstance(arguments[-1], tuple) or any(
            ours in told for ours in ("127.0.0.1", "localhost", "::1")
        ):
            return real[what](*arguments, **named)
        with open(os.environ["TRIED"], "a") as log:
            log.write(told + "\\n")
        raise OSError("blocked")
    return call

real = {"connect": socket.socket.connect, "getaddrinfo": socket.getaddrinfo}
socket.getaddrinfo = refuse("getaddrinfo")

class Socket(socket.socket):
    connect = refuse("connect")

socket.socket = Socket
'''


COMMANDS = """import contextlib, io, json, sys
from freshet.cli import app
found = []
for call in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        code = app.run(call)
    found.append([code, said.getvalue()])
json.dump(found, sys.stdout)
"""


def run(*arguments: object, **named: Any) -> subprocess.CompletedProcess[str]:
    """A command, whatever comes of it."""
    call = command(*arguments)
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=600, **named)


def run_all(calls: Sequence[Sequence[object]]) -> list[tuple[int, str]]:
    """Exit codes of commands and what they printed, one after the other in one process."""
    asked = json.dumps([[str(part) for part in call] for call in calls])
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS], input=asked, stdout=subprocess.PIPE, text=True, check=True
    )
    return [(code, said) for code, said in json.loads(done.stdout)]


def keys(shop: Path, sizes: Sizes) -> dict[str, Any]:
    """Additions at once, and revocations beside them."""
    root = copied(shop, "keys")
    codes = _at_once(*(("keys", "add", "-w", root, "--name", f"k{n}") for n in range(6)))
    kept, back = len(load_keys(root)), 0
    for race in range(sizes.races):
        name = f"race {race}"
        codes += _at_once(("keys", "add", "-w", root, "--scope", "admin", "--name", name))
        [revoked] = [key.id for key in load_keys(root).values() if key.name == name]
        codes += _at_once(("keys", "revoke", "-w", root, revoked), ("keys", "add", "-w", root))
        back += revoked in load_keys(root)
    ok = kept == 6 and not any(codes) and back == 0
    return {"ok": ok, "kept": kept, "of": 6, "came_back": back, "races": sizes.races}


def _at_once(*calls: tuple[object, ...]) -> list[int]:
    """Commands beside each other, to their end; their exit codes."""
    quiet = subprocess.DEVNULL
    started = [subprocess.Popen(command(*call), stdout=quiet, stderr=quiet) for call in calls]
    return [one.wait() for one in started]


def network(shop: Path, _: Sizes) -> dict[str, Any]:
    """Train with TRL while every connection to elsewhere is refused and noted."""
    root, beside = copied(shop, "network"), shop.parent / "blocked"
    beside.mkdir()
    (beside / "sitecustomize.py").write_text(BLOCK)
    settings = root / "freshet.toml"
    extra = "[tuning]\nmax_steps = 3\nmax_examples = 100\n"
    settings.write_text(
        settings.read_text().replace('kind = "counts"', 'kind = "scratch"\nmode = "description"') + extra
    )
    tried = shop.parent / "tried"
    path = os.pathsep.join([str(beside), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = run("finetune", "-w", root, env=os.environ | {"PYTHONPATH": path, "TRIED": str(tried)})
    asked = sorted({*tried.read_text().splitlines()}) if tried.exists() else []
    trained = any((root / "models").glob("*"))
    told = {} if trained else {"said": done.stderr[-500:]}
    return {"ok": trained and not asked, "trained": trained, "asked_for": asked, **told}


def damage(shop: Path, sizes: Sizes) -> dict[str, Any]:
    """The state cut, and with flipped bits."""
    whole = copied(shop, "whole")
    with serving(whole) as served:
        for n in range(0, 300, 100):
            events = [{"user": f"u{m}", "item": f"item{m % 90:05d}", "value": 9} for m in range(n, n + 100)]
            assert ask(served.port, post("/v1/events", events))[0] == 200
    data = (whole / "state" / "data.mdb").read_bytes()
    ruined = {"cut": data[: len(data) // 2]}
    if sizes.flips > 1:
        ruined |= {"empty": b"", "cut by a page": data[:-4096]}
    for seed in range(sizes.flips):
        rng, flipped = random.Random(seed), bytearray(data)
        for _ in range(200):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        ruined[f"flipped {seed}"] = bytes(flipped)
    found = {name: _ruined(whole, name, content) for name, content in ruined.items()}
    shutil.rmtree(whole)
    return {"ok": all(one["ok"] for one in found.values()), "bytes": len(data), "damaged": found}


def _ruined(whole: Path, name: str, content: bytes) -> dict[str, Any]:
    """What serving and `doctor` make of it."""
    root = copied(whole, name.replace(" ", "-"))
    (root / "state" / "data.mdb").write_bytes(content)
    told, statuses = "", set()
    try:
        with serving(root) as served:
            for n in range(0, 300, 20):
                statuses.add(ask(served.port, post("/v1/explore", {"user": f"u{n}"}))[0])
            statuses.add(ask(served.port, get("/healthz"))[0])
            ended = served.process.poll()
        told = served.log.read_text()
        ended = served.process.returncode if ended is None else ended
    except RuntimeError as error:  # it would not start
        told = str(error)
        ended = int(re.match(r"ended with (-?\d+)", told)[1])  # type: ignore[index]
    except OSError as error:
        told, ended = str(error), -signal.SIGKILL
    doctor = run("doctor", "-w", root)
    said = doctor.stdout + doctor.stderr
    named = doctor.returncode > 0 and "state" in said
    crashed = ended < 0 or doctor.returncode < 0 or "Traceback" in told + said or "struct.error" in told
    refused = not statuses and ended in (1, 2) and len(told) > 30
    shutil.rmtree(root)
    return {
        "ok": not crashed and named and 500 not in statuses,
        "refused": refused,
        "ended": ended,
        "statuses": sorted(statuses),
        "doctor": doctor.returncode,
        "doctor_names_it": named,
    }


def escapes(shop: Path, _: Sizes) -> dict[str, Any]:
    """Titles, names of files and arguments with escapes, wherever a person reads them."""
    root = copied(shop, "escapes")
    odd = shop.parent / "\x1b[2Jevents.csv"
    odd.write_text("user,item,time\nu,i,2024-01-01\n\x1b[2J,i,soon\n")
    calls: list[tuple[object, ...]] = [
        ("interests", "-w", root),
        ("explain", "-w", root, "0"),
        ("explain", "-w", root, "\x1b]0;owned\x07"),
        ("status", "-w", root),
        ("history", "-w", root, "\x1b[2J"),
        ("import", "-w", root, odd),
        ("import", "-w", root, f"{odd}\u202e.csv"),
        ("report", "-w", root, "--out", root / "report.html"),
        ("report", "-w", root),
    ]
    seen = {}
    for call, (_, said) in zip(calls, run_all(calls), strict=True):
        if hits := INVISIBLE.findall(said):
            seen[" ".join(ascii(str(one)) for one in (call[0], *call[3:]))] = len(hits)
    for page in root.rglob("*.html"):
        if hits := INVISIBLE.findall(page.read_text(encoding="utf-8", errors="surrogateescape")):
            seen[page.name] = len(hits)
    pages = len(list(root.rglob("*.html")))
    return {"ok": not seen and pages > 0, "reached": seen, "pages": pages}


def paths(shop: Path, _: Sizes) -> dict[str, Any]:
    """Names that lead out of their folder, or that are too long to be files."""
    root = Path(shutil.copytree(shop, shop.parent / "nest" / "ws"))
    runs = sorted((shop / "runs").glob("*.json"))
    another = runs[-1].stem
    outside = os.path.relpath(shop / "runs" / another, root / "runs")
    calls = [
        ("history", outside),
        ("history", str(shop / "runs" / another)),
        ("approve", "../releases/1"),
        ("approve", outside),
        ("reject", "../releases/00001"),
        ("history", "x" * 5000),
        ("diff", "../../shop/releases/1", "1"),
        ("rollback", "../releases/1"),
        ("keys", "revoke", "../keys"),
        ("experiment", "report", "../../shop/experiments/x"),
        ("experiment", "stop", "../runs"),
    ]
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    seen = {}
    for call, (code, said) in zip(calls, run_all([(*call, "-w", root) for call in calls]), strict=True):
        if code != 2 or "Traceback" in said:
            seen[" ".join(call)[:60]] = f"{code}: {said.strip()[-200:]}"
    changed = [
        str(path.relative_to(root))
        for path, content in before.items()
        if path.name != "LEASE" and (not path.exists() or path.read_bytes() != content)
    ]
    return {"ok": not seen and not changed, "tried": len(calls), "not_refused": seen, "changed": changed}


def umask(shop: Path, _: Sizes) -> dict[str, Any]:
    """Everything that commands and the service write; `prepare` has set a umask that hides nothing."""
    root = copied(shop, "bare")
    assert _at_once(("keys", "add", "-w", root), ("report", "-w", root)) == [0, 0]
    with serving(root, "--no-auth") as served:
        ask(served.port, post("/v1/events", [{"user": "u", "item": "item00001", "value": 9}]))
        ask(served.port, post("/v1/explore", {"user": "u"}))
    assert _at_once(("collect", "-w", root)) == [0]
    theirs = {root / "freshet.toml", root / "world", *(root / "world").iterdir()}
    made = [path for path in root.rglob("*") if path not in theirs and path.suffix != ".html"]
    wide = sorted(str(path.relative_to(root)) for path in made if path.stat().st_mode & 0o077)
    return {"ok": bool(made) and not wide, "made": len(made), "wide": len(wide), "such_as": wide[:8]}
