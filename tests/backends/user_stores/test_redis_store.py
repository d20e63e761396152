"""Redis keeps the contract, goes away and comes back."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from freshet.backends.user_stores.history_bytes import encode, merge
from freshet.backends.user_stores.redis_store import RedisUserStore
from freshet.checks import check_user_store
from freshet.core.errors import StateError, StateFull
from freshet.core.types import Fact, History
from tests.backends.user_stores.facts import fact
from tests.backends.user_stores.server import NEEDED, Server, free_port
from tests.backends.user_stores.test_history_bytes import HISTORIES

pytestmark = [NEEDED, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def state(server: Server) -> Iterator[RedisUserStore]:
    """An empty one."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    opened = RedisUserStore(server.url)
    yield opened
    opened.close()


def test_it_keeps_the_contract(state: RedisUserStore, server: Server) -> None:
    assert state.note == ""
    check_user_store(lambda: RedisUserStore(server.url))


@given(st.lists(HISTORIES, min_size=1, max_size=4))
@examples(max_examples=30)
def test_histories_merge_as_they_do_in_lmdb(server: Server, said: list[History]) -> None:
    state = RedisUserStore(server.url)
    user = os.urandom(16)
    expected = History.empty()
    for one in said:
        state.merge([(user, one)])
        expected = merge(expected, one)
    [found] = state.histories([user])
    order = np.argsort(found.interests)
    found = History(found.items, found.item_times, found.interests[order], found.interest_times[order])
    assert encode(found) == encode(expected)
    state.close()


def test_workspaces_with_their_own_prefix_are_apart(state: RedisUserStore, server: Server) -> None:
    other = RedisUserStore(f"{server.url}?prefix=other")
    assert state.record([fact(1)]) == [True]
    assert other.record([fact(1)]) == [True]
    assert len(state.events.read(0, 10)) == 1
    other.close()


def test_threads_and_processes_share_it(state: RedisUserStore, server: Server) -> None:
    states = [RedisUserStore(server.url) for _ in range(4)]
    counts = [0] * 4

    def work(which: int) -> None:
        for at in range(0, 500, 25):
            counts[which] += sum(states[which].record([fact(n) for n in range(at, at + 25)]))

    threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 500 == len(state.events.read(0, 1000))
    for one in states:
        one.close()


def test_it_goes_away_and_comes_back(tmp_path: Path) -> None:
    """What was acknowledged is there again, what wasn't is told as retryable; nothing is restarted."""
    with Server(tmp_path) as server:
        state = RedisUserStore(server.url)
        at = 0
        for _ in range(3):
            assert sum(state.record([fact(n) for n in range(at, at + 50)])) == 50
            state.notes.put("at", str(at).encode())
            at += 50
            server.kill()
            for call in (
                lambda at=at: state.record([fact(at)]),
                lambda: state.histories([b"u" * 16]),
                lambda: state.events.read(0, 1),
                lambda: state.notes.put("at", b"never"),
            ):
                with pytest.raises(StateError, match="can't be reached") as told:
                    call()
                assert told.value.retryable
            server.start()
            assert state.notes.get("at") == str(at - 50).encode()
            assert len(state.events.read(0, 1000)) == at
            assert state.record([fact(n) for n in range(at)]) == [False] * at
        state.close()


