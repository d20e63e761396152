"""Section on what freshness is promised, and who is told where the promise is broken: [alerts]."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from freshet.core.config.endpoint_url import KEY_NAME, check_server
from freshet.core.config.section import LONGEST, Auto, Section

Off = Literal["off"]
AtMost = Annotated[float, Field(gt=0, le=1e12)]
AtMostDays = Annotated[float, Field(gt=0, le=LONGEST)]
AtMostHours = Annotated[float, Field(gt=0, le=24 * LONGEST)]
ADDRESS = r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+$"
"""What a mail address may look like."""


def _server(url: str) -> str:
    """Raises ValueError where it is no address of a server."""
    if url:
        check_server(url, "the url", "expected one such as http://alertmanager:9093", "use a proxy for it")
    return url


def _webhook(url: str) -> str:
    """Raises ValueError where no message can be sent to it."""
    if url:
        example = "expected a url such as https://example.org/hooks/freshet"
        check_server(url, "the url", example, "messages are signed instead (webhook_secret_env)", query=True)
    return url


def _page(url: str) -> str:
    """Raises ValueError where it is no address that a browser can open."""
    if url:
        check_server(url, "the url", "expected one such as https://freshet.example.org", "leave them out")
    return url


class AlertsConfig(Section):
    """Objectives of freshness, and the receivers of alerts where one is missed."""

    evidence_days: AtMostDays | Auto | Off = Field(
        "auto",
        description="oldest evidence that may serve, in days; auto = twice `[schedule] refresh_days`, "
        "and where a policy decides by drift or cost, as long as it looks at least so often",
    )
    model_days: AtMostDays | Auto | Off = Field(
        "auto", description="oldest planner that may serve, in days; auto = twice `[tuning] every_days`"
    )
    events_days: AtMostDays | Auto | Off = Field(
        "auto", description="age of the newest event of the log, in days; auto = 2, or `refresh_days` if more"
    )
    live_hours: AtMostHours | Off = Field(
        24.0, description="age of the newest event that serving has recorded, in hours; where it records any"
    )
    stream_minutes: AtMostHours | Off = Field(
        60.0, description="time since the reader of a stream last looked, in minutes; where one is configured"
    )
    stream_lag: AtMost | Off = Field(
        100_000.0, description="messages of a stream that are not read yet, when its reader last looked"
    )
    loss_per_1000: AtMost | Off = Field(
        10.0,
        description="hits among the first five that staleness may cost per 1,000 answers, as estimated "
        "from the past",
    )
    review_days: AtMostDays | Off = Field(
        2.0, description="how long a halted run may wait for a person, in days"
    )
    every_minutes: float = Field(
        5.0,
        ge=0,
        le=1440,
        description="how often a server looks at all of this, 0 = never; the scheduler does after every run, "
        "and every 5",
    )
    repeat_hours: float = Field(
        12.0, gt=0, le=24 * 365, description="webhook and e-mail are told again of what still fires so often"
    )
    alertmanager: Annotated[str, AfterValidator(_server)] = Field(
        "", description="Alertmanager of Prometheus, such as `http://alertmanager:9093`; empty = none"
    )
    webhook: Annotated[str, AfterValidator(_webhook)] = Field(
        "", description="URL that is told of each alert and of its end; empty = none"
    )
    webhook_secret_env: str = Field(
        "FRESHET_WEBHOOK_SECRET",
        pattern=KEY_NAME,
        description="environment variable with the secret that signs messages; empty = they are not signed",
    )
    email_to: tuple[Annotated[str, Field(pattern=ADDRESS, max_length=254)], ...] = Field(
        (), description="mail addresses that are told; empty = none"
    )
    email_from: str = Field("", max_length=254, description="mail address that alerts come from")
    smtp: str = Field(
        "",
        pattern=r"^([A-Za-z0-9._\-\[\]:]+:[0-9]{1,5})?$",
        description="mail server as `host:port`, such as `mail.example.org:587`",
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="how the connection is encrypted; none only for a server on this machine"
    )
    smtp_user: str = Field("", max_length=254, description="user at the mail server; empty = no login")
    smtp_password_env: str = Field(
        "FRESHET_SMTP_PASSWORD",
        pattern=KEY_NAME,
        description="environment variable with the password of that user",
    )
    timeout_seconds: float = Field(
        10.0, gt=0, le=60, description="how long a receiver may keep silent before it is tried again later"
    )
    link: Annotated[str, AfterValidator(_page)] = Field(
        "", description="address of the dashboard, which messages link to; empty = no link"
    )

    @property
    def used(self) -> bool:
        """Whether anybody is told."""
        return bool(self.alertmanager or self.webhook or self.email_to)

    @model_validator(mode="after")
    def _mail_has_a_server(self) -> Self:
        """Mail goes nowhere without a server, and nobody takes it without a sender."""
        if not self.email_to:
            return self
        if not self.smtp:
            raise ValueError("email_to needs smtp: expected a mail server such as mail.example.org:587")
        if "@" not in self.email_from or any(sign in self.email_from for sign in "\r\n<>, "):
            raise ValueError("email_to needs email_from: expected an address such as freshet@example.org")
        host = self.smtp.rpartition(":")[0].strip("[]")
        if self.smtp_security == "none" and host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(
                'smtp_security = "none" is for a server on this machine: mail would go unencrypted to others'
            )
        return self
