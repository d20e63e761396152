"""docs/how-to/places.md: the commands of each place work, on servers of this machine and a SIMULATED log."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from freshet.simulator import World, generate
from tests.backends.streams.kafka_server import INSTALLED, KafkaServer
from tests.backends.tracking.receiver import receiving
from tests.backends.user_stores.server import Server
from tests.servers import WEED, S3Server, s3_server

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "places.md"
INTERESTS = 12
MESSAGES = 40
pytestmark = pytest.mark.slow


def blocks(section: str, language: str) -> list[str]:
    """Blocks of a language in a section of the page, in order."""
    (text,) = re.findall(
        rf"^## {section}$(.*?)(?=^## )", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, section
    return found


def typed(folder: Path, block: str, **more: str) -> str:
    """What somebody gets who types a block."""
    block = block.replace("--interests 100", f"--interests {INTERESTS}")
    python = shlex.quote(sys.executable)
    script = f'freshet() {{ {python} -m freshet "$@"; }}\n{block}'
    environment = {**os.environ, "FRESHET_DEBUG": "1", "FRESHET_CACHE": str(folder / "cache"), **more}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_lines(settings: str, block: str) -> str:
    """Settings with those of a block: top-level keys first, sections in the place of those that were there."""
    top, _, sections = block.partition("\n[")
    sections = f"[{sections}" if not block.startswith("[") else block
    if block.startswith("["):
        top = ""
    for name in re.findall(r"^\[(.+)\]$", sections, re.MULTILINE):
        settings = re.sub(
            rf"^\[{re.escape(name)}\]\n.*?(?=^\[|\Z)", "", settings, flags=re.DOTALL | re.MULTILINE
        )
    return f"{top}\n{settings}\n{sections}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody works, with a log."""
    place = tmp_path_factory.mktemp("places")
    generate(World(themes=12, items=150, users=400, days=60, change_day=40), place)
    (place / "events.parquet").rename(place / "log.parquet")
    return place


@pytest.fixture(scope="module")
def laptop(folder: Path) -> str:
    """What the first section prints."""
    return "".join(typed(folder, block) for block in blocks("A laptop", "sh"))


def test_a_laptop(laptop: str) -> None:
    assert "release 1 serves" in laptop


def test_a_hosted_model_is_estimated_without_being_asked(laptop: str, folder: Path) -> None:
    (changes,) = blocks("A hosted model", "toml")
    (folder / "hosted.toml").write_text(with_lines((folder / "shop" / "freshet.toml").read_text(), changes))
    before = shutil.copytree(folder / "shop", folder / "before")
    try:
        printed = "".join(typed(folder, block) for block in blocks("A hosted model", "sh"))
    finally:
        shutil.rmtree(folder / "shop")
        before.rename(folder / "shop")
    assert "prompts" in printed or "requests" in printed, printed


def put(server: S3Server, *files: Path) -> None:
    """Files of the log beside the workspace."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        "recommend",
        endpoint=server.endpoint,
        access_key_id=server.KEY,
        secret_access_key=server.SECRET,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    for file in files:
        obstore.put(store, file.name, file.read_bytes())


@pytest.fixture
def servers(tmp_path: Path, folder: Path, cluster: Any) -> Iterator[dict[str, str]]:
    """A bucket, Kafka, Redis, Ray and a receiver of events; by address in the page, their own."""
    needed = {
        "weed": WEED,
        "redis-server": shutil.which("redis-server"),
        "a server of Kafka's protocol": INSTALLED,
    }
    for name, there in needed.items():
        if not there:
            pytest.skip(f"{name} is not installed")
    if importlib.util.find_spec("openlineage") is None:
        pytest.skip("openlineage-python is not installed")
    with s3_server(tmp_path / "s3") as bucket, KafkaServer() as kafka, Server(tmp_path / "redis") as redis:
        bucket.make_bucket("recommend")
        put(bucket, folder / "log.parquet", folder / "items.parquet")
        kafka.make_topic("events")
        with receiving() as lineage:
            yield {
                "kafka:9092": kafka.servers,
                "redis://redis:6379/0": redis.url,
                "http://marquez:5000": lineage.url,
                "RAY_ADDRESS": cluster.address,
                "lineage": lineage,  # type: ignore[dict-item]
                "kafka": kafka,  # type: ignore[dict-item]
                **bucket.env,
            }


def message(number: int) -> bytes:
    """An event of the day after the log, in the columns of the log."""
    day = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(minutes=number)
    event = {"user_id": f"new{number % 8}", "item_id": f"item{number % 20:05}", "value": 9}
    return json.dumps({**event, "timestamp": day.isoformat()}).encode()


def test_a_cluster(laptop: str, folder: Path, servers: dict[str, Any]) -> None:
    copy, rest = blocks("A cluster with a bucket, Kafka and Redis", "sh")
    (changes,) = blocks("A cluster with a bucket, Kafka and Redis", "toml")
    here = {name: value for name, value in servers.items() if name.isupper()}
    typed(folder, copy, **here)
    changes = re.sub(r"^mlflow = .*\n", "", changes, flags=re.MULTILINE)  # its server has a test of its own
    for address in ("kafka:9092", "redis://redis:6379/0", "http://marquez:5000"):
        assert address in changes
        changes = changes.replace(address, servers[address])
    settings = (folder / "cluster.toml").read_text()
    (folder / "cluster.toml").write_text(with_lines(settings, changes))
    servers["kafka"].send("events", [message(number) for number in range(MESSAGES)], partition=0)
    printed = typed(folder, rest, **here)
    assert f"{MESSAGES} messages" in printed
    assert "were there" in printed, "what was told is known in the bucket"
    shutil.rmtree(folder / "cache")  # another machine: all it knows is the URL
    history = typed(folder, "freshet history -w s3://recommend/shop --json", **here)
    runs = json.loads(history)["runs"]
    assert runs[-1]["command"] == "run"
    assert runs[-1]["outcome"] == "done"
    assert runs[-1]["release"] is not None
    assert "stream" in {run["command"] for run in runs}
    told = {body["job"]["name"] for _, body in servers["lineage"].bodies}
    assert {"run", "run.table", "run.transitions"} <= told
    assert {body["job"]["namespace"] for _, body in servers["lineage"].bodies} == {"shop"}
