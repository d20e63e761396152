"""What the dashboard changes, it has the command line do: same checks, same lease, same record in the ledger.

A process of its own also keeps the user store, which one process may open but once, and the memory that a
publication takes, away from pages.
"""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

from freshet.core.errors import Busy, ConfigError, FreshetError
from freshet.dashboard.protection import Denied
from freshet.dashboard.visit import Visit

SECONDS = 900.0
"""After which a command is given up; publishing takes seconds."""
WAIT = "5"
"""Seconds that it waits for another run."""
LONGEST_NAME, LONGEST_REASON = 80, 1000


def person(visit: Visit) -> tuple[str, str]:
    """Who decides, and why, as the form says; the key that was used is named, too.

    Raises:
        ConfigError: either is missing or too long, or holds control characters.
    """
    name, reason = visit.text("by"), visit.text("reason")
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigError("your name is missing or too long", hint="the ledger keeps who decided")
    if not reason or len(reason) > LONGEST_REASON:
        raise ConfigError("the reason is missing or too long", hint="the ledger keeps why it was decided")
    if any(unicodedata.category(one) == "Cc" and one not in "\r\n\t" for one in reason):
        raise ConfigError("the reason holds control characters", hint="write it as plain text")
    return f"{name} (key {visit.session.key})" if visit.session.key else name, reason


def commanded(root: Path, command: str, *arguments: str, by: str, reason: str) -> None:
    """Run a command on a workspace.

    Raises:
        Busy: another run holds the workspace; the message says who.
        ConfigError: it was refused; the message says why.
        Denied: it did not end in time.
    """
    options = [f"--by={by}", f"--reason={reason}", "--wait", WAIT, "--json", "-w", str(root)]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "freshet", command, *options, "--", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Denied(504, f"`freshet {command}` did not end in time", "see the newest run") from None
    if done.returncode:
        raise _error(command, done.returncode, done.stdout)


def _error(command: str, code: int, document: str) -> FreshetError:
    """What a command that failed has said, in its JSON."""
    try:
        problem = json.loads(document)["error"]
        message, hint = str(problem["message"]), str(problem["hint"])
    except (ValueError, KeyError, TypeError):
        message, hint = f"`freshet {command}` ended with {code}", "run it in a terminal to see why"
    return (Busy if code == Busy.exit_code else ConfigError)(message, hint=hint)
