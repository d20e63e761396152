from __future__ import annotations

import email.utils
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.encoders.embedding_answer import BadAnswer, vectors_of
from freshet.backends.encoders.openai_encoder import OpenAIEncoder
from freshet.backends.encoders.transformers_encoder import TransformersEncoder
from freshet.core.errors import EncoderError

from .embeddings_server import MODEL, Fault, Server, serving

KEY = "sk-very-secret-4711"
TEXTS = ["old ghost house", "dark sea ship", "", "rose garden", "chess king", "  \n", "bread soup"]


def encoder(server: Server, waits: list[float] | None = None, **changes: object) -> OpenAIEncoder:
    """Of a server, which notes how long it would have waited instead of waiting."""
    settings = {
        "model": MODEL, "endpoint": server.endpoint, "api_key_env": "FRESHET_TEST_KEY", "batch": 3, "timeout": 20.0,
    }  # fmt: skip
    noted = waits if waits is not None else []
    return OpenAIEncoder(**(settings | changes), sleep=noted.append)  # type: ignore[arg-type]


def test_a_server_gives_the_vectors_that_its_checkpoint_gives_here(served: Server, checkpoint: Path) -> None:
    found = encoder(served).encode(TEXTS)
    assert np.allclose(found, TransformersEncoder(str(checkpoint), 8).encode(TEXTS), atol=1e-5)
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 1, 0, 1, 1, 0, 1], atol=1e-6)
    assert found.dtype == np.float32
    assert [len(batch) for batch in served.asked] == [3, 2]  # blank texts are not sent


def test_progress_counts_texts(served: Server) -> None:
    seen: list[tuple[int, int]] = []
    encoder(served).encode(TEXTS, lambda done, total: seen.append((done, total)))
    assert seen == [(5, 7), (7, 7)]


def test_nothing_to_encode_asks_nobody(served: Server) -> None:
    assert encoder(served).encode([]).shape == (0, 0)
    assert encoder(served).encode(["", " "]).shape == (2, 0)
    assert served.seen == []


@pytest.mark.parametrize("how", ["reversed", "base64"])
def test_vectors_are_taken_by_index_and_in_either_form(served: Server, how: str) -> None:
    wanted = encoder(served).encode(TEXTS)
    served.faults += [Fault(how=how), Fault(how=how)]
    assert np.allclose(encoder(served).encode(TEXTS), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(429, '{"error": {"message": "slow down"}}'),
        Fault(500, "oops"),
        Fault(503, "<html>busy</html>"),
        Fault(how="cut"),
        Fault(how="closed"),
        Fault(how="no-json"),
    ],
)
def test_what_may_go_well_the_second_time_is_tried_again(served: Server, fault: Fault) -> None:
    waits: list[float] = []
    wanted = encoder(served).encode(TEXTS)
    served.faults += [fault, fault]
    assert np.array_equal(encoder(served, waits).encode(TEXTS), wanted)
    assert len(waits) == 2
    assert waits[1] > waits[0] * 0.5


def test_a_server_is_not_asked_again_before_the_time_it_names(served: Server) -> None:
    waits: list[float] = []
    later = email.utils.formatdate(time.time() + 30, usegmt=True)
    served.faults += [Fault(429, headers={"Retry-After": "7"}), Fault(503, headers={"Retry-After": later})]
    encoder(served, waits).encode(TEXTS)
    assert 7 <= waits[0] < 8
    assert 28 <= waits[1] < 32


def test_it_really_waits(served: Server) -> None:
    served.faults.append(Fault(429, headers={"Retry-After": "1"}))
    OpenAIEncoder(MODEL, served.endpoint, "", 10, 20.0).encode(["old ghost"])
    assert served.at[1] - served.at[0] >= 1


def test_tries_come_to_an_end(served: Server) -> None:
    waits: list[float] = []
    served.faults += [Fault(503, '{"error": {"message": "no room"}}')] * 20
    with pytest.raises(
        EncoderError, match=r"batch 1 of 2 \(3 texts\): no vectors after 6 tries: HTTP 503.*no room"
    ) as told:
        encoder(served, waits).encode(TEXTS)
    assert told.value.retryable
    assert len(waits) == 5
    assert len(served.seen) == 6


def test_a_wait_beyond_measure_is_told_instead(served: Server) -> None:
    waits: list[float] = []
    served.faults.append(Fault(429, headers={"Retry-After": "86400"}))
    with pytest.raises(EncoderError, match="asks to wait 86400 seconds"):
        encoder(served, waits).encode(TEXTS)
    assert waits == []


