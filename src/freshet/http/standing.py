"""How a server stands: what its parts tell each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Standing:
    """What a server's parts tell each other.

    Attributes:
        draining: it was asked to stop, and waits for balancers to notice.
        trouble: what last went wrong beside requests, '' where all is well.
    """

    draining: bool = False
    trouble: str = ""
