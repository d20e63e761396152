"""Mail over real connections: encrypted or refused, with a password that nobody sees."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from freshet.alerting.catalogue import KINDS, alert
from freshet.backends.alert_receivers.mail_receiver import MailReceiver, mail_of
from freshet.backends.alert_receivers.mail_receiver import MailServer as Settings
from freshet.core.errors import AlertError
from freshet.core.types.alerts import Notice
from tests.backends.alert_receivers.mail_server import MailServer

NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
SECRET = "correct horse battery"
OLD = alert(KINDS[1], "shop", "what the release knows is 9 days old", NOW)


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)


def receiver(
    server: MailServer, security: Literal["starttls", "tls", "none"] | None = None, to: str = "ops@shop.test"
) -> MailReceiver:
    chosen: Literal["starttls", "tls", "none"] = security or server.security  # type: ignore[assignment]
    user = server.login[0] if server.login else ""
    settings = Settings("localhost", server.port, chosen, user, "MAIL_PASSWORD", 5.0)
    return MailReceiver(settings, "freshet@shop.test", to, "https://board.test")


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_is_encrypted_and_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    with MailServer(tmp_path, security, login=("freshet", SECRET)) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        receiver(server).tell([Notice(OLD, 0)])
    [(encrypted, who, sender, to, text)] = server.taken
    assert (encrypted, who, to) == (True, "freshet", "ops@shop.test")
    assert "freshet@shop.test" in sender
    mail = email.message_from_string(text, policy=email.policy.default)
    assert mail["Subject"] == "[shop] FreshetEvidenceOld"
    content = mail.get_content()  # type: ignore[attr-defined]
    assert "what the release knows is 9 days old" in content
    assert "runbook.md#freshetevidenceold" in content
    assert "https://board.test" in content
    assert SECRET not in text


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_gets_no_password(tmp_path: Path, security: str) -> None:
    with (
        MailServer(tmp_path, security, login=("freshet", SECRET)) as server,
        pytest.raises(AlertError, match="certificate verify failed"),
    ):
        receiver(server).tell([Notice(OLD, 0)])
    assert server.taken == []


def test_a_server_without_encryption_is_not_told_in_the_clear(tmp_path: Path) -> None:
    with MailServer(tmp_path, "none") as server:
        with pytest.raises(AlertError, match="STARTTLS"):
            receiver(server, "starttls").tell([Notice(OLD, 0)])
        receiver(server, "none").tell([Notice(OLD, 0)])
    assert len(server.taken) == 1


def test_what_goes_wrong_is_told_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whys = []
    with MailServer(tmp_path, login=("freshet", "another")) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        for change in ({}, {"login": None, "busy": True}, {"busy": False, "refuses": ("ops@shop.test",)}):
            for name, value in change.items():
                setattr(server, name, value)
            with pytest.raises(AlertError) as told:
                receiver(server).tell([Notice(OLD, 0)])
            assert told.value.retryable
            whys.append(told.value.message)
        monkeypatch.delenv("MAIL_PASSWORD")
        server.login = ("freshet", "another")
        with pytest.raises(AlertError, match="MAIL_PASSWORD is not set"):
            receiver(server).tell([Notice(OLD, 0)])
    assert "login was refused (535)" in whys[0]
    assert "451 4.3.0 busy" in whys[1]
    assert "550 5.1.1 nobody here" in whys[2]
    assert not any(SECRET in why for why in whys)


def test_a_server_that_is_gone_or_silent(tmp_path: Path) -> None:
    with MailServer(tmp_path, silent=True) as server:
        silent = MailReceiver(Settings("localhost", server.port, "none", timeout=0.3), "a@b.test", "c@d.test")
        with pytest.raises(AlertError, match="timed out"):
            silent.tell([Notice(OLD, 0)])
        gone = receiver(server)
    with pytest.raises(AlertError, match="ConnectionRefused"):
        gone.tell([Notice(OLD, 0)])


def test_what_others_wrote_makes_no_headers() -> None:
    bad = replace(OLD, workspace="a\r\nBcc: evil@test", summary="x\r\n.\r\nMAIL \x1b[2J", ended=NOW)
    mail = mail_of([Notice(bad, 1)], "a@b.test", "c@d.test", "")
    assert mail["Bcc"] is None
    assert "\\x0d\\x0aBcc" in mail["Subject"]
    assert "\x1b" not in mail.get_content()
    assert "over" in mail["Subject"]


def test_the_same_alerts_make_the_same_mail() -> None:
    def number(*notices: Notice) -> str:
        return str(mail_of(notices, "a@b.test", "c@d.test", "")["Message-ID"])

    assert number(Notice(OLD, 0)) == number(Notice(OLD, 0))
    over = replace(OLD, ended=NOW + timedelta(hours=1))
    assert len({number(Notice(OLD, 0)), number(Notice(OLD, 1)), number(Notice(over, 1))}) == 3
