"""A server of the embeddings protocol for tests, written for them: real HTTP, real vectors of a small checkpoint.

The vectors are computed here with transformers alone, not with the code under test. Faults that real servers
have can be put in front of an answer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODEL = "tiny-bert"


@dataclass
class Fault:
    """What goes wrong once.

    Attributes:
        status, body, headers: a refusal, where there is a status.
        how: what happens to a good answer: `reversed`, `cut`, `closed`, `late`, `one-less`, `twice`, `narrow`,
            `ragged`, `nan`, `zero`, `base64`, `no-json`, `other`.
    """

    status: int = 0
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    how: str = ""


@dataclass
class Server:
    """A running server.

    Attributes:
        endpoint: base URL.
        key: what it wants as a key; '' = none.
        faults: what goes wrong with the next requests, one each.
        asked: texts of each request that was let in, and `seen` its headers, `at` when it came.
    """

    folder: Path
    key: str = ""
    endpoint: str = ""
    faults: list[Fault] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        self._model = AutoModel.from_pretrained(self.folder).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(self.folder)

    def vectors(self, texts: list[str]) -> list[list[float]]:
        """The mean of the last layer, one text after the other; of any length."""
        import torch

        found = []
        for text in texts:
            read = self._tokenizer(text, truncation=True, max_length=20, return_tensors="pt")
            with torch.no_grad():
                found.append(self._model(**read).last_hidden_state[0].mean(dim=0).tolist())
        return found


@contextmanager
def serving(folder: Path, key: str = "") -> Iterator[Server]:
    """A server of the checkpoint in a folder, at a free port of this machine."""
    server = Server(folder, key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.seen.append(dict(self.headers))
            server.at.append(time.monotonic())
            if self.path != "/v1/embeddings":
                return self.send(404, b"not found")
            if server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
                told = f"Incorrect API key provided: {self.headers.get('Authorization')}"
                return self.send(401, json.dumps({"error": {"message": told}}).encode())
            fault = server.faults.pop(0) if server.faults else Fault()
            if fault.status:
                return self.send(fault.status, fault.body.encode(), fault.headers)
            if body["model"] != MODEL or body.get("encoding_format") != "float":
                return self.send(400, b'{"error": {"message": "unknown model"}}')
            if not all(body["input"]):
                return self.send(400, b'{"error": {"message": "input can not be an empty string"}}')
            server.asked.append(body["input"])
            return self.answer(server.vectors(body["input"]), fault.how)

        def answer(self, vectors: list[list[float]], how: str) -> None:
            data: list[Any] = [
                {"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(vectors)
            ]
            if how == "reversed":
                data.reverse()
            elif how == "one-less":
                data.pop()
            elif how == "twice":
                data[-1]["index"] = 0
            elif how == "narrow":
                data = [{**entry, "embedding": entry["embedding"][:5]} for entry in data]
            elif how == "ragged":
                data[-1]["embedding"] = data[-1]["embedding"][:5]
            elif how in ("nan", "zero"):
                data[-1]["embedding"] = [float("nan") if how == "nan" else 0.0] * len(vectors[0])
            elif how == "base64":
                import base64

                import numpy as np

                for entry in data:
                    floats = np.array(entry["embedding"], "<f4").tobytes()
                    entry["embedding"] = base64.b64encode(floats).decode()
            elif how == "late":
                time.sleep(1.0)
            content: Any = {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 1}}
            body = json.dumps({"error": "x"} if how == "other" else content).encode()
            if how == "no-json":
                body = b"<html>hello</html>"
            if how == "cut":
                body = body[: len(body) // 2]
            self.send(200, body, closed=how == "closed")

        def send(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, closed: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body[: len(body) // 2] if closed else body)
            except BrokenPipeError:  # who asked did not wait
                closed = True
            self.close_connection = self.close_connection or closed

        def log_message(self, *_: object) -> None:
            """Quiet."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.endpoint = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
