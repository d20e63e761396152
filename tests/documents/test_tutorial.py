"""docs/tutorial.md works from top to bottom, on a small log in the same format."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCKS = re.findall(
    r"^```(sh|python)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
GENRES = (
    *("Action", "Comedy", "Crime", "Drama", "Fantasy", "Horror"),
    *("Music", "Mystery", "Romance", "Thriller", "War", "Western"),
)
DAY = 86_400

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")]


def write_log(folder: Path) -> None:
    """Films of twelve genres, and people who mostly go through the genres in the same order."""
    draw = Random(0)
    folder.mkdir()
    films = [
        (0, 111161),
        (1, 468569),
        *((i % 12, 2_000_000 + i) for i in range(120)),
    ]  # two stand in the page
    movies = [f"{film:07}::Film {film} (19{60 + 3 * kind})::{GENRES[kind]}" for kind, film in films]
    (folder / "movies.dat").write_text("\n".join(movies) + "\n")
    of_kind = {kind: [film for other, film in films if other == kind] for kind in range(12)}
    ratings = []
    for user in range(400):
        kind, moment = draw.randrange(12), 1_362_000_000 + draw.randrange(30 * DAY)
        for _ in range(draw.randrange(5, 11)):
            ratings.append(f"{user}::{draw.choice(of_kind[kind]):07}::{draw.randrange(7, 11)}::{moment}")
            kind = (kind + 5) % 12 if draw.random() < 0.95 else draw.randrange(12)
            moment += draw.randrange(2 * DAY, 6 * DAY)
    (folder / "ratings.dat").write_text("\n".join(ratings) + "\n")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Reader:
    """Somebody who types what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(free_port())
        self.server: subprocess.Popen[bytes] | None = None

    def does(self, language: str, block: str) -> str:
        """What a block prints; a server stays up until a block after its requests needs it stopped."""
        if language == "python":
            return self._run([sys.executable, "-c", block])
        block = block.replace("--interests 100", "--interests 12").replace("8000", self.port)
        script = (
            f'freshet() {{ {shlex.quote(sys.executable)} -m freshet "$@"; }}; export FRESHET_DEBUG=1\n{block}'
        )
        if "freshet serve" in block:
            arguments = shlex.split(block)[1:]
            self.server = subprocess.Popen([sys.executable, "-m", "freshet", *arguments], cwd=self.folder)
            return self._waits()
        if "curl" not in block:
            self.stop()
        return self._run(["bash", "-euc", script])

    def stop(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            assert self.server.wait() == 0
            self.server = None

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.folder, env=os.environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _waits(self) -> str:
        while True:
            assert self.server is not None
            assert self.server.poll() is None, "the server ended"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as reply:
                    return str(reply.read())
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.2)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What each block of the page printed, in order."""
    folder = tmp_path_factory.mktemp("tutorial")
    write_log(folder / "movietweetings")
    reader = Reader(folder)
    try:
        yield [reader.does(*block) for block in BLOCKS]
    finally:
        if reader.server is not None:
            reader.server.kill()


def test_every_block_works(printed: list[str]) -> None:
    assert len(printed) == len(BLOCKS) > 8
    whole = "\n".join(printed)
    for expected in (
        "release 1 serves",
        "what drives this log",
        "next interest",
        "hit@5",
    ):
        assert expected in whole
    assert re.search(r"done: release [2-9] serves", whole)  # each model makes one of its own
