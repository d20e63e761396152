"""Spans of what happens: a trace per run, a span per step and per call of a planner's server.

Who traces is set once per process (`trace_with`); without it nothing is made or kept. Contexts are passed on
as W3C `traceparent`, also to servers that are asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

Value = str | int | float | bool
Kind = Literal["internal", "client", "server"]


class Span(Protocol):
    """Something that has begun.

    Attributes:
        traceparent: names it to others, as W3C has it.
    """

    traceparent: str

    def end(self, attributes: Mapping[str, Value], error: str = "", at: int | None = None) -> None:
        """End it.

        Args:
            error: the kind of error that ended it, '' = none did.
            at: when, in nanoseconds since 1970; None = now.
        """


class Tracer(Protocol):
    """Collects spans; it never blocks who makes them, and raises nothing."""

    def begin(
        self,
        name: str,
        parent: str,
        kind: Kind,
        attributes: Mapping[str, Value],
        at: int | None = None,
    ) -> Span:
        """Begin a span.

        Args:
            parent: `traceparent` of the span it belongs to; '' or nonsense = it begins a trace.
            at: when, in nanoseconds since 1970; None = now.
        """


_tracer: Tracer | None = None
_work = ""
"""The run or step under way: a process makes one at a time, with threads that work for it."""
_call: ContextVar[str] = ContextVar("freshet_call", default="")


def trace_with(tracer: Tracer | None) -> None:
    """Who traces this process from now on; None = nobody."""
    global _tracer
    _tracer = tracer


def tracer() -> Tracer | None:
    """Who traces this process; None = nobody."""
    return _tracer


def call_context() -> str:
    """The `traceparent` to send with a request of the call under way in this thread; '' = none."""
    return _call.get()


@contextmanager
def work(name: str, attributes: Mapping[str, Value]) -> Iterator[dict[str, Value]]:
    """A run, or a step of it; what is put into the dictionary is added at its end."""
    global _work
    told: dict[str, Value] = {}
    if _tracer is None:
        yield told
        return
    before, span = _work, _tracer.begin(name, _work, "internal", attributes)
    _work = span.traceparent
    try:
        yield told
    except BaseException as error:
        span.end(told, type(error).__name__)
        raise
    else:
        span.end(told)
    finally:
        _work = before


@contextmanager
def call(name: str, attributes: Mapping[str, Value]) -> Iterator[dict[str, Value]]:
    """A call of a server, in any thread; requests within send its `traceparent`."""
    told: dict[str, Value] = {}
    if _tracer is None:
        yield told
        return
    span = _tracer.begin(name, _work, "client", attributes)
    token = _call.set(span.traceparent)
    try:
        yield told
    except BaseException as error:
        span.end(told, type(error).__name__)
        raise
    else:
        span.end(told)
    finally:
        _call.reset(token)
