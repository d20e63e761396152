"""Alerts to a webhook that is really there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from freshet.alerting.catalogue import KINDS, alert
from freshet.backends.alert_receivers.webhook_receiver import WebhookReceiver
from freshet.core.errors import AlertError
from freshet.core.types.alerts import Notice
from tests.exports.receiver import Receiver

NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
OLD = alert(KINDS[1], "shop", "what the release knows is 9 days old", NOW)


def test_a_message_per_alert_signed_and_the_same_when_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "topsecret")
    with Receiver() as server:
        hook = WebhookReceiver(server.url, "HOOK_SECRET", 5.0, "https://board.test")
        hook.tell([Notice(OLD, 0)])
        hook.tell([Notice(OLD, 0), Notice(replace(OLD, ended=NOW), 1)])
    first, again, over = (json.loads(body) for _, _, body in server.taken)
    assert server.ids[0] == server.ids[1] == first["id"] != server.ids[2]
    assert first == again
    assert (first["event"], over["event"]) == ("alert.firing", "alert.resolved")
    assert (first["name"], first["workspace"], first["severity"]) == ("FreshetEvidenceOld", "shop", "warning")
    assert over["ended"] == NOW.isoformat()
    assert server.taken[0][1]["webhook-signature"].startswith("v1,")


def test_one_try_a_look_and_nothing_secret_in_what_is_said() -> None:
    with Receiver(500) as server:
        hook = WebhookReceiver(server.url, "", 5.0)
        with pytest.raises(AlertError) as told:
            hook.tell([Notice(OLD, 0)])
    assert len(server.ids) == 1
    assert "secret-path" not in f"{told.value} {hook.name}"
    assert told.value.retryable
