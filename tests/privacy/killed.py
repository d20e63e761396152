"""A process that forgets somebody and is killed at the N-th change it makes to the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

FORGET = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from freshet.privacy import artifact_cleaning
from freshet.privacy.forgetting import forget
from freshet.wiring import existing_user_store, open_workspace

root, person, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ws = open_workspace(root)
users = existing_user_store(ws.root, ws.config)
changes = 0

def change(event, arguments):
    global changes
    wanted = event in ("os.rename", "os.remove", "os.link")
    if wanted and any(str(root) in str(one) for one in arguments[:2]):
        changes += 1
        if changes == at:
            os.kill(os.getpid(), signal.SIGKILL)

exchange = artifact_cleaning._exchange
artifact_cleaning._exchange = lambda *paths: (change("os.rename", paths), exchange(*paths))
erase = users.erase
users.erase = lambda *given: (change("os.rename", (root,)), erase(*given), change("os.rename", (root,)))[1]
sys.addaudithook(change)
forget(ws, [person], users, datetime(2024, 3, 1, 0, 0, 2, tzinfo=UTC))
print(changes)
"""


def killed(root: Path, person: str, at: int) -> int:
    """Forget, killed at a change; how many changes it made if it wasn't, else 0."""
    done = subprocess.run(
        [sys.executable, "-c", FORGET, str(root), person, str(at)],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    if done.returncode == -signal.SIGKILL:
        return 0
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])
