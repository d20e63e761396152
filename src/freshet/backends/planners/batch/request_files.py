"""Files of requests: written whole or not at all, and split where one would pass a provider's limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from freshet.backends.planners.batch.layout import Layout, Limits
from freshet.backends.planners.endpoint.chat import ChatRequest
from freshet.core.errors import PlannerError
from freshet.storage.durable import written


@dataclass(frozen=True, slots=True)
class RequestFile:
    """A file of requests: its name in the batch's folder, the ids in it, and its length in bytes."""

    name: str
    ids: tuple[str, ...]
    size: int


def write_requests(
    folder: Path, layout: Layout, requests: Iterable[tuple[str, ChatRequest]]
) -> list[RequestFile]:
    """Write (id, request) as `requests-1.jsonl`, `requests-2.jsonl`, ... into a folder.

    Raises:
        PlannerError: one request alone is longer than a file may be.
    """
    found: list[RequestFile] = []
    lines = ((name, _bytes(layout, name, request)) for name, request in requests)
    for number, part in groupby(split(lines, layout.limits), key=itemgetter(0)):
        path = folder / f"requests-{number}.jsonl"
        ids: list[str] = []
        with written(path) as aside, aside.open("wb") as file:
            for _, name, line in part:
                ids.append(name)
                file.write(line)
            size = file.tell()
        found.append(RequestFile(path.name, tuple(ids), size))
    return found


def split(lines: Iterable[tuple[str, bytes]], limits: Limits) -> Iterator[tuple[int, str, bytes]]:
    """(number of the file, id, line): files are filled one after the other and keep to the limits.

    Raises:
        PlannerError: one line alone is longer than a file may be.
    """
    number, requests, size = 1, 0, 0
    for name, line in lines:
        if len(line) > limits.size:
            raise PlannerError(
                f"request {name} has {len(line):,} bytes, a file of the provider takes {limits.size:,}",
                hint="prompts are too long: see [evidence] top, and how many interests a prompt lists",
            )
        if requests and (requests >= limits.requests or size + len(line) > limits.size):
            number, requests, size = number + 1, 0, 0
        requests, size = requests + 1, size + len(line)
        yield number, name, line


def _bytes(layout: Layout, name: str, request: ChatRequest) -> bytes:
    return json.dumps(layout.line(name, request), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
