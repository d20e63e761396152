"""Chooses who is told of alerts, and looks at what serving remembers for them."""

from __future__ import annotations

from datetime import timedelta

from freshet.core.config import AlertsConfig
from freshet.core.errors import FreshetError
from freshet.core.ports import AlertReceiver
from freshet.inspect.live_state import Live, live_of
from freshet.storage.workspace import Workspace
from freshet.wiring import existing_user_store

MISSED = 6
"""Looks in a row that may be missed before an alert ends by itself at Alertmanager; an hour at least."""


def live_state(ws: Workspace) -> Live | None:
    """What serving remembers, by opening it for a moment; None where the workspace was never served.

    For processes that do not serve: those have it open.
    """
    try:
        users = existing_user_store(ws.root, ws.config)
    except FreshetError as error:
        return Live(None, error.message)
    if users is None:
        return None
    try:
        return live_of(users)
    finally:
        users.close()


def receivers_of(config: AlertsConfig) -> list[AlertReceiver]:
    """Who is told of alerts, by `[alerts]`."""
    found: list[AlertReceiver] = []
    if config.alertmanager:
        from freshet.backends.alert_receivers.alertmanager_receiver import AlertmanagerReceiver

        lasts = timedelta(minutes=max(MISSED * config.every_minutes, 60.0))
        found.append(AlertmanagerReceiver(config.alertmanager, config.timeout_seconds, lasts, config.link))
    if config.webhook:
        from freshet.backends.alert_receivers.webhook_receiver import WebhookReceiver

        found.append(
            WebhookReceiver(config.webhook, config.webhook_secret_env, config.timeout_seconds, config.link)
        )
    if config.email_to:
        from freshet.backends.alert_receivers.mail_receiver import MailReceiver, MailServer

        host, _, port = config.smtp.rpartition(":")
        server = MailServer(
            host.strip("[]"),
            int(port),
            config.smtp_security,
            config.smtp_user,
            config.smtp_password_env,
            config.timeout_seconds,
        )
        found += [MailReceiver(server, config.email_from, to, config.link) for to in config.email_to]
    return found
