"""An HTTP server that keeps what it is sent, keeps silent, or answers with an error."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    """Listens on a free port of this machine; `how` is ok, error or silent."""

    daemon_threads = True

    def __init__(self, how: str) -> None:
        self.how = how
        self.ended = threading.Event()
        self.bodies: list[tuple[str, Any]] = []
        self.keys: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.how == "silent":
            self.server.ended.wait(60)
            return
        if self.server.how == "ok":
            self.server.bodies.append((self.path, json.loads(body)))
            self.server.keys.append(self.headers.get("Authorization", ""))
        said = b"out of order"
        self.send_response(500 if self.server.how == "error" else 201)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PATCH = _answer

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def receiving(how: str = "ok") -> Iterator[Receiver]:
    server = Receiver(how)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
