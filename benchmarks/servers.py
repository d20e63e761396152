"""The servers that `serving.py` compares, each a process: the service, a constant FastAPI route, an echo."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import explore
from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.core.config import HttpConfig, TelemetryConfig
from freshet.core.types.ids import user_key
from freshet.http.api_keys import Keyring
from freshet.http.listening import bind
from freshet.http.schemas import Answer, ExploreRequest
from freshet.http.server import serve
from freshet.serving import Query, Recommender
from freshet.wiring_telemetry import trace_process

USERS = 2_000
BE = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import servers; servers.main()"


def main() -> None:
    """Be one of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--be", choices=("bare", "constant", "freshet"), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--collector", default="", help="of traces; none by default")
    parser.add_argument("--traced", type=float, default=0.0, help="share of requests")
    options = parser.parse_args()
    if options.be == "freshet":
        trace_process(TelemetryConfig(endpoint=options.collector), options.folder)
        be_freshet(options.port, options.folder, options.traced)
        return
    app = constant(options.folder) if options.be == "constant" else bare()
    uvicorn.run(
        app,
        port=options.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    port: int
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        used = self.process.cpu_times()
        return float(used.user + used.system)


@contextmanager
def server(name: str, folder: Path, *more: str) -> Iterator[Server]:
    """One of the servers as a process; `more`: options of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["--be", name, "--port", str(port), "--folder", str(folder), *more]
    log = folder / f"{name}.log"
    with log.open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-c", BE, *arguments], stderr=stderr)
    try:
        wait_for(port, process, log)
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[Any], log: Path) -> None:
    """Until it answers."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"a server ended before it listened:\n{log.read_text()}")


class Still(explore.Only):
    """Nothing newer is ever published."""

    def reload(self) -> bool:
        return False

    def listed(self) -> list[dict[str, Any]]:
        return []


def be_freshet(port: int, folder: Path, traced: float = 0.0) -> None:
    """The service around a synthetic release."""
    explore.NOW = time.time_ns() // 1000  # histories of now: requests are timed by the clock
    rng = np.random.default_rng(0)
    release = explore.synthetic_release(rng, 100, 50_000)
    release.items.update({f"i{n}": n % 100 for n in range(50_000)})
    state = LmdbUserStore(folder / "state", 4.0)
    state.merge((user_key(f"u{n}"), explore.history(rng, 100, 50_000)) for n in range(USERS))
    recommender = Recommender(Still(release), state)  # type: ignore[arg-type]
    recommender.recommend(Query(user="u0"))
    limits, listener = HttpConfig(drain_seconds=0), bind("127.0.0.1", port)
    serve(recommender, limits, listener, lambda: None, Keyring(folder), traced=traced)


def constant(folder: Path) -> FastAPI:
    """A route with the service's models that always gives the answer in `answer.json`."""
    app = FastAPI()
    answer = Answer.model_validate_json((folder / "answer.json").read_bytes())

    @app.post("/v1/explore")
    async def explore(_: ExploreRequest) -> Answer:
        return answer

    return app


def bare() -> Starlette:
    """An echo."""

    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    return Starlette(routes=[Route("/v1/explore", echo, methods=["POST"])])
