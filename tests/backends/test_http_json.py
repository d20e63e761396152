from __future__ import annotations

import json

import pytest
import urllib3

from freshet.backends.http_json import Failing, JsonClient, Refusal, is_spent, message_of, pause, retry_after


def test_waits_grow_and_differ_and_are_never_less_than_asked() -> None:
    assert [pause(attempt, 0.0, 0.0) for attempt in range(4)] == [0.25, 0.5, 1.0, 2.0]
    assert pause(3, 0.0, 1.0) == 4.0
    assert pause(0, 60.0, 0.0) == 60.0
    assert pause(0, 60.0, 1.0) > 60.0


@pytest.mark.parametrize(
    ("header", "seconds"), [("", 0), ("12", 12), ("1.5", 1.5), ("-3", 0), ("nan", 0), ("soon", 0)]
)
def test_retry_after_is_read(header: str, seconds: float) -> None:
    assert retry_after(header, 0.0) == seconds
    assert retry_after("Thu, 01 Jan 1970 00:01:40 GMT", 40.0) == 60


def test_messages_are_taken_from_refusals() -> None:
    assert message_of(b'{"error": {"message": "a\\n b", "type": "x"}}') == "a b"
    assert message_of(b'{"detail": "c"}') == "c"
    assert message_of(b"plain  text") == "plain text"
    assert message_of(b"<html>page</html>") == ""
    assert len(message_of(b"x" * 5000)) == 200


@pytest.mark.parametrize(
    ("status", "body", "spent"),
    [
        (402, b"", True),
        (429, b'{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}', True),
        (403, b'{"error": {"type": "billing_not_active"}}', True),
        (429, b'{"error": {"type": "exceeded_current_quota_error"}}', True),
        (
            400,
            b'{"error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}',
            True,
        ),
        (429, b'{"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}', False),
        (429, b'{"error": "slow down"}', False),
        (429, b"[]", False),
        (429, b"slow down", False),
    ],
)
def test_an_exhausted_balance_is_told_from_a_busy_server(status: int, body: bytes, spent: bool) -> None:
    assert is_spent(status, body) == spent


KEY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    ("status", "reason", "body"),
    [
        (400, "Bad", json.dumps({"error": {"message": "x" * 185 + KEY}})),  # the message ends within the key
        (401, f"no {KEY}", "{}"),
        (500, f"no {KEY}", f"plain {KEY}"),
    ],
)
def test_no_part_of_a_key_that_a_server_repeats_is_in_a_message(
    status: int, reason: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", KEY)
    client = JsonClient("http://localhost:1", "CANARY", 1.0)
    answer = urllib3.HTTPResponse(body.encode(), status=status, reason=reason)
    monkeypatch.setattr(client._pool, "request", lambda *_, **__: answer)
    with pytest.raises(Refusal) as found:
        client.get("/models")
    assert KEY[:9] not in found.value.said


@pytest.mark.parametrize(("key", "left"), [(KEY, b'{"text": "***"}'), ("text", b'{"text": "text"}')])
def test_a_key_that_comes_back_in_an_answer_is_not_kept(
    key: str, left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", key)
    client = JsonClient("http://localhost:1", "CANARY", 1.0)
    answer = urllib3.HTTPResponse(json.dumps({"text": key}).encode(), status=200)
    monkeypatch.setattr(client._pool, "request", lambda *_, **__: answer)
    assert client.get("/models") == left


def test_an_exhausted_balance_may_come_with_a_status_of_success(monkeypatch: pytest.MonkeyPatch) -> None:
    client = JsonClient("http://localhost:1", "", 1.0)
    body = b'{"error": {"message": "no credits", "code": "insufficient_quota"}}'
    monkeypatch.setattr(client._pool, "request", lambda *_, **__: urllib3.HTTPResponse(body, status=200))
    with pytest.raises(Refusal) as found:
        client.get("/models")
    assert found.value.why == Failing.SPENT
