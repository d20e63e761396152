"""Damaged files of a workspace and its backup, read in forks; `fuzz.py` says what must hold."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_readers
import fuzz_workers
import fuzz_workspace
from fuzz_damage import Damage, damage, listed

CPU_SECONDS, SECONDS = 40, 300.0
"""Of a case: processor time, which other work on the machine does not lengthen, and the clock's."""
HANG = "hang"
MEMORY = 3 << 30
"""Bytes that it may write to."""


def fuzz(
    seed: int, first: int, count: int, kept: Path, shop: Path | None, everything: bool
) -> dict[str, Any]:
    """Damage and read, case after case.

    Args:
        shop: folder of the workspace and its backup, made where it is not there; None = made for this run.
        everything: whether it is made with what takes longest.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = shop or Path(folder)
        if not (root / "shop" / "CURRENT").exists():
            (root / "shop").mkdir(parents=True)
            fuzz_workspace.made(root / "shop", everything)
        files = listed(root)

        def save(number: int) -> dict[str, Any]:
            broke = damage(seed, number, root, files, fuzz_readers.EVERY)
            if broke.content is not None:
                (kept / f"{number}-{Path(broke.path).name}").write_bytes(broke.content)
            told = {"path": broke.path, "sealed": broke.sealed, "mutations": broke.done}
            return told | {"readers": list(broke.readers)}

        found = fuzz_workers.drive("artifacts", seed, first, count, save, "--shop", root)
    return found | {"kinds": len(files), "files": sum(map(len, files.values()))}


def work(seed: int, first: int, count: int, shop: Path) -> None:
    """Read case after case, each in a fork of this process, which has imported everything."""
    with tempfile.TemporaryDirectory(dir=fuzz_workers.scratch()) as made:
        root = Path(made) / "root"
        shutil.copytree(shop, root)
        (root / "beside").mkdir()
        files, kept = listed(shop), Kept(root)
        with kept:
            fuzz_readers.warm(root)
        usual = {name: said for name in fuzz_readers.COMPARED if (said := _usual(name, root, kept))}
        for number in range(first, first + count):
            one = damage(seed, number, shop, files, fuzz_readers.EVERY)
            rng = random.Random(f"{seed}/{number}/readers")
            with kept:
                applied(one, root)
                outcome, why, detail = forked(one, root, rng, usual)
            fuzz_workers.tell_case(number, one.kind, outcome, why, detail)


def _usual(name: str, root: Path, kept: Kept) -> dict[int, str]:
    """What a reader says of a sound workspace, by what it was asked for."""
    found = {}
    for chosen in range(SPREAD if name == "recommend" else 1):
        with kept:
            found[chosen] = in_fork(lambda asked=chosen: fuzz_readers.read(name, root, asked)[1])[0]
    if not all(found.values()):
        sys.exit(f"{name} fails in a sound workspace: {found}")
    return found


SPREAD = 5
"""Users that are asked for, whose answers are known beforehand."""


@dataclass(frozen=True)
class _File:
    stamp: tuple[int, int, int]
    content: bytes
    mode: int


class Kept:
    """Puts a folder back as it was, at the end of each block."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = {
            name: _File(stamp, Path(name).read_bytes(), Path(name).stat().st_mode)
            for name, stamp in _walk(root)
        }

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(self, *error: object) -> None:
        there = set()
        for name, stamp in list(_walk(self.root)):
            known = self.files.get(name)
            if known is None:
                Path(name).unlink()
            elif known.stamp == stamp:
                there.add(name)
        for name in self.files.keys() - there:
            self._put_back(Path(name), self.files[name])

    def _put_back(self, path: Path, known: _File) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(known.content)
        path.chmod(known.mode)
        self.files[str(path)] = _File(_stamp(path.stat()), known.content, known.mode)


