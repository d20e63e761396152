"""A release in a real Redis: switched in one step, read by who began before, cleaned up after a kill."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import redis

from freshet.backends.export_targets.redis_release import RedisTarget
from freshet.checks.export_target import check_export_target, small_release
from freshet.core.errors import ExportError
from freshet.core.ports import silent
from tests.backends.export_targets.test_binary_file import BLOCKED, released
from tests.backends.user_stores.server import NEEDED, Server

_SPEC = importlib.util.spec_from_file_location(
    "redis_lookup", Path(__file__).parents[3] / "examples/redis_lookup.py"
)
EXAMPLE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(EXAMPLE)
pytestmark = [NEEDED, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "redis", "--appendonly", "no") as found:
        yield found


def look_up(client: redis.Redis, context: list[int]) -> list[int]:
    return [id_ for id_, _ in EXAMPLE.look_up(client, context)]


def keys(client: redis.Redis) -> list[str]:
    return sorted(key.decode() for key in client.scan_iter())


def test_it_keeps_the_contract(server: Server) -> None:
    with redis.Redis.from_url(server.url) as client:
        check_export_target(
            RedisTarget(server.url, "shop's Redis", 60), lambda context: look_up(client, context)
        )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_row_is_that_of_the_table(server: Server, tmp_path: Path, world: Path, k: int) -> None:
    _, given, table = released(tmp_path / "ws", world, k, BLOCKED)
    RedisTarget(server.url, "shop's Redis", 60).write(given, silent)
    ids = given.ids.tolist()
    with redis.Redis.from_url(server.url) as client:
        for length in range(k + 1):
            for context in product(range(len(ids)), repeat=length):
                row = table.look_up(context)
                wanted = [(ids[i], float(s)) for i, s in zip(row.successors, row.fused, strict=True)]
                assert EXAMPLE.look_up(client, [ids[i] for i in context]) == wanted


def test_it_keeps_the_contract_in_a_cluster(tmp_path: Path) -> None:
    cluster = Server(tmp_path / "redis", "--cluster-enabled", "yes")
    with cluster as server, redis.Redis.from_url(server.url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while client.cluster("info")["cluster_state"] != "ok":
            pass
        check_export_target(
            RedisTarget(server.url, "shop's Redis", 60), lambda context: look_up(client, context)
        )
        slots = {client.cluster("keyslot", key) for key in keys(client)}
        assert len(slots) > 3  # what is looked up spreads


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not installed")
def test_it_keeps_the_contract_in_a_cluster_of_three_nodes(tmp_path: Path) -> None:
    with ExitStack() as stack:
        options = "--cluster-enabled", "yes", "--appendonly", "no", "--cluster-node-timeout", "60000"
        nodes = [stack.enter_context(Server(tmp_path / f"node{n}", *options)) for n in range(3)]
        places = [f"127.0.0.1:{node.port}" for node in nodes]
        subprocess.run(
            ["redis-cli", "--cluster", "create", *places, "--cluster-yes"], check=True, timeout=120,
            capture_output=True,
        )  # fmt: skip
        for node in nodes:  # each finds out for itself that all slots are held
            with redis.Redis(port=node.port) as one:
                while one.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                    time.sleep(0.05)
        client = stack.enter_context(closing(redis.RedisCluster(host="127.0.0.1", port=nodes[0].port)))
        check_export_target(
            RedisTarget(nodes[0].url, "cluster", 60), lambda context: look_up(client, context)
        )
        held = [redis.Redis(port=node.port) for node in nodes]
        assert sum(one.dbsize() > 0 for one in held) >= 2
        for one in held:
            one.close()


def test_who_began_on_the_old_release_ends_on_it_and_it_expires_then(server: Server) -> None:
    with redis.Redis.from_url(server.url) as client:
        RedisTarget(server.url, "shop's Redis", 3600).write(small_release(1), silent)
        began = client.get("{freshet}:current").decode()
        RedisTarget(server.url, "shop's Redis", 3600).write(small_release(2, shift=1), silent)
        row = client.hget(f"{{freshet:}}:{began}", "")
        assert [id_ for id_, _ in struct.iter_unpack("<if", row)] == [10, 20, 30]
        assert look_up(client, []) == [20, 30, 40]
        left = {key: client.ttl(key) for key in keys(client)}
        old = {key for key in left if began in key}
        assert len(old) == 6
        assert all(0 < left[key] <= 3600 for key in old)
        assert all(left[key] == -1 for key in left if key not in old)


KILLED = """
    import os, signal
    from dataclasses import replace
    from freshet.backends.export_targets.redis_release import RedisTarget
    from freshet.checks.export_target import small_release
    from freshet.core.ports import silent
    given, wanted = small_release(9, shift=2), {after}
    def blocks():
        for number, block in enumerate(given.blocks()):
            if number == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
            yield block
    RedisTarget({url!r}, "redis", 3600).write(replace(given, blocks=blocks), silent)
    """


@pytest.mark.parametrize("after", [0, 2])
def test_an_export_that_was_killed_leaves_the_old_release_and_the_next_one_cleans_up(
    server: Server, after: int
) -> None:
    target = RedisTarget(server.url, "shop's Redis", 3600)
    target.write(small_release(1), silent)
    with redis.Redis.from_url(server.url) as client:
        before = keys(client)
        code = textwrap.dedent(KILLED.format(after=after, url=server.url))
        done = subprocess.run([sys.executable, "-c", code], env=os.environ, timeout=120)
        assert done.returncode == -signal.SIGKILL
        assert look_up(client, []) == [10, 20, 30]
        assert len(keys(client)) > len(before)
        target.write(small_release(2, shift=1), silent)
        assert [key for key in keys(client) if ":9-" in key] == []
        assert client.scard("{freshet}:generations") == 1


def test_rows_that_a_server_lost_meanwhile_are_noticed(server: Server) -> None:
    target, given = RedisTarget(server.url, "shop's Redis", 60), small_release(1)
    target.write(given, silent)
    with redis.Redis.from_url(server.url) as client:

        def loses(done: int, total: int) -> None:
            if done == total:
                for key in client.scan_iter("{freshet:10}:2-*"):
                    client.delete(key)

        with pytest.raises(ExportError, match="has lost 4 of 15 rows"):
            target.write(small_release(2), loses)
        assert client.get("{freshet}:current").decode().startswith("1-")


def test_a_server_that_is_full_or_away_is_told_without_the_password(server: Server) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1kb")
        with pytest.raises(ExportError, match=r"can't be written: .*maxmemory") as full:
            RedisTarget(server.url, "shop's Redis", 60).write(small_release(1), silent)
        assert full.value.retryable
        assert client.get("{freshet}:current") is None
    with pytest.raises(ExportError, match="can't be written") as away:
        RedisTarget("redis://me:secret@127.0.0.1:1/0", "shop's Redis", 60).write(small_release(1), silent)
    assert "secret" not in str(away.value)


def test_an_export_that_was_out_of_reach_does_not_switch(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still between its last row and the switch, while another run took over."""
    RedisTarget(server.url, "shop's Redis", 60).write(small_release(1), silent)
    slow, check = RedisTarget(server.url, "shop's Redis", 60), RedisTarget._check

    def overtaken(*given: Any) -> None:
        check(slow, *given)
        monkeypatch.undo()
        RedisTarget(server.url, "shop's Redis", 60).write(small_release(3, shift=1), silent)

    monkeypatch.setattr(slow, "_check", overtaken)
    with pytest.raises(ExportError, match="another export"):
        slow.write(small_release(2), silent)
    with redis.Redis.from_url(server.url) as client:
        assert client.get("{freshet}:current").decode().startswith("3-")
        assert look_up(client, []) == [20, 30, 40]
