"""`freshet stream` against a server that speaks Kafka's protocol: nothing lost, nothing twice."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from freshet.core.errors import Busy, InputError, StreamGap
from freshet.stages.events import snapshots
from freshet.storage.lease import lease
from freshet.storage.workspace import LEASE
from tests.backends.streams.kafka_server import NEEDED_KAFKA, KafkaServer
from tests.streaming.shops import check_whole, consumed, event, ids, refused, shop, started, state

pytestmark = [NEEDED_KAFKA, pytest.mark.slow]
PATIENCE = 90.0


@pytest.fixture
def kafka() -> Iterator[KafkaServer]:
    with KafkaServer() as server:
        server.make_topic("events", 3)
        yield server


def test_messages_enter_the_log_with_their_offsets(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path, "kafka", kafka.servers)
    kafka.send("events", map(event, range(1000)))
    found = consumed(ws)
    assert (found.read, found.added, found.duplicates, found.lost) == (1000, 1000, 0, 0)
    assert found.batches >= 3
    check_whole(ws, range(1000), read=1000)
    assert {one: int(at) for one, at in state(ws).positions.items()} == {"0": 334, "1": 333, "2": 333}
    assert consumed(ws).read == 0
    kafka.send("events", map(event, range(1000, 1100)))
    assert consumed(ws).read == 100
    check_whole(ws, range(1100), read=1100)
    [*_, record] = ws.ledger.records()
    assert (record.command, record.steps[0].details["read"]) == ("stream", 100)


def test_poison_goes_to_quarantine_with_its_offset(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path, "kafka", kafka.servers, message_bytes=2000)
    poison = [
        b"no json",
        b"[1, 2]",
        None,
        b"",
        b"\xff\xfe{}",
        b'{"id": "x"}',
        event(1, user_id=None),
        event(1, timestamp="soon"),
        event(1, value="much"),
        event(1, timestamp=99_999_999_999),
        b'{"a": "' + b"x" * 3000 + b'"}',
        b'{"user_id": "a\x01b"}',
        event(1, user_id={"name": "u"}),
        b'{"' + b'":1,"'.join(b"k%d" % n for n in range(150)) + b'":1}',
        b'[{"user_id": 1}]',
    ]
    kafka.send("events", [event(0), *poison, event(2)], partition=1)
    lines = b'{\n "id": "e3",\n "user_id": "u", "item_id": "i", "timestamp": 1700000000 }'
    kafka.send("events", [lines], 0)
    found = consumed(ws)
    check_whole(ws, [0, 2, 3], read=len(poison) + 3, refused=len(poison))
    rows = refused(ws)
    assert {partition for _, partition, _, _ in rows} == {"1"}
    assert [int(offset) for _, _, offset, _ in rows] == list(range(1, len(poison) + 1))
    assert [reason for reason, *_ in rows] == [
        "unreadable row",
        "unreadable row",
        "no body (tombstone)",
        "empty",
        "not UTF-8",
        "missing user",
        "missing user",
        "unreadable time",
        "value is not a number",
        "time in the future",
        "too large",
        "control characters",
        "user id is neither text nor a number",
        "missing user",
        "unreadable row",
    ]
    assert sum(found.refused.values()) == len(poison)


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "alone"])
def test_a_message_is_read_alike_whatever_is_in_its_batch(
    kafka: KafkaServer, tmp_path: Path, together: bool
) -> None:
    """Poison alone in a batch stops nothing, and what a message lacks is its own affair."""
    ws = shop(tmp_path, "kafka", kafka.servers)
    plain = b'{"id": "e1", "user_id": "u", "item_id": "i", "timestamp": 1700000000}'
    bodies = [b'{"other": 1}', plain, event(2)]
    for some in [bodies] if together else [[body] for body in bodies]:
        kafka.send("events", some, partition=0)
        consumed(ws)
    check_whole(ws, [1, 2], read=3, refused=1)
    assert [reason for reason, *_ in refused(ws)] == ["missing user"]


def test_a_stream_that_is_none_of_ours_is_refused(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path, "kafka", kafka.servers)
    kafka.send("events", [b'{"customer": 1}'] * 150, partition=0)
    with pytest.raises(InputError, match=r"none of 150 messages can be used \(missing user: 150\)"):
        consumed(ws)
    assert not snapshots.listed(ws.root)
    assert not list(ws.root.glob("quarantine/*"))


def test_late_events_and_duplicates(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path, "kafka", kafka.servers)
    kafka.send("events", map(event, range(100)))
    consumed(ws)
    late = [event(200, timestamp=1_600_000_000)]
    kafka.send("events", [*map(event, range(50)), *late, event(201), event(201)])
    found = consumed(ws)
    assert (found.read, found.added, found.duplicates) == (53, 2, 51)
    check_whole(ws, [*range(100), 200, 201], read=153)
    assert str(snapshots.latest(ws.root)[1].days[0].day) == "2020-09-13"


def test_kills_in_the_middle(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path, "kafka", kafka.servers, batch_rows=100)
    kafka.send("events", [b"poison" if n % 50 == 49 else event(n) for n in range(2000)])
    chance = random.Random(1)
    for _ in range(3):
        process = started(ws, "--once")
        before, until = len(snapshots.listed(ws.root)), time.monotonic() + PATIENCE
        while len(snapshots.listed(ws.root)) <= before and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.communicate()
    consumed(ws)
    check_whole(ws, [n for n in range(2000) if n % 50 != 49], read=2000, refused=40)


def test_a_signal_ends_it_with_what_it_has(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path, "kafka", kafka.servers, batch_seconds=3000, batch_rows=90)
    kafka.send("events", map(event, range(100)))
    process = started(ws, "--json")
    until = time.monotonic() + PATIENCE
    while not snapshots.listed(ws.root) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    consumed(ws)
    check_whole(ws, range(100), read=100)


def test_two_members_of_a_group(kafka: KafkaServer, tmp_path: Path) -> None:
    """The second joins and leaves in the middle: partitions move, messages don't."""
    ws = shop(tmp_path, "kafka", kafka.servers, batch_rows=100, options={"session.timeout.ms": 6000})
    stops = [threading.Event(), threading.Event()]
    found: list[object] = []
    members = [
        threading.Thread(target=lambda stop=stop: found.append(consumed(ws, False, "g", stop)))
        for stop in stops
    ]
    sent = 0

    def more(until_read: int) -> None:
        nonlocal sent
        end = time.monotonic() + PATIENCE
        while (not snapshots.listed(ws.root) or state(ws).read < until_read) and time.monotonic() < end:
            kafka.send("events", map(event, range(sent, sent + 30)))
            sent += 30
            time.sleep(0.1)

    members[0].start()
    more(300)
    members[1].start()
    more(state(ws).read + 900)
    stops[1].set()
    members[1].join(PATIENCE)
    more(state(ws).read + 300)
    stops[0].set()
    members[0].join(PATIENCE)
    consumed(ws)
    assert len(found) == 2
    check_whole(ws, range(sent), read=sent)


