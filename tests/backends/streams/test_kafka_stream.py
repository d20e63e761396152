"""Kafka keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from freshet.checks import check_event_stream
from freshet.core.config import StreamConfig
from freshet.core.errors import ConfigError, StreamUnreachable
from freshet.wiring_streams import open_stream
from tests.backends.streams.kafka_server import NEEDED_KAFKA, KafkaServer
from tests.backends.user_stores.server import free_port

pytestmark = [NEEDED_KAFKA, pytest.mark.slow]


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaServer]:
    with KafkaServer() as started:
        yield started


def settings(kafka: KafkaServer, topic: str) -> StreamConfig:
    return StreamConfig.model_validate({"kind": "kafka", "servers": kafka.servers, "topic": topic})


def test_it_keeps_the_contract(kafka: KafkaServer) -> None:
    kafka.make_topic("contract", 3)
    number = count()
    check_event_stream(
        lambda start: open_stream(settings(kafka, "contract"), start),
        lambda body: kafka.send("contract", [body], next(number) % 3),
    )


def test_a_topic_made_again_has_another_identity(kafka: KafkaServer) -> None:
    kafka.make_topic("again")
    stream = open_stream(settings(kafka, "again"), lambda _: {})
    before = stream.identity()
    kafka.delete_topic("again")
    kafka.make_topic("again")
    assert before != stream.identity() != ""
    stream.close()


def test_a_topic_that_is_not_there(kafka: KafkaServer) -> None:
    with pytest.raises(ConfigError, match="no topic 'missing'"):
        open_stream(settings(kafka, "missing"), lambda _: {})


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshet.backends.streams.kafka_stream._ANSWER", 0.5)
    where = {"kind": "kafka", "servers": f"127.0.0.1:{free_port()}", "topic": "t"}
    with pytest.raises(StreamUnreachable) as told:
        open_stream(StreamConfig.model_validate(where), lambda _: {})
    assert told.value.retryable


def test_an_option_that_the_client_does_not_know(kafka: KafkaServer) -> None:
    wrong = settings(kafka, "t").model_copy(update={"options": {"no.such.option": 1}})
    with pytest.raises(ConfigError, match=r"no\.such\.option"):
        open_stream(wrong, lambda _: {})