def test_kills_in_the_middle_lose_nothing_acknowledged(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        state = RedisUserStore(server.url)
        acknowledged, at = set(), 0
        for _ in range(3):
            killer = threading.Timer(0.15, server.kill)
            killer.start()
            try:
                while True:
                    batch = range(at, at + 20)
                    at += 20
                    state.record([fact(n, body=str(n).encode()) for n in batch])
                    acknowledged |= {*batch}
            except StateError:
                killer.join()
            server.start()
        bodies = [int(entry.body) for entry in state.events.read(0, 1_000_000)]
        assert len(bodies) == len(set(bodies)), "an event is there twice"
        assert acknowledged <= set(bodies), "an acknowledged event is lost"
        state.close()


def test_a_server_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshet.backends.user_stores.redis_server.REST", 1000.0)
    with Server(tmp_path) as server:
        state = RedisUserStore(server.url)
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(StateError, match="can't be reached"):
            state.record([fact(1)])
        with pytest.raises(StateError, match="did not answer lately"):
            state.histories([fact(1).user])
        os.kill(server.process.pid, signal.SIGCONT)
        with pytest.raises(StateError, match="did not answer lately"):
            state.histories([fact(1).user])
        happened = len(state.events.read(0, 10))  # the server may have got it, and done it when it woke
        assert len(state.histories([fact(1).user])) == 1, "it answered somebody who could wait"
        assert state.record([fact(1), fact(2)]) == [not happened, True]
        state.close()


def test_histories_of_a_server_that_hangs_are_given_up_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for one is not kept waiting, and the next ones not at all."""
    with Server(tmp_path) as server:
        state = RedisUserStore(server.url)
        state.histories([fact(1).user])
        asked: list[float | None] = []
        real = redis.connection.Connection.read_response

        def reading(connection: redis.connection.Connection, *args: object, **named: object) -> object:
            asked.append(connection.socket_timeout)
            return real(connection, *args, **named)

        monkeypatch.setattr(redis.connection.Connection, "read_response", reading)
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(StateError, match="can't be reached"):
            state.histories([fact(1).user])
        assert asked
        assert max(asked) <= 0.05
        asked.clear()
        with pytest.raises(StateError, match="did not answer lately"):
            state.histories([fact(1).user])
        assert asked == []
        os.kill(server.process.pid, signal.SIGCONT)
        state.events.read(0, 1)
        assert len(state.histories([fact(1).user])) == 1
        state.close()


def test_what_is_appended_again_after_silence_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs around a flush does it when it wakes; meanwhile there is more to flush."""
    monkeypatch.setattr("freshet.backends.user_stores.redis_server._ANSWER", 0.3)
    held = [str(n).encode() for n in range(1700)]
    with Server(tmp_path) as server:
        state = RedisUserStore(server.url)
        state.impressions.append([b"warm"])
        for count in (700, 1300):
            os.kill(server.process.pid, signal.SIGSTOP)
            with pytest.raises(StateError, match="can't be reached"):
                state.impressions.append(held[:count])
            os.kill(server.process.pid, signal.SIGCONT)
        state.impressions.append(held)
        state.impressions.append([b"warm"])
        bodies = [entry.body for entry in state.impressions.read(0, 10_000)]
        assert bodies == [b"warm", *held, b"warm"]
        state.close()


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_call_that_fails_after_some_portions_is_continued(
    state: RedisUserStore, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """The server has done each, but its answer to one is lost."""
    held = [str(n).encode() for n in range(2600)]
    real, calls = state._server.append, [0]

    def losing(keys: list[bytes], arguments: list[bytes]) -> None:
        real(keys, arguments)
        calls[0] += 1
        if calls[0] in (failing, failing + 2, failing + 3):
            raise redis.TimeoutError("lost")

    monkeypatch.setattr(state._server, "append", losing)
    for count in (700, 1300, 1301, 2600, 2600, 2600):
        try:
            state.impressions.append(held[:count])
        except StateError:
            continue
        held = held[count:]
    assert calls[0] > failing
    assert [int(e.body) for e in state.impressions.read(0, 10_000)] == list(range(2600 - len(held)))


def test_memory_that_is_full(tmp_path: Path) -> None:
    with Server(tmp_path, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "6mb") as server:
        state = RedisUserStore(server.url)
        at = 0
        with pytest.raises(StateFull, match="is full"):  # noqa: PT012 - it takes some until it is
            while True:
                state.record([fact(n, body=b"x" * 1000) for n in range(at, at + 20)])
                at += 20
        entries = state.events.read(0, 100_000)
        assert len(entries) == at, "of a batch that failed something is there"
        state.events.trim(entries[-1].position)
        assert state.record([fact(n) for n in range(at, at + 20)]) == [True] * 20
        state.close()


def test_weak_durability_is_told(tmp_path: Path) -> None:
    with Server(tmp_path, "--appendonly", "no") as server:
        state = RedisUserStore(server.url)
        assert "may lose what it has acknowledged: it has appendonly no, appendfsync everysec" in state.note
        state.close()


def test_nobody_there() -> None:
    with pytest.raises(StateError, match="can't be reached"):
        RedisUserStore(f"redis://:secret@127.0.0.1:{free_port()}/0")


def test_something_else_there() -> None:
    def answer() -> None:
        with other.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 400\r\n")

    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(StateError):
            RedisUserStore(f"redis://127.0.0.1:{other.getsockname()[1]}/0")
        thread.join()


def test_a_password_is_not_told(server: Server) -> None:
    with pytest.raises(StateError) as told:
        RedisUserStore(f"redis://me:secret@127.0.0.1:{server.port}/0")
    assert "secret" not in str(told.value)


def test_files_of_the_server_lose_who_is_erased(tmp_path: Path) -> None:
    """Deleted entries of a stream stay in memory, and in the append-only file, until both are written anew."""
    mark, key = b"marker-4711", b"0123456789abcdef"
    with Server(tmp_path / "server") as server:
        store = RedisUserStore(server.url)
        facts = [
            Fact(n.to_bytes(16, "big"), key, n, 1, n, True, mark if n % 2 else b"another") for n in range(400)
        ]
        store.record(facts)
        store.impressions.append([mark, b"another", mark])
        done = store.erase([key], lambda body: body == mark)
        assert (done.histories, done.events, done.impressions, done.left) == (1, 200, 2, ())
        assert [one.body for one in store.events.read(0, 999)] == [b"another"] * 200
        store.close()
        files = [path for path in (tmp_path / "server").rglob("*") if path.is_file()]
        assert files
        for path in files:
            assert mark not in path.read_bytes(), path
            assert key not in path.read_bytes(), path


def test_a_dump_that_was_begun_before_is_written_again(tmp_path: Path) -> None:
    """It is of the moment at which it was begun, with the entries that went since."""
    mark, key = b"marker-4711", b"0123456789abcdef"
    with Server(tmp_path / "server", "--save", "3600 100000", "--rdb-key-save-delay", "2000") as server:
        store = RedisUserStore(server.url)
        store.record([Fact(n.to_bytes(16, "big"), key, n, 1, n, True, mark) for n in range(9)])
        with redis.Redis(port=server.port) as client:
            client.mset({f"other {n}": n for n in range(500)})
            client.bgsave()
            assert client.info("persistence")["rdb_bgsave_in_progress"] == 1
        assert store.erase([key], lambda body: body == mark).left == ()
        store.close()
        content = (tmp_path / "server" / "dump.rdb").read_bytes()
        assert mark not in content
        assert key not in content


def test_a_dump_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    key = b"0123456789abcdef"
    with Server(tmp_path / "server", "--save", "3600 100000") as server:
        store = RedisUserStore(server.url)
        store.record([Fact(bytes(16), key, 1, 1, 1, True, b"body")])
        (tmp_path / "server" / "dump.rdb").mkdir()
        [left] = store.erase([key], lambda body: body == b"body").left
        assert "the dump of Redis" in left
        assert "ended with err" in left
        store.close()
