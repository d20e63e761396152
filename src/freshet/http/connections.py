"""Connections, before a request is whole: how many, how long, how large. Uvicorn bounds none of that."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from freshet.core.config import HttpConfig
from freshet.http.connection_pool import ConnectionPool
from freshet.http.problems import Refusal, in_full

PIPELINED = 100
"""Requests that may wait on one connection for the answers to those before them."""
URL_BYTES = 8192
"""Of a request's target, at most."""
DIGITS = 18
"""Of a body's length, at most."""
LINGER = 2.0
"""Seconds in which the rest of what was refused is read and thrown away: who hung up at once would take the
answer back from a client that is still sending."""

OnRefusal = Callable[[Refusal, str], None]
"""Called with what was refused, and under which request id."""


class Guarded(HttpToolsProtocol):
    """Uvicorn's protocol, within limits: of headers, of connections, of patience.

    A connection without a request may stay for `idle_seconds`. One that sends no whole request in `seconds`
    of its first byte is closed, and so is one that doesn't read its answer. While the app works at a request,
    it is the app that waits for the body.
    """

    limits: HttpConfig
    pool: ConnectionPool
    on_refusal: OnRefusal

    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _refusal: Refusal | None = None
    _begun = _headed = _deaf = False
    _size = _count = _bare = _left = 0
    _cycles: tuple[RequestResponseCycle, ...] = ()
    """Requests that are not answered yet, the oldest first."""

    # a connection's life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.pool.enter(self):
            self._rest()
        else:
            busy = f"{self.pool.most:,} connections are open, and none of them is idle"
            self._turn_away(Refusal(503, "busy", busy, "try again later", {"Retry-After": "1"}))

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()
        super().connection_lost(exc)
        self._wait(None)
        self.resume_writing()
        self.pool.leave(self)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays: a client may be done with sending before it is answered."""
        waits = self.cycle is not None and not self.cycle.response_complete and not self._begun
        if waits:
            self.cycle.keep_alive = False
        else:  # uvloop closes now, and tells so later
            self._gone()
        return waits

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.idle_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._left:
            self._body(data)
            return
        self._bare += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._stay(data[stopped.args[0] :])
            return
        except httptools.HttpParserError:
            if not self._deaf:
                self._refuse(self._refusal or _bad("this is no HTTP request"))
            return
        if self._begun and self._bare > self.limits.header_bytes:
            self._refuse(self._too_long())

    # a message's parts

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED:  # those that wait are answered, then the client may come again
            self._deaf = True
            self.cycle.keep_alive = False
            raise ValueError
        super().on_message_begin()
        self._begun, self._headed = True, False
        self._size = self._count = self._bare = 0
        self.pool.works(self)
        self._wait(self.limits.seconds)

    def on_url(self, url: bytes) -> None:
        self._size += len(url)
        if self._size > URL_BYTES:
            self._stop(self._too_long())
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after a body in chunks."""
        self._size += len(name) + len(value) + 4
        self._count += 1
        if self._size > self.limits.header_bytes or self._count > self.limits.headers:
            self._stop(self._too_long(header=True))
        if not self._headed:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._bare = 0
        self._check_host()
        self._check_framing()
        super().on_headers_complete()
        self._headed = True
        self._cycles = (*(cycle for cycle in self._cycles if not cycle.response_complete), self.cycle)

    def on_body(self, body: bytes) -> None:
        self._bare = 0
        super().on_body(body)

    def on_chunk_header(self) -> None:
        self._bare = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._begun, self._bare = False, 0
        self._wait(None)
        if self.cycle.response_complete:  # before its body had come
            self._rest()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # `_rest` does it, and stray bytes do not put it off
        if self.transport.is_closing():
            self.loop.call_later(self.limits.seconds, self.transport.abort)  # whoever reads it has done so
        elif not self._begun and self.cycle.response_complete:
            self._rest()

    def _stay(self, rest: bytes) -> None:
        """Answer in HTTP/1.1 who offers to speak WebSocket or HTTP/2, as some clients do with every request.

        The parser ends with the head then, and the body, if any, is still to come.
        """
        self.cycle.keep_alive = False
        self._left = int(next(iter(self._sent(b"content-length")), b"0"))
        if self._left:
            self.cycle.more_body = True
            self._body(rest)
        else:
            self._deaf = True

    def _body(self, data: bytes) -> None:
        part = data[: self._left]
        self._left -= len(part)
        super().on_body(part)
        if not self._left:
            super().on_message_complete()
            self._deaf = True

    # what is behind them

    def _check_host(self) -> None:
        """One Host for every request; that of a target in absolute form counts for more (RFC 9112, 3.2.2)."""
        hosts = self._sent(b"host")
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._stop(_bad(f"a request has one Host, this one {len(hosts)}"))
        if self.url[:1] == b"/":
            return
        target = httptools.parse_url(self.url)
        if target.host is None or target.userinfo is not None:
            self._stop(_bad("the target of a request is a path"))
        host = b"[%b]" % target.host if b":" in target.host else target.host
        port = b":%d" % target.port if target.port is not None else b""
        self.headers[:] = [(name, value) for name, value in self.headers if name != b"host"]
        self.headers.append((b"host", host + port))
        self.url = (target.path or b"/") + (b"?" + target.query if target.query else b"")

    def _check_framing(self) -> None:
        """How long a body is must be said in a way that no proxy reads otherwise."""
        codings = self._sent(b"transfer-encoding")
        if codings and [coding.lower() for coding in codings] != [b"chunked"]:
            message = "a body comes as it is, or `chunked`"
            self._stop(Refusal(501, "unknown_coding", message, "send no other Transfer-Encoding"))
        if any(len(length) > DIGITS for length in self._sent(b"content-length")):
            self._stop(_bad(f"a Content-Length has at most {DIGITS} digits"))

    def _sent(self, header: bytes) -> list[bytes]:
        return [value.strip() for name, value in self.headers if name == header]

    def _too_long(self, *, header: bool = False) -> Refusal:
        if self._headed or header or self._count:
            most = f"{self.limits.header_bytes:,} bytes and {self.limits.headers} headers"
            return Refusal(431, "headers_too_large", f"the head of a request has at most {most}", "send less")
        return Refusal(414, "url_too_long", f"a URL has at most {URL_BYTES:,} bytes", "send less")

    def _stop(self, refusal: Refusal) -> NoReturn:
        """Say why, and stop the parser, which makes an error of its own of whatever is raised."""
        self._refusal = refusal
        raise ValueError

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what can't be read on, unless another answer is under way, and hang up."""
        self._deaf = True
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way and not self._headed:  # those before it: they are answered first, and nothing after them
            self.cycle.keep_alive = False
            return
        if under_way:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if under_way and (self.pipeline or self.cycle.response_started):
            self.close()
            return
        self._turn_away(refusal)

    def _turn_away(self, refusal: Refusal) -> None:
        """Say why, and read nothing more."""
        self._deaf = True
        request_id = os.urandom(6).hex()
        self.on_refusal(refusal, request_id)
        self.transport.write(in_full(refusal, request_id))
        if self.pool.lingers(self):
            self.transport.write_eof()
            self._wait(LINGER)
        else:
            self.close()

    def _rest(self) -> None:
        """Nothing is under way: the connection may be closed to make room, or when it has rested enough."""
        self.pool.rests(self)
        self._wait(self.limits.idle_seconds)

    def _wait(self, seconds: float | None) -> None:
        """Look again after some time, instead of when that was to be; None = not at all."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._over)

    def _over(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.disconnected:
            self._wait(self.limits.seconds)
        else:
            self.close()

    def close(self) -> None:
        """Hang up, and don't wait long for what nobody reads."""
        self._deaf = True
        self._gone()
        self.transport.close()
        self.loop.call_later(self.limits.seconds, self.transport.abort)

    def _gone(self) -> None:
        """Nobody is there for the answers to come: uvicorn tells only the newest of several requests."""
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._cycles = ()


def _bad(message: str) -> Refusal:
    return Refusal(400, "bad_request", message, "send HTTP/1.1")


def guarded(limits: HttpConfig, pool: ConnectionPool, on_refusal: OnRefusal) -> type[HttpToolsProtocol]:
    """The protocol with its limits: uvicorn makes one of these for every connection."""
    own: dict[str, Any] = {"limits": limits, "pool": pool, "on_refusal": staticmethod(on_refusal)}
    return type("Limited", (Guarded,), own)
