"""Bodies of requests: read within limits of size and time, unpacked, nothing in them guessed."""

from __future__ import annotations

import asyncio
import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import orjson
from pydantic import TypeAdapter
from starlette.types import Message, Receive

from freshet.core.config import HttpConfig
from freshet.http.problems import Refusal

CODINGS = {b"": False, b"identity": False, b"gzip": True, b"x-gzip": True}
"""Whether what is sent with a `Content-Encoding` is packed by gzip."""
_GZIP = 16 + zlib.MAX_WBITS


async def read(headers: Sequence[tuple[bytes, bytes]], receive: Receive, limits: HttpConfig) -> bytes:
    """The body of a request, unpacked.

    Raises:
        Refusal: it is too large (packed or unpacked), too slow, or packed otherwise than by gzip.
    """
    coding = b",".join(value for name, value in headers if name == b"content-encoding").strip().lower()
    if coding not in CODINGS:
        raise Refusal(
            415,
            "unknown_encoding",
            "bodies are read as they are, or packed by gzip",
            "send `Content-Encoding: gzip`, or none",
            {"Accept-Encoding": "gzip"},
        )
    if int(dict(headers).get(b"content-length", b"0")) > limits.body_bytes:  # a number: the parser made sure
        raise _too_large(limits)
    raw = await _received(receive, limits)
    return unpacked(raw, limits) if CODINGS[coding] else raw


def unpacked(raw: bytes, limits: HttpConfig) -> bytes:
    """What gzip packed, in one member or several; never more than `body_bytes` are unpacked.

    Raises:
        Refusal: it is more than that, or no gzip, or cut off.
    """
    body = bytearray()
    while raw:
        member = zlib.decompressobj(_GZIP)
        try:
            body += member.decompress(raw, limits.body_bytes + 1 - len(body))
        except zlib.error:
            raise _no_gzip() from None
        if len(body) > limits.body_bytes:
            raise _too_large(limits)
        if not member.eof:
            raise _no_gzip()
        raw = member.unused_data
    return bytes(body)


def parsed(body: TypeAdapter[Any], raw: bytes) -> Any:
    """A body as what it should be.

    Raises:
        ValidationError: it isn't.
        Refusal: an object names a field twice: which of the two is meant can't be known.
    """
    raw = raw.removeprefix(BOM_UTF8)  # some clients put it before everything that they write
    found = body.validate_json(raw)
    if not _surely_once(raw):
        _NAMES.decode(raw.decode())  # pydantic would take the last one
    return found


def _surely_once(raw: bytes) -> bool:
    """Whether a JSON text has no more colons than names are left when it is read: each name has one."""
    try:
        return raw.count(b":") == _names(orjson.loads(raw))
    except orjson.JSONDecodeError:  # pydantic takes a little more, such as NaN
        return False


def _names(value: Any) -> int:
    """How many names the objects of a JSON value have."""
    if isinstance(value, dict):
        return len(value) + sum([_names(one) for one in value.values() if isinstance(one, dict | list)])
    if isinstance(value, list):
        return sum([_names(one) for one in value])
    return 0


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal(
            400, "named_twice", f"an object names {twice[:64]!r} twice", "send every field of an object once"
        )


_NAMES = json.JSONDecoder(object_pairs_hook=_once, parse_int=len, parse_float=len)


async def _received(receive: Receive, limits: HttpConfig) -> bytes:
    end = perf_counter() + limits.seconds
    message = await _next(receive, limits.seconds, limits)
    body: bytes | bytearray = message.get("body", b"")
    while len(body) <= limits.body_bytes and message.get("more_body", False):
        message = await _next(receive, end - perf_counter(), limits)
        body = bytearray(body) if isinstance(body, bytes) else body
        body += message.get("body", b"")
    if len(body) > limits.body_bytes:
        raise _too_large(limits)
    return bytes(body)


async def _next(receive: Receive, seconds: float, limits: HttpConfig) -> Message:
    """The next part of the body."""
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
    except TimeoutError:
        raise Refusal(
            408, "too_slow", f"the body did not arrive within {limits.seconds:g} s", "send it faster"
        ) from None
    if message["type"] == "http.disconnect":
        raise Refusal(400, "gone", "the client hung up")
    return message


async def drained(receive: Receive, seconds: float) -> None:
    """Throw away what still comes of a body, for a while.

    Who hangs up on a client that is still sending takes back the answer that says why.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            more = True
            while more:
                more = (await receive()).get("more_body", False)


def _too_large(limits: HttpConfig) -> Refusal:
    return Refusal(413, "too_large", f"a body has at most {limits.body_bytes:,} bytes", "send it in parts")


def _no_gzip() -> Refusal:
    return Refusal(400, "not_gzip", "the body is no whole gzip stream", "send what `Content-Encoding` says")
