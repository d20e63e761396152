"""Rooms of replays: workspaces within a workspace, in each of which a replay writes under a lease of its own.

Who changes all of them, such as a forgetting, shuts the door and then takes the lease of each room that is
there. A replay takes the lease of its room and then looks at the door: whoever is second, in whatever order
the two come, finds the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from freshet.core.errors import Busy
from freshet.storage.lease import POLL, is_held, lease, read

PLACE = Path("replay", "rooms")
_DOOR = PLACE.parent / "LEASE"
_LEASE = "LEASE"


def room(root: Path, name: str) -> Path:
    """Folder of a room of a workspace."""
    return root / PLACE / name


def rooms(root: Path) -> list[Path]:
    """All rooms that are there."""
    return [path for path in sorted((root / PLACE).glob("*")) if path.is_dir()]


@contextmanager
def all_held(root: Path, command: str, wait: float, say: Callable[[str], None]) -> Iterator[None]:
    """A block in which nothing writes in any room, also in none that is made meanwhile.

    Raises:
        Busy: a replay goes on, and did not end within `wait` seconds; the message names it.
    """
    with ExitStack() as held:
        held.enter_context(lease(root / _DOOR, command, wait=wait, say=say))
        for path in rooms(root):
            try:
                held.enter_context(lease(path / _LEASE, command, wait=wait, say=say))
            except Busy as error:
                raise Busy(
                    f"the replay in {path} goes on: {error.message}",
                    hint="wait until it has ended, or stop it; then run the same command again",
                    retryable=True,
                ) from None
        yield


def wait_for_door(root: Path, wait: float, say: Callable[[str], None]) -> None:
    """Wait until nobody holds all rooms of a workspace; without waiting, look.

    Raises:
        Busy: somebody does, for longer than `wait` seconds.
    """
    start, told = time.monotonic(), False
    while is_held(root / _DOOR):
        owner = read(root / _DOOR)
        if time.monotonic() - start >= wait:
            raise Busy(
                f"{owner} changes what replays have left: none can go on meanwhile",
                hint="wait for it with `--wait SECONDS`, or run the command again later",
                retryable=True,
            )
        if not told:
            say(f"waiting for {owner}")
            told = True
        time.sleep(POLL)
