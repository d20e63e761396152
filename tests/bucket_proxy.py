"""A proxy before an S3 server that counts requests, and does something at a certain one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import urllib3

Action = Literal["pass", "drop", "fail"]
"""Pass it on, close the connection without an answer, or answer 503."""


@dataclass
class Proxy:
    """What passes through.

    Attributes:
        before, after: decide on the request with a number, before it is passed on, and before its answer is.
        requests: method and path of all so far.
    """

    before: Callable[[int], Action] = lambda _: "pass"
    after: Callable[[int], Action] = lambda _: "pass"
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """A proxy on a free port of this host, before the server at a URL."""
    found = Proxy()
    pool = urllib3.PoolManager(maxsize=32, retries=False)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                found.requests.append(f"{self.command} {self.path}")
                number = len(found.requests)
            if self._acted(found.before(number)):
                return
            answer = pool.request(
                self.command, f"{upstream}{self.path}", headers=dict(self.headers), body=body,
                preload_content=True, decode_content=False,
            )  # fmt: skip
            if self._acted(found.after(number)):
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in (
                    "transfer-encoding",
                    "connection",
                    "date",
                    "server",
                    "content-length",
                ):
                    self.send_header(name, value)
            length = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(answer.data))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.data)

        def _acted(self, action: Action) -> bool:
            if action == "fail":
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif action == "drop":
                self.close_connection = True
            return action != "pass"

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that was killed has closed its connection."""

    with Server(("127.0.0.1", 0), Handler) as server:
        found.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
