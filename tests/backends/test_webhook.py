"""Messages to a real server: signed, tried again within bounds, refused where they are."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from freshet.backends import webhook
from freshet.backends.webhook import Webhook
from freshet.core.errors import ExportError
from tests.exports.receiver import Receiver


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "topsecret")


def hook(
    receiver: Receiver, waits: list[float] | None = None, timeout: float = 5.0, tries: int = webhook.TRIES
) -> Webhook:
    told = waits if waits is not None else []
    return Webhook(receiver.url, "HOOK_SECRET", timeout, told.append, lambda: 1_700_000_000.5, tries)


def test_a_message_is_signed_as_its_receiver_checks_it() -> None:
    with Receiver() as receiver:
        hook(receiver).send("msg_1", b'{"a": 1}')
    path, headers, body = receiver.taken[0]
    assert (path, body) == ("/hook/secret-path", b'{"a": 1}')
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1700000000")
    wanted = hmac.new(b"topsecret", b'msg_1.1700000000.{"a": 1}', hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(wanted).decode()}"
    assert headers["content-type"] == "application/json"


def test_the_example_of_the_specification_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard Webhooks: a secret in base64, and the signature that its libraries expect."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = webhook.signed("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', secret, 1614265330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    monkeypatch.setenv("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    with Receiver() as receiver:
        hook(receiver).send("msg_1", b"{}")
    wanted = webhook.signed("msg_1", b"{}", secret, 1_700_000_000)["webhook-signature"]
    assert receiver.taken[0][1]["webhook-signature"] == wanted


@pytest.mark.parametrize("failures", [(500, 503), (429, 408), (425, 502)])
def test_a_server_that_fails_twice_takes_the_third(failures: tuple[int, int]) -> None:
    waits: list[float] = []
    with Receiver(*failures) as receiver:
        hook(receiver, waits).send("msg_1", b"{}")
    assert receiver.ids == ["msg_1"] * 3
    assert len(waits) == 2
    assert 0.25 <= waits[0] < waits[1] * 2


@pytest.mark.parametrize("status", [400, 401, 404, 409, 410, 422, 302])
def test_what_is_refused_is_sent_once(status: int) -> None:
    with Receiver(status) as receiver, pytest.raises(ExportError, match=f"HTTP {status}") as refused:
        hook(receiver).send("msg_1", b"{}")
    assert not refused.value.retryable
    assert len(receiver.taken) == 1
    assert "secret-path" not in str(refused.value)


def test_a_server_that_always_fails_is_left_for_the_next_run() -> None:
    waits: list[float] = []
    with (
        Receiver(*[500] * 9) as receiver,
        pytest.raises(ExportError, match="did not take it in 4 tries") as late,
    ):
        hook(receiver, waits).send("msg_1", b"{}")
    assert late.value.retryable
    assert (len(receiver.taken), len(waits)) == (4, 3)


def test_a_server_that_asks_to_wait_long_is_left_for_the_next_run() -> None:
    def busy(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(503)
        handler.send_header("Retry-After", "3600")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    waits: list[float] = []
    with Receiver(busy) as receiver, pytest.raises(ExportError, match="in 1 tries") as late:
        hook(receiver, waits).send("msg_1", b"{}")
    assert late.value.retryable
    assert waits == []


@pytest.mark.parametrize("answers", ["nothing", "a byte now and then"])
def test_a_server_that_hangs_holds_up_nothing(answers: str) -> None:
    ended = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        if answers != "nothing":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
        while not ended.wait(0.05):
            if answers != "nothing":
                handler.wfile.write(b"x")
                handler.wfile.flush()

    with Receiver(*[hang] * 4) as receiver:
        with pytest.raises(ExportError, match="timed out") as late:
            hook(receiver, timeout=0.2, tries=2).send("msg_1", b"{}")
        ended.set()
    assert late.value.retryable
    assert len(receiver.taken) == 2


def test_a_server_that_is_away_and_a_secret_that_is_not_set_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Webhook("http://127.0.0.1:1/secret-path", "HOOK_SECRET", 1.0, sleep=lambda _: None)
    with pytest.raises(ExportError, match=r"127.0.0.1:1/\.\.\. did not take it") as found:
        away.send("msg_1", b"{}")
    assert "secret-path" not in str(found.value)
    monkeypatch.delenv("HOOK_SECRET")
    with Receiver() as receiver:
        with pytest.raises(ExportError, match="HOOK_SECRET is not set") as unset:
            hook(receiver).send("msg_1", b"{}")
        assert unset.value.retryable
        assert receiver.taken == []
        Webhook(receiver.url, "", 5.0).send("msg_1", b"{}")
        assert "webhook-signature" not in receiver.taken[0][1]
    monkeypatch.setenv("HOOK_SECRET", "whsec_%%%")
    with pytest.raises(ExportError, match="no base64"):
        away.send("msg_1", b"{}")
