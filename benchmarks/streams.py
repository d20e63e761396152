"""Streams into the log: events a second with offsets, and what kills in the middle lose or bring twice.

A server that speaks Kafka's protocol (Tansu, in memory) or Redis runs beside. The reader is a process that
is killed with SIGKILL at a random moment after a batch, and started again. Each message is an event with
an id of its own; every fiftieth is no JSON. Then: `lost` are events that the log lacks, `twice` are
messages that were counted twice by offset or rows that are there twice, `quarantine_twice` poison that is
in quarantine twice.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the servers of the tests

from benchmarks.shared import folder, parse, parser, tell

PACKAGE = str(Path(__file__).parents[1] / "src")
SETTINGS = """[events]
positive = "value >= 7"
columns = {{ id = "id" }}
[stream]
kind = "{kind}"
servers = "{servers}"
topic = "events"
batch_rows = {rows}
batch_seconds = 1
"""


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--kind", choices=("kafka", "redis"), default="kafka")
    made.add_argument("--kills", type=int, default=50)
    made.add_argument("--messages", type=int, default=100_000, help="read while it is killed")
    made.add_argument("--events", type=int, default=500_000, help="read to measure the rate")
    made.add_argument("--longest", type=float, default=1.0, help="seconds from a batch to the kill at most")
    made.add_argument("--seed", type=int, default=0)
    options = parse(made, kills=2, messages=2000, events=2000)
    with folder(None) as root:
        found = {
            "kind": options.kind,
            "load": [round(one, 1) for one in os.getloadavg()],
            **_killed(options, root / "killed"),
            **_rate(options, root / "rate"),
        }
    tell(options, found)


def _event(number: int) -> bytes:
    content = {
        "id": f"e{number}",
        "user_id": f"u{number % 5000}",
        "item_id": f"i{number % 997}",
        "timestamp": 1_700_000_000 + number,
        "value": number % 10,
    }
    return json.dumps(content).encode()


def _server(stack: ExitStack, kind: str, folder: Path) -> tuple[str, Any]:
    """(address, function that sends messages)."""
    if kind == "kafka":
        from tests.backends.streams.kafka_server import KafkaServer

        kafka = stack.enter_context(KafkaServer())
        kafka.make_topic("events", 3)
        return kafka.servers, lambda bodies: kafka.send("events", bodies)
    import redis
    from tests.backends.user_stores.server import Server

    server = stack.enter_context(Server(folder / "redis"))
    client = stack.enter_context(redis.Redis.from_url(server.url))

    def send(bodies: list[bytes]) -> None:
        for at in range(0, len(bodies), 1000):
            pipeline = client.pipeline(transaction=False)
            for body in bodies[at : at + 1000]:
                pipeline.xadd("events", {"json": body})
            pipeline.execute()

    return server.url, send


def _shop(root: Path, kind: str, servers: str, rows: int) -> None:
    root.mkdir(parents=True, exist_ok=True)
    text = SETTINGS.format(kind=kind, servers=servers, rows=rows)
    (root / "freshet.toml").write_text(text + ('field = "json"\n' if kind == "redis" else ""))


def _freshet(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "freshet", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": PACKAGE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _killed(options: Any, root: Path) -> dict[str, Any]:
    """Kill the reader at random moments; between two kills at least one batch may enter."""
    from freshet.stages.events import snapshots

    chance = random.Random(options.seed)
    poison = {number for number in range(options.messages) if number % 50 == 49}
    bodies = [b"poison" if n in poison else _event(n) for n in range(options.messages)]
    with ExitStack() as stack:
        servers, send = _server(stack, options.kind, root)
        rows = max(50, options.messages // (20 * options.kills))
        _shop(root, options.kind, servers, rows)
        send(bodies)
        in_the_middle = 0
        for _ in range(options.kills):
            before, reader = len(snapshots.listed(root)), _forked(root)
            limit = time.monotonic() + 60
            while len(snapshots.listed(root)) == before and time.monotonic() < limit:
                if os.waitpid(reader, os.WNOHANG) != (0, 0):
                    raise RuntimeError("the reader ended by itself")
                time.sleep(0.002)
            time.sleep(chance.uniform(0, options.longest))
            if os.waitpid(reader, os.WNOHANG) == (0, 0):
                in_the_middle += 1
                os.kill(reader, signal.SIGKILL)
                os.waitpid(reader, 0)
        read = snapshots.latest(root)[1].streams[f"{options.kind}/events"].read
        _shop(root, options.kind, servers, 100_000)  # the rest at once
        assert os.waitpid(_forked(root), 0)[1] == 0
    return {
        "kills": options.kills,
        "kills_while_it_ran": in_the_middle,
        "read_between_kills": read,
        "batches": len(snapshots.listed(root)),
        "messages": options.messages,
        **_counted(root, options.messages, poison),
    }


def _forked(root: Path) -> int:
    """`freshet stream --once` as a process of its own, forked, so that it need not import everything anew."""
    from threading import Event

    from freshet.streaming import LogConsumer
    from freshet.wiring import open_workspace
    from freshet.wiring_streams import open_stream

    process = os.fork()
    if process:
        return process
    code = 1
    try:
        ws = open_workspace(root)
        LogConsumer(ws, ws.config.stream, lambda start: open_stream(ws.config.stream, start)).run(
            Event(), once=True
        )
        code = 0
    except BaseException as error:  # noqa: BLE001 - the parent must not go on in the child
        print(f"{error!r}", file=sys.stderr)
    finally:
        os._exit(code)


def _counted(root: Path, messages: int, poison: set[int]) -> dict[str, Any]:
    import duckdb

    from freshet.stages.events import EventLog

    snapshot = EventLog(root).snapshot()
    [state] = snapshot.streams.values()
    rows, ids = duckdb.sql(f"SELECT count(*), count(DISTINCT id) FROM {snapshot.scan}").fetchall()[0]
    refused = str(root / "quarantine" / "*.parquet")
    all_refused, places = duckdb.sql(
        f"""SELECT count(*), count(DISTINCT ("partition", "offset")) FROM '{refused}'"""
    ).fetchall()[0]
    return {
        "read": state.read,
        "lost": messages - len(poison) - ids,
        "twice": rows - ids + state.read - messages,
        "quarantine_lost": len(poison) - places,
        "quarantine_twice": all_refused - places,
    }


def _rate(options: Any, root: Path) -> dict[str, Any]:
    """The same rows from the stream and from a file, each by the command as a process."""
    bodies = [_event(number) for number in range(options.events)]
    with ExitStack() as stack:
        servers, send = _server(stack, options.kind, root)
        _shop(root / "streamed", options.kind, servers, 100_000)
        _shop(root / "imported", options.kind, servers, 100_000)
        send(bodies)
        file = root / "events.jsonl"
        file.write_bytes(b"\n".join(bodies) + b"\n")
        seconds = {}
        for name, arguments in (("streamed", ("stream", "--once")), ("imported", ("import", file))):
            start = time.monotonic()
            process = _freshet(arguments[0], "-w", root / name, *arguments[1:])
            assert process.wait() == 0, name
            seconds[name] = time.monotonic() - start
    return {
        "events": options.events,
        "stream_events_per_s": round(options.events / seconds["streamed"]),
        "import_events_per_s": round(options.events / seconds["imported"]),
        "ratio": round(seconds["imported"] / seconds["streamed"], 2),
    }


if __name__ == "__main__":
    main()
