"""Requests as bytes to another process of this machine, and its answers back; nobody looks into them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from starlette.types import Message, Receive, Scope, Send

HEAD = 65_536
"""Bytes of the head of an answer at most."""
_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"content-length"}
_OWN = {b"x-freshet-client", b"x-forwarded-prefix", b"content-encoding", b"expect"}
"""Headers that are not passed on: those of one connection, and those that are said anew."""


def head_of(scope: Scope, prefix: str, length: int) -> bytes:
    """The head of a request as another process gets it, by HTTP/1.0: an answer ends with its connection.

    Args:
        prefix: what a proxy has put before all paths.
        length: bytes of the body that follows.
    """
    path = scope["path"].encode("utf-8", "surrogateescape")
    target = quote(path, safe="/:@!$&'()*+,;=").encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    kept = [(name, value) for name, value in scope["headers"] if name not in _HOP | _OWN]
    client = scope.get("client")
    said: Sequence[tuple[bytes, bytes]] = [
        *kept,
        (b"x-freshet-client", (client[0] if client else "").encode()),
        (b"x-forwarded-prefix", prefix.encode()),
        (b"content-length", str(length).encode()),
        (b"connection", b"close"),
    ]
    lines = [scope["method"].encode() + b" " + target + b" HTTP/1.0", *(b"%b: %b" % pair for pair in said)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def relay(socket: str, request: bytes, receive: Receive, send: Send) -> None:
    """Pass a request on to who listens at a Unix socket, and the answer back, until either side is done."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket, limit=HEAD)
    except OSError:
        await _failed(send)
        return
    gone = asyncio.create_task(_until_gone(receive))
    answer = asyncio.create_task(_pass_back(reader, send))
    try:
        writer.write(request)
        await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            answer.result()
    finally:
        for task in (gone, answer):
            task.cancel()
        await asyncio.gather(gone, answer, return_exceptions=True)
        writer.close()


async def _pass_back(reader: asyncio.StreamReader, send: Send) -> None:
    begun = False
    try:
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).rstrip(b"\r\n").split(b"\r\n")
        pairs = [line.partition(b":") for line in lines]
        headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        headers = [pair for pair in headers if pair[0] not in _HOP - {b"content-length"}]
        code = int(status.split(b" ", 2)[1])
        await send({"type": "http.response.start", "status": code, "headers": headers})
        begun = True
        while part := await reader.read(HEAD):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError, IndexError):
        if not begun:
            await _failed(send)


async def _failed(send: Send) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"retry-after", b"1"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 502, "headers": headers})
    await send({"type": "http.response.body", "body": b"the dashboard has stopped; load the page again"})


async def _until_gone(receive: Receive) -> None:
    message: Message = {}
    while message.get("type") != "http.disconnect":
        message = await receive()