def test_a_server_that_keeps_silent_is_given_up(served: Server) -> None:
    served.faults += [Fault(how="late")] * 6
    with pytest.raises(EncoderError, match="timed out"):
        encoder(served, timeout=0.05).encode(["old ghost"])


def test_a_server_that_is_not_there_is_named(served: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(EncoderError, match=rf"{endpoint}/embeddings: batch 1 of 1.*refused"):
            encoder(served, endpoint=endpoint).encode(["x"])


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("one-less", r"batch 2 of 2 \(2 texts\): the answer holds 1 vectors, expected 2"),
        ("twice", r"batch 2 of 2.*data\[1\] has index 0, expected each of 0 to 1 once"),
        ("narrow", "batch 2 of 2.*vectors have 5 numbers, those before 24"),
        ("ragged", "batch 2 of 2.*vectors have 5 and 24 numbers"),
        ("nan", "batch 2 of 2.*the vector of text 1 is not finite, or zero"),
        ("zero", "batch 2 of 2.*the vector of text 1 is not finite, or zero"),
        ("other", "batch 2 of 2.*the answer holds no list `data`"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(served: Server, how: str, told: str) -> None:
    waits: list[float] = []
    served.faults += [Fault(), Fault(how=how)]
    with pytest.raises(EncoderError, match=told):
        encoder(served, waits).encode(TEXTS)
    assert waits == []  # it would be as wrong the next time


@pytest.mark.parametrize(
    ("status", "told"),
    [(400, "texts may be too many or too long"), (404, "often ends in /v1"), (307, "is not followed")],
)
def test_a_refusal_is_told_at_once(served: Server, status: int, told: str) -> None:
    served.faults.append(Fault(status, headers={"Location": "http://127.0.0.1:1/"} if status == 307 else {}))
    with pytest.raises(EncoderError, match=told) as refused:
        encoder(served).encode(TEXTS)
    assert not refused.value.retryable
    assert len(served.seen) == 1


def test_the_key_is_sent_and_said_nowhere(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(checkpoint, key=KEY) as server:
        monkeypatch.setenv("FRESHET_TEST_KEY", KEY)
        one = encoder(server)
        assert one.encode(["old ghost"]).shape == (1, 24)
        assert server.seen[0]["Authorization"] == f"Bearer {KEY}"
        server.faults += [Fault(400, f'{{"error": {{"message": "bad key {KEY}"}}}}')]
        with pytest.raises(EncoderError) as told:
            one.encode(["old ghost"])
        assert "bad key ***" in str(told.value)
        assert KEY not in f"{told.value} {one.version} {vars(one)}"
        monkeypatch.setenv("FRESHET_TEST_KEY", f"{KEY}-old")
        with pytest.raises(
            EncoderError, match=r"HTTP 401 Unauthorized\n.*FRESHET_TEST_KEY is set"
        ) as refused:
            one.encode(["old ghost"])
        assert KEY not in str(refused.value)
        monkeypatch.delenv("FRESHET_TEST_KEY")
        with pytest.raises(EncoderError, match="FRESHET_TEST_KEY is not set"):
            one.encode(["old ghost"])
        assert "Authorization" not in server.seen[-1]
        monkeypatch.setenv("FRESHET_TEST_KEY", "zwei\nZeilen")
        with pytest.raises(EncoderError, match="FRESHET_TEST_KEY holds what can't be a key") as wrong:
            one.encode(["old ghost"])
        assert "Zeilen" not in str(wrong.value)


def test_the_version_follows_from_address_and_model(served: Server) -> None:
    one = encoder(served)
    assert one.version == encoder(served, endpoint=served.endpoint + "/", batch=9, timeout=1.0).version
    assert one.version != encoder(served, model="other").version
    assert one.version != encoder(served, endpoint="http://127.0.0.1:1/v1").version


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b'{"data": {}}', b'{"data": [1]}', b'{"data": [{"embedding": "?"}]}', b'{"data": [{"embedding": []}]}',
     b'{"data": [{"embedding": [[1]]}]}', b'{"data": [{"embedding": null}]}', b'{"data": [{"index": true, "embedding": [1]}]}',
     b'{"data": [{"index": 1, "embedding": [1]}]}', b'{"data": [{"embedding": [1e999]}]}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_no_answer_gets_past_the_check(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        vectors_of(body, 1)
