"""Alerts in Alertmanager's own process: each is one however often it is told, and ends when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from freshet.alerting.catalogue import KINDS, alert
from freshet.backends.alert_receivers.alertmanager_receiver import AlertmanagerReceiver
from freshet.core.errors import AlertError
from freshet.core.types.alerts import Notice
from tests.alerting.programs import NEEDS_ALERTMANAGER, alertmanager, eventually

pytestmark = [NEEDS_ALERTMANAGER, pytest.mark.slow]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as found:
        yield found


def active(url: str, workspace: str) -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{url}/api/v2/alerts", params={"active": "true", "filter": f'workspace="{workspace}"'}
    )
    found: list[dict[str, Any]] = answer.json()
    return found


def test_it_fires_stays_one_and_ends(url: str) -> None:
    receiver = AlertmanagerReceiver(url, 5.0, HOUR, "https://board.test")
    begun = alert(KINDS[1], "shop", "9 days old", datetime.now(UTC) - HOUR)
    receiver.tell([Notice(begun, 0)])
    [first] = eventually(lambda: active(url, "shop"), bool)
    assert first["labels"] == begun.labels
    assert first["annotations"] == {"summary": "9 days old", "runbook": begun.runbook}
    assert first["generatorURL"] == "https://board.test"
    assert datetime.fromisoformat(first["startsAt"]) == begun.since.replace(
        microsecond=begun.since.microsecond // 1000 * 1000
    )
    for number in range(1, 4):
        receiver.tell([Notice(replace(begun, summary=f"{9 + number} days old"), number)])
    [still] = eventually(lambda: active(url, "shop"), lambda all_: "12" in all_[0]["annotations"]["summary"])
    assert still["fingerprint"] == first["fingerprint"]
    receiver.tell([Notice(replace(begun, ended=datetime.now(UTC)), 4)])
    assert eventually(lambda: active(url, "shop"), lambda found: not found) == []


def test_what_is_not_told_again_ends_by_itself(url: str) -> None:
    begun = alert(KINDS[2], "shop-2", "old", datetime.now(UTC))
    AlertmanagerReceiver(url, 5.0, timedelta(seconds=2)).tell([Notice(begun, 0)])
    assert active(url, "shop-2")
    eventually(lambda: active(url, "shop-2"), lambda found: not found)


def test_two_workspaces_are_two_alerts(url: str) -> None:
    receiver = AlertmanagerReceiver(url, 5.0, HOUR)
    receiver.tell([Notice(alert(KINDS[3], name, "x", datetime.now(UTC)), 0) for name in ("a-1", "a-2")])
    assert len(active(url, "a-1")) == len(active(url, "a-2")) == 1


def test_one_that_is_away_or_refuses_is_told_later(tmp_path: Path, url: str) -> None:
    begun = alert(KINDS[3], "shop", "x", datetime.now(UTC))
    with pytest.raises(AlertError, match="does not take alerts") as told:
        AlertmanagerReceiver("http://127.0.0.1:1", 1.0, HOUR).tell([Notice(begun, 0)])
    assert told.value.retryable
    with pytest.raises(AlertError, match="HTTP 404"):
        AlertmanagerReceiver(f"{url}/elsewhere", 1.0, HOUR).tell([Notice(begun, 0)])
