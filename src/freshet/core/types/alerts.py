"""What a person is told of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Severity = Literal["critical", "warning", "info"]
"""critical: wake somebody; warning: look at it in the working day; info: know of it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A promise that is broken, or something that a person should look at.

    Attributes:
        name: such as `FreshetEvidenceOld`; docs/how-to/runbook.md has a section on each.
        workspace: the name of the workspace.
        severity: whom it concerns how soon.
        level: of the service level behind it.
        summary: what there is to know, in a sentence.
        value, objective: in `unit`, None where there is none.
        since: when it began (UTC).
        ended: when it was seen to be over (UTC); None while it lasts.
    """

    name: str
    workspace: str
    severity: Severity
    level: str
    summary: str
    value: float | None
    objective: float | None
    unit: str
    since: datetime
    ended: datetime | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What makes it this alert and no other: nothing that changes while it lasts."""
        return {
            "alertname": self.name,
            "workspace": self.workspace,
            "severity": self.severity,
            "level": self.level,
            "service": "freshet",
        }

    @property
    def runbook(self) -> str:
        """Where the runbook has it."""
        return f"docs/how-to/runbook.md#{self.name.lower()}"


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert on its way to a receiver; `number`: how often that one was told of it before."""

    alert: Alert
    number: int
