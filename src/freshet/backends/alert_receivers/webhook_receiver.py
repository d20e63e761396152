"""Alerts to a webhook: a signed message when one begins, again after hours, and when it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from freshet.backends.webhook import Webhook
from freshet.core.errors import AlertError, ExportError
from freshet.core.types.alerts import Notice

SCHEMA = 1


class WebhookReceiver:
    """A URL that takes a message per alert.

    Args:
        url: whole; what is behind its host may be secret and is not shown.
        secret_name: environment variable of the secret; '' = messages are not signed.
        timeout: seconds that the server may keep silent.
        link: of the dashboard; '' = none.
    """

    every_look = False

    def __init__(self, url: str, secret_name: str, timeout: float, link: str = "") -> None:
        self._hook = Webhook(url, secret_name, timeout, tries=1)
        self._link = link
        self.name = f"webhook {self._hook.name}"

    def tell(self, notices: Sequence[Notice]) -> None:
        """Send a message each; see `AlertReceiver`."""
        for notice in notices:
            content = message_of(notice, self._link)
            try:
                self._hook.send(content["id"], json.dumps(content, ensure_ascii=False).encode())
            except ExportError as error:
                raise AlertError(error.message, retryable=True) from None


def message_of(notice: Notice, link: str) -> dict[str, Any]:
    """What a webhook is told. The id follows from the alert, so a message that is sent twice is one."""
    alert = notice.alert
    event = "alert.firing" if alert.ended is None else "alert.resolved"
    parts = (alert.workspace, alert.name, alert.since.isoformat(), event, str(notice.number))
    return {
        "schema": SCHEMA,
        "id": f"alert_{blake2b(' '.join(parts).encode(), digest_size=12).hexdigest()}",
        "event": event,
        "name": alert.name,
        "workspace": alert.workspace,
        "severity": alert.severity,
        "level": alert.level,
        "summary": alert.summary,
        "value": alert.value,
        "objective": alert.objective,
        "unit": alert.unit,
        "since": alert.since.isoformat(),
        "ended": None if alert.ended is None else alert.ended.isoformat(),
        "reminder": notice.number,
        "runbook": alert.runbook,
        "link": link,
    }
