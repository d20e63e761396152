"""A SIMULATED inference server: the real next tokens of a real model, read by torch here, over real HTTP.

It speaks vLLM's or llama.cpp's part of `/v1/completions` that Freshet uses, and has faults on demand. It
shows what Freshet does with answers and faults; what the real servers do, only they show.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

NextTokens = Callable[[Sequence[int]], np.ndarray]
"""(vocabulary,) log-probabilities of the next token after token ids."""


@dataclass
class SimulatedTokens:
    """A running server.

    Attributes:
        dialect: `vllm` or `llama.cpp`; '' = a server that ignores what it doesn't know.
        refuses: texts that begin with these tokens are refused (400).
        silent: wanted tokens that it says nothing about.
        dies_after: requests after which it closes connections unanswered; -1 = never.
        limit: `max_model_len` that it tells.
        counts: whether answers say how many tokens they took.
        decode: the text of tokens.
        spelling: what `/detokenize` says; None = it has none.
        endpoint: base URL.
        texts: all that were asked about, in order.
        requests: to `/v1/completions`.
    """

    dialect: str = "vllm"
    refuses: tuple[int, ...] = ()
    silent: frozenset[int] = frozenset()
    dies_after: int = -1
    limit: int = 256
    counts: bool = True
    decode: Callable[[list[int]], str] = str
    spelling: str | None = None
    endpoint: str = ""
    texts: list[tuple[int, ...]] = field(default_factory=list)
    requests: int = 0


@contextmanager
def serving(next_tokens: NextTokens, server: SimulatedTokens) -> Iterator[SimulatedTokens]:
    """Run a server at a free port of this machine."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            models = [{"id": "tuned", "max_model_len": server.limit}]
            self.send(200, {"data": models}) if self.path == "/v1/models" else self.send(404, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/detokenize" and server.spelling is not None:
                return self.send(200, {"prompt": server.spelling})
            if self.path != "/v1/completions":
                return self.send(404, {"error": {"message": "no such path"}})
            prompt = body["prompt"]
            texts = [tuple(one) for one in (prompt if isinstance(prompt[0], list) else [prompt])]
            with lock:
                server.requests += 1
                if 0 <= server.dies_after < server.requests:
                    self.close_connection = True
                    return None
                server.texts += texts
            if server.refuses and any(text[: len(server.refuses)] == server.refuses for text in texts):
                return self.send(400, {"error": {"message": "this text is refused"}})
            with lock:  # one model
                choices = [{"index": i, **_choice(next_tokens, text, body)} for i, text in enumerate(texts)]
            usage = {"prompt_tokens": sum(map(len, texts)), "completion_tokens": len(texts)}
            return self.send(200, {"choices": choices[::-1], "usage": usage if server.counts else None})

        def send(self, status: int, content: Any) -> None:
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    def _choice(read: NextTokens, text: Sequence[int], body: dict[str, Any]) -> dict[str, Any]:
        if body["max_tokens"] > 1:
            return _written(read, text, body)
        logp = read(text)
        if server.dialect == "vllm" and "logprob_token_ids" in body:
            told = [token for token in body["logprob_token_ids"] if token not in server.silent]
            return {
                "logprobs": {"top_logprobs": [{f"token_id:{token}": float(logp[token]) for token in told}]}
            }
        if server.dialect == "llama.cpp" and "n_probs" in body:
            if not body["post_sampling_probs"]:
                best = np.argsort(-logp)[: body["n_probs"]].tolist()
                told = [{"id": token, "logprob": float(logp[token])} for token in best]
                return {"logprobs": {"content": [{"top_logprobs": told}]}}
            raised = logp.copy()
            for token, bias in body["logit_bias"]:
                raised[token] += bias
            share = np.exp(raised - np.logaddexp.reduce(raised))
            best = np.argsort(-share)[: body["n_probs"]].tolist()
            told = [
                {"id": token, "prob": float(share[token])} for token in best if token not in server.silent
            ]
            return {"logprobs": {"content": [{"top_probs": told}]}}
        return {"text": "hello", "logprobs": None}

    def _written(read: NextTokens, text: Sequence[int], body: dict[str, Any]) -> dict[str, Any]:
        tokens: list[int] = []
        ends = body.get("stop_token_ids", [0])
        while len(tokens) < body["max_tokens"] and not (tokens and tokens[-1] in ends):
            tokens.append(int(read([*text, *tokens]).argmax()))
        if server.dialect == "vllm":
            return {"logprobs": {"tokens": [f"token_id:{token}" for token in tokens]}}
        return {"text": server.decode([token for token in tokens if token not in ends])}

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server.endpoint = f"http://127.0.0.1:{listening.server_port}/v1"
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
