"""Alerts to Alertmanager, by its API version 2."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from freshet.backends.http_json import JsonClient, Refusal
from freshet.core.errors import AlertError
from freshet.core.masking import masked
from freshet.core.types.alerts import Alert, Notice

PATH = "/api/v2/alerts"


class AlertmanagerReceiver:
    """An Alertmanager, which groups, silences and routes; it is told of all that fires at every look.

    It keeps alerts in memory only, so it must be. Each carries the time until which it lasts if nothing more
    is heard: where Freshet itself dies, what fired goes on firing that long.

    Args:
        url: base address, such as `http://alertmanager:9093`.
        timeout: seconds that it may keep silent.
        lasts: how long an alert fires without being told again.
        link: of the dashboard; '' = none.
    """

    every_look = True

    def __init__(self, url: str, timeout: float, lasts: timedelta, link: str = "") -> None:
        self.name = f"alertmanager at {masked(url)}"
        self._client = JsonClient(url, "", timeout)
        self._lasts, self._link = lasts, link

    def tell(self, notices: Sequence[Notice]) -> None:
        """Post alerts; see `AlertReceiver`."""
        lasts = datetime.now(UTC) + self._lasts
        posted = [self._posted(notice.alert, lasts) for notice in notices]
        try:
            self._client.post(PATH, json.dumps(posted).encode())
        except Refusal as refusal:
            raise AlertError(f"{self.name} does not take alerts: {refusal.said}", retryable=True) from None

    def _posted(self, alert: Alert, lasts: datetime) -> dict[str, Any]:
        return {
            "labels": alert.labels,
            "annotations": {"summary": alert.summary, "runbook": alert.runbook},
            "startsAt": alert.since.isoformat(),
            "endsAt": (alert.ended or lasts).isoformat(),
            **({"generatorURL": self._link} if self._link else {}),
        }
