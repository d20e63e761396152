"""Facts for tests, and processes that record them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from freshet.core.types import Fact

RECORDER = """
import sys
from pathlib import Path
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from tests.backends.user_stores.facts import fact
state = LmdbUserStore(Path(sys.argv[1]), float(sys.argv[2]))
for line in sys.stdin:
    start, end = map(int, line.split())
    new = state.record([fact(n) for n in range(start, end)])
    print(sum(new), flush=True)
"""


def fact(number: int, users: int = 50, body: bytes = b"what it says") -> Fact:
    """The n-th of a stream; each has an identity of its own."""
    key = number.to_bytes(16, "big")
    return Fact(key, (number % users).to_bytes(16, "big"), number % 977, number % 11, number, True, body)


def recorder(folder: Path, gb: float = 1.0) -> subprocess.Popen[str]:
    """A process that records facts START to END for every line `START END`, and answers how many were new."""
    return subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(folder), str(gb)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env=os.environ,
    )
