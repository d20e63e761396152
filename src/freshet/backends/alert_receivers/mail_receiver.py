"""Alerts by mail, over an encrypted connection."""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import blake2b
from typing import Literal

from freshet.core.errors import AlertError
from freshet.core.escaping import visible
from freshet.core.types.alerts import Notice


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server.

    Attributes:
        host, port: where it is.
        security: starttls, tls (from the first byte), or none.
        user: '' = no login; `password_name`: environment variable of the password.
        timeout: seconds that it may keep silent.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    user: str = ""
    password_name: str = field(default="", repr=False)
    timeout: float = 10.0


class MailReceiver:
    """A mail address that gets one mail per look: what is new, what still fires, what is over.

    Args:
        server: takes the mail; its certificate is verified by the system's authorities.
        sender, to: addresses, one of each: where one is refused, others are not told again.
        link: of the dashboard; '' = none.
    """

    every_look = False

    def __init__(self, server: MailServer, sender: str, to: str, link: str = "") -> None:
        self._server, self._sender, self._to, self._link = server, sender, to, link
        self.name = f"mail to {to}"

    def tell(self, notices: Sequence[Notice]) -> None:
        """Send one mail; see `AlertReceiver`."""
        mail = mail_of(notices, self._sender, self._to, self._link)
        password = self._password()
        try:
            with self._connected() as server:
                if self._server.user:
                    server.login(self._server.user, password)
                server.send_message(mail)
        except smtplib.SMTPAuthenticationError as error:
            raise self._failed(f"the login was refused ({error.smtp_code})") from None
        except smtplib.SMTPResponseException as error:
            raise self._failed(f"{error.smtp_code} {_said(error.smtp_error)}") from None
        except smtplib.SMTPRecipientsRefused as error:
            [(code, said)] = error.recipients.values()
            raise self._failed(f"the address was refused: {code} {_said(said)}") from None
        except (smtplib.SMTPException, ssl.SSLError, OSError) as error:
            raise self._failed(f"{type(error).__name__}: {error}") from None

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout, context=context)
        found = smtplib.SMTP(server.host, server.port, timeout=server.timeout)
        if server.security == "starttls":
            try:
                found.starttls(context=ssl.create_default_context())
            except BaseException:
                found.close()
                raise
        return found

    def _password(self) -> str:
        if not self._server.user:
            return ""
        password = os.environ.get(self._server.password_name, "")
        if not password:
            raise AlertError(
                f"{self.name} wants a password: the variable {self._server.password_name} is not set",
                hint="set it where freshet serve and freshet schedule are started",
                retryable=True,
            )
        return password

    def _failed(self, why: str) -> AlertError:
        return AlertError(
            f"{self.name} was not taken by {self._server.host}:{self._server.port}: {why}", retryable=True
        )


def mail_of(notices: Sequence[Notice], sender: str, to: str, link: str) -> EmailMessage:
    """The mail that tells of alerts; of the same ones it is the same mail, by its Message-ID."""
    alerts = [notice.alert for notice in notices]
    firing = [one for one in alerts if one.ended is None]
    names = ", ".join(dict.fromkeys(one.name for one in firing or alerts))
    workspace = visible(alerts[0].workspace, lines=False)
    mail = EmailMessage()
    mail["Subject"] = f"[{workspace}] {names}" if firing else f"[{workspace}] over: {names}"
    mail["From"], mail["To"] = sender, to
    mail["Date"] = format_datetime(max(one.ended or one.since for one in alerts))
    key = " ".join(f"{n.alert.name} {n.alert.since} {n.alert.ended} {n.number}" for n in notices)
    digest = blake2b(f"{workspace} {key}".encode(), digest_size=12).hexdigest()
    mail["Message-ID"] = f"<{digest}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = []
    for notice in notices:
        alert = notice.alert
        state = "over" if alert.ended else "still" if notice.number else "new"
        lines += [
            f"{alert.name} ({alert.severity}), {state}, since {alert.since:%Y-%m-%d %H:%M} UTC",
            f"  {visible(alert.summary, lines=False)}",
            f"  what to do: {alert.runbook}",
            "",
        ]
    mail.set_content("\n".join([*lines, *([link] if link else [])]))
    return mail


def _said(message: bytes | str) -> str:
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    return " ".join(text.split())[:200]
