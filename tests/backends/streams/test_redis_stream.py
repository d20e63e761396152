"""Redis Streams keep the contract, and notice what was trimmed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from freshet.checks import check_event_stream
from freshet.core.config import StreamConfig
from freshet.core.errors import ConfigError, StreamUnreachable
from freshet.core.ports import EventStream, Gap
from freshet.wiring_streams import open_stream
from tests.backends.user_stores.server import NEEDED, Server, free_port

pytestmark = [NEEDED, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as opened:
        opened.flushall()
        yield opened


def settings(server: Server, field: str = "") -> StreamConfig:
    return StreamConfig.model_validate(
        {"kind": "redis", "servers": server.url, "topic": "events", "field": field}
    )


def opened(server: Server, at: str = "") -> EventStream:
    return open_stream(settings(server), lambda _: {"0": at} if at else {})


def test_it_keeps_the_contract(server: Server, client: redis.Redis) -> None:
    check_event_stream(
        lambda start: open_stream(settings(server, "json"), start),
        lambda body: client.xadd("events", {"json": body}),
    )


def test_fields_are_columns(server: Server, client: redis.Redis) -> None:
    client.xadd("events", {"user_id": "u", "value": 3})
    client.xadd("events", {"user_id": b"\xff"})
    stream = opened(server)
    good, bad = stream.poll(10, 0.1).messages
    assert (good.body, good.why_not) == (b'{"user_id": "u", "value": "3"}', "")
    assert bad.why_not == "not UTF-8"
    stream.close()


def test_a_field_that_is_missing(server: Server, client: redis.Redis) -> None:
    client.xadd("events", {"other": "{}"})
    stream = open_stream(settings(server, "json"), lambda _: {})
    [message] = stream.poll(10, 0.1).messages
    assert (message.body, message.why_not) == (None, "no field 'json'")
    stream.close()


def test_what_was_trimmed_is_counted(server: Server, client: redis.Redis) -> None:
    for number in range(10):
        client.xadd("events", {"n": number})
    stream = opened(server)
    read = stream.poll(4, 0.1).messages
    client.xtrim("events", maxlen=3, approximate=False)
    polled = stream.poll(10, 0.1)
    assert polled.gaps == [Gap("0", 3, "trimmed")]
    assert len(polled.messages) == 3
    client.xtrim("events", maxlen=0, approximate=False)
    assert stream.poll(10, 0.1).gaps == [], "all of it was read"
    stream.close()
    again = opened(server, read[-1].position)
    assert again.poll(10, 0.1).gaps == [Gap("0", 6, "trimmed")]
    again.close()


def test_entries_that_somebody_deleted_are_no_gap(server: Server, client: redis.Redis) -> None:
    ids = [client.xadd("events", {"n": number}) for number in range(10)]
    stream = opened(server)
    assert len(stream.poll(4, 0.1).messages) == 4
    client.xdel("events", ids[6])
    polled = stream.poll(10, 0.1)
    assert (len(polled.messages), polled.gaps) == (5, [])
    client.xtrim("events", maxlen=0, approximate=False)
    assert stream.poll(10, 0.1).gaps == []
    stream.close()


def test_a_stream_that_was_deleted_or_made_again(server: Server, client: redis.Redis) -> None:
    for number in range(5):
        client.xadd("events", {"n": number}, id=f"{9_999_999_999_999 + number}-0")
    stream = opened(server)
    assert len(stream.poll(10, 0.1).messages) == 5
    client.delete("events")
    client.xadd("events", {"n": "new"})
    polled = stream.poll(10, 0.1)
    assert polled.gaps == [Gap("0", None, "the stream was deleted and made again")]
    assert [one.body for one in stream.poll(10, 0.1).messages] == [b'{"n": "new"}']
    client.delete("events")
    assert stream.poll(10, 0.1).gaps == [Gap("0", None, "the stream was deleted")]
    stream.close()


def test_a_server_that_is_not_there_or_refuses_us(server: Server, client: redis.Redis) -> None:
    gone = settings(server).model_copy(update={"servers": f"redis://127.0.0.1:{free_port()}/0"})
    with pytest.raises(StreamUnreachable) as told:
        open_stream(gone, lambda _: {})
    assert told.value.retryable
    wrong = settings(server).model_copy(update={"options": {"username": "nobody", "password": "x"}})
    with pytest.raises((ConfigError, StreamUnreachable), match="Redis at"):
        open_stream(wrong, lambda _: {})


def test_it_goes_away_and_comes_back(tmp_path: Path) -> None:
    with Server(tmp_path) as own, redis.Redis.from_url(own.url) as client:
        client.xadd("events", {"n": 1})
        stream = opened(own)
        assert len(stream.poll(10, 0.1).messages) == 1
        own.kill()
        with pytest.raises(StreamUnreachable):
            stream.poll(10, 0.1)
        own.start()
        client.xadd("events", {"n": 2})
        assert [one.body for one in stream.poll(10, 0.1).messages] == [b'{"n": "2"}']
        stream.close()
