"""Who is told of alerts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from freshet.core.types.alerts import Notice


class AlertReceiver(Protocol):
    """A place that alerts are sent to.

    Attributes:
        name: where it is, without what may be secret; two receivers never have the same.
        every_look: it wants all that fires at every look, and knows by itself what it had before; else it is
            told of what is new, of its end, and again after hours.
    """

    name: str
    every_look: bool

    def tell(self, notices: Sequence[Notice]) -> None:
        """Send alerts, those that ended among them; all of them are taken, or it raises.

        What was sent before a crash may be sent once more: it is the same message then.

        Raises:
            AlertError: they were not taken; they are sent again later.
        """
