"""Structured logs: one JSON object per line, gathered and written a few times a second."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from freshet.core.escaping import json_escaped, json_text

MOST, DEFERRED = 2000, 50_000
"""Lines kept back at most, and while another thread writes them."""


class JsonLog(logging.Handler):
    """Writes lines of JSON; a handler of `logging` too, so that libraries log the same way.

    Lines wait for `write`, since a system call per request would cost more than most requests. A stream that
    can't be written to (a full disk, a closed pipe) loses lines, never requests; `lost` counts them.

    Args:
        fields: that every line has.
        in_turn: a block in which no other process writes to the stream, so that lines stay whole.

    Attributes:
        deferred: whether another thread calls `write` again and again. Adding a line then never waits for the
            stream: a disk that is busy with somebody's fsync, or a pipe that nobody reads, would hold up all
            requests for as long.
    """

    def __init__(
        self,
        stream: TextIO,
        fields: Mapping[str, Any] | None = None,
        in_turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._fields = dict(fields or {})
        self._in_turn = in_turn
        self._lines: list[bytes] = []
        self._adding, self._writing = threading.Lock(), threading.Lock()
        self.deferred = False
        self.lost = 0
        self._reported = 0

    def add(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """A line: when, how grave, what, and its fields."""
        line = _line(level, event, {**self._fields, **fields} if self._fields else fields)
        with self._adding:
            if len(self._lines) >= DEFERRED:
                self.lost += 1
                return
            self._lines.append(line)
            waiting = len(self._lines)
        if not self.deferred and (waiting >= MOST or level != "info"):
            self.write()

    def emit(self, record: logging.LogRecord) -> None:
        """What a library logs, with the traceback where there is one."""
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self.add(record.levelname.lower(), "message", fields)

    def write(self) -> None:
        """Write the lines that wait; lose them where that fails, and say so when it works again."""
        with self._writing:
            with self._adding:
                lines, self._lines = self._lines, []
                lost = self.lost
            if not lines:
                return
            count = len(lines)
            if lost > self._reported:
                lines.insert(0, b"\n" + _line("warning", "lines_lost", {"lines": lost - self._reported}))
            try:
                with self._in_turn():
                    self._stream.write(b"\n".join(lines).decode() + "\n")
                    self._stream.flush()
                self._reported = lost
            except (OSError, ValueError):  # ValueError: it is closed
                with self._adding:
                    self.lost += count


def _line(level: str, event: str, fields: dict[str, Any]) -> bytes:
    line = {"time": datetime.now(UTC), "level": level, "event": event, **fields}
    try:
        text = orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError:  # half a character, which is no UTF-8
        text = json_text({key: str(value) for key, value in line.items()}, None).encode()
    return text if text.isascii() and b"\x7f" not in text else json_escaped(text.decode()).encode()