def test_while_another_run_writes_messages_wait(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path, "kafka", kafka.servers, batch_rows=100)
    kafka.send("events", map(event, range(500)))
    stop = threading.Event()
    reader = threading.Thread(target=lambda: consumed(ws, False, "g", stop))
    with lease(ws.root / LEASE, "refresh"):
        reader.start()
        with pytest.raises(Busy), ws.run("import"):
            pass
        time.sleep(1)
        assert not snapshots.listed(ws.root)
    until = time.monotonic() + PATIENCE
    while (not snapshots.listed(ws.root) or state(ws).read < 500) and time.monotonic() < until:
        time.sleep(0.1)
    stop.set()
    reader.join(PATIENCE)
    check_whole(ws, range(500), read=500)


def test_a_topic_that_was_made_again(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path / "a", "kafka", kafka.servers)
    kafka.send("events", map(event, range(90)))
    consumed(ws)
    kafka.delete_topic("events")
    kafka.make_topic("events", 3)
    kafka.send("events", map(event, range(90, 390)))
    with pytest.raises(StreamGap, match="made again"):
        consumed(ws)
    check_whole(ws, range(90), read=90)
    found = consumed(shop(tmp_path / "a", "kafka", kafka.servers, gaps="continue"))
    assert found.read == 300
    check_whole(ws, range(390), read=390)


def test_partitions_that_are_new(kafka: KafkaServer, tmp_path: Path) -> None:
    """The server of these tests can't add any: one that the log has not read from is as new."""
    ws = shop(tmp_path, "kafka", kafka.servers)
    kafka.send("events", map(event, range(10)), partition=0)
    consumed(ws)
    assert [*state(ws).positions] == ["0"]
    kafka.send("events", map(event, range(10, 20)), partition=2)
    consumed(ws)
    check_whole(ws, range(20), read=20)


def test_offsets_go_back_with_the_data(kafka: KafkaServer, tmp_path: Path) -> None:
    ws = shop(tmp_path, "kafka", kafka.servers, batch_rows=50)
    kafka.send("events", map(event, range(150)), partition=0)
    consumed(ws)
    newest = snapshots.listed(ws.root)[-1]
    path = snapshots.place(ws.root, newest)
    path.write_text(path.read_text().replace('"read":150', '"read":151'))
    with pytest.raises(Exception, match="checksum of its streams"):
        snapshots.latest(ws.root)
    path.rename(tmp_path / "aside")
    assert state(ws).read == 100 == len(ids(ws))
    consumed(ws)
    check_whole(ws, range(150), read=150)


def test_the_server_goes_away_and_comes_back(kafka: KafkaServer, tmp_path: Path) -> None:
    """As seen from here: it stops answering for a while, in the middle."""
    assert kafka.process is not None
    ws = shop(tmp_path, "kafka", kafka.servers, batch_rows=100, options={"socket.timeout.ms": 1000})
    kafka.send("events", map(event, range(300)))
    stop = threading.Event()
    reader = threading.Thread(target=lambda: consumed(ws, False, "g", stop))
    reader.start()
    until = time.monotonic() + PATIENCE
    while not snapshots.listed(ws.root) and time.monotonic() < until:
        time.sleep(0.05)
    kafka.process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    kafka.process.send_signal(signal.SIGCONT)
    kafka.send("events", map(event, range(300, 600)))
    while state(ws).read < 600 and time.monotonic() < until:
        time.sleep(0.1)
    stop.set()
    reader.join(PATIENCE)
    check_whole(ws, range(600), read=600)