def _walk(folder: Path | str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Files with their sizes, times and inodes."""
    with os.scandir(folder) as found:
        for one in found:
            if one.is_dir(follow_symlinks=False):
                yield from _walk(one.path)
            else:
                yield one.path, _stamp(one.stat(follow_symlinks=False))


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino


def applied(one: Damage, root: Path) -> None:
    """Write the damage."""
    path = root / one.path
    if one.content is None:
        path.unlink()
    else:
        path.write_bytes(one.content)
    for name, content in one.also.items():
        (root / name).write_bytes(content)


def forked(
    one: Damage, root: Path, rng: random.Random, usual: dict[str, dict[int, str]]
) -> tuple[str, str, str]:
    """Outcome; what is wrong about it, '' where nothing is; details."""
    outcomes: list[str] = []
    for name in one.readers:
        chosen = rng.randrange(10_000)
        if rng.random() > fuzz_readers.RARE.get(name, 1.0):
            name = "status"
        told, failed = in_fork(
            lambda asked=(name, chosen): "\n".join(fuzz_readers.read(asked[0], root, asked[1]))
        )
        if failed:
            why, _, detail = failed.partition("\n")
            return name, why, detail
        outcome, _, digest = told.partition("\n")
        expected = usual.get(name, {}).get(chosen % SPREAD if name == "recommend" else 0)
        if digest and not one.sealed and expected and digest != expected and guarded(one, name):
            return name, f"{name}: other content behind a checksum, silently", told
        if name == "doctor" and outcome == "answered" and one.changed and not one.sealed and is_checked(one):
            return name, "doctor: damage behind a checksum is not found", one.path
        outcomes.append(f"{name} {outcome}")
    return outcomes[-1] if outcomes else "nothing", "", ""


def is_checked(one: Damage) -> bool:
    """Whether `doctor` compares a file with a checksum."""
    from freshet.doctor.artifact_checks import KINDS

    return one.path.startswith("shop/") and one.kind in KINDS  # counted days are known by their rows


def guarded(one: Damage, name: str) -> bool:
    """Whether a file is behind a checksum that this reader has to compare."""
    return one.path.startswith("shop/") and one.kind in ARTIFACTS if name != "restore" else one.kind == "safe"


ARTIFACTS = ("items", "interests", "assignments", "transitions", "tables", "sequences", "screens")
"""Without which a release is not served, or said to be damaged: of others, parts, it serves without them."""


def in_fork(work: Any) -> tuple[str, str]:
    """What a function returns in a process of its own; else why not: a line of what, then details.

    What hangs is tried once more: a library's lock may be held by a thread that a fork does not have.
    """
    said, failed = once(work)
    return once(work) if failed.startswith(HANG) else (said, failed)


def once(work: Any) -> tuple[str, str]:
    """One try of `in_fork`."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        _answer(into, work)
        os._exit(0)
    os.close(into)
    said, late = _received(out, time.monotonic() + SECONDS)
    os.close(out)
    if late:
        os.kill(child, signal.SIGABRT)  # tells where it is
    _, status = os.waitpid(child, 0)
    if late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return "", f"{HANG}\n"
    if os.WIFSIGNALED(status):
        return "", f"killed by signal {os.WTERMSIG(status)}\n"
    found = json.loads(said or '["", "ended without a word"]')
    return found[0], found[1]


def _received(out: int, until: float) -> tuple[str, bool]:
    import select

    parts = b""
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([out], [], [], left)
        if ready:
            part = os.read(out, 1 << 16)
            if not part:
                return parts.decode(), False
            parts += part
    return parts.decode(), True


def _answer(into: int, work: Any) -> None:
    """In the child: work, and say how it went."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    try:
        said = [work(), ""]
    except fuzz_readers.Failed as error:
        said = ["", f"{error}\n{error.detail}"]
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        trace = traceback.format_exc()
        said = ["", f"raised {fuzz_readers.last_error(trace)}\n{type(error).__name__}: {trace[-1800:]}"]
    with os.fdopen(into, "w") as pipe:
        json.dump(said, pipe)
