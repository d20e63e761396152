"""What providers' servers do with files of requests: make batches of them, and give results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from freshet.backends.http_json import Failing, JsonClient, Refusal

PAGES = 20
"""Pages of a provider's list of batches that are looked through, newest first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a provider's batch is.

    Attributes:
        state: in the provider's words.
        ended: no more results will come.
        refused: the provider refused the file as a whole.
        problem: why it ended early, '' where it didn't.
        files: of results, as `Service.results` takes them.
        answered, failed: requests so far, as the provider counts them.
    """

    state: str
    ended: bool = False
    refused: bool = False
    problem: str = ""
    files: tuple[str, ...] = ()
    answered: int = 0
    failed: int = 0


class Service(Protocol):
    """A provider's batch API. All raise `Refusal` where a request is not answered."""

    @property
    def client(self) -> JsonClient:
        """Of the provider's server."""

    def find(self, name: str, requests: int, since: datetime, known: Set[str]) -> str:
        """The batch that an earlier attempt made, '' where there is none.

        Args:
            name: that it was given.
            requests: in it.
            since: moment of the attempt.
            known: batches of other files.

        Raises:
            ConfigError: it could be one of several.
        """

    def upload(self, path: Path, name: str) -> str:
        """Give the provider a file; costs nothing yet. Returns what `create` takes."""

    def create(self, uploaded: str, name: str) -> str:
        """Make a batch, which costs money; sent once. Returns its id."""

    def look(self, remote: str) -> Progress:
        """How far a batch is."""

    def results(self, file: str) -> bytes:
        """Content of a file of results."""


def got(client: JsonClient, path: str) -> dict[str, Any]:
    """The JSON object at a path, asked for again while that may help."""
    return client.patiently(lambda: decoded(client.get(path)))


def posted(client: JsonClient, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that answers a request, which is sent once: it makes something that costs money."""
    return decoded(client.post(path, json.dumps(content).encode()))


def decoded(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Refusal: it is something else.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(Failing.BUSY, "the answer is no JSON") from None
    if not isinstance(content, dict):
        raise Refusal(Failing.REFUSED, "the answer is no JSON object")
    return content


def named(content: Mapping[str, Any], key: str) -> str:
    """The text under a key of an answer.

    Raises:
        Refusal: it is missing.
    """
    found = content.get(key)
    if not (isinstance(found, str) and found):
        raise Refusal(Failing.REFUSED, f"the answer has no {key!r}")
    return found


def pages(page: Callable[[str], tuple[list[Any], str]]) -> Iterator[Mapping[str, Any]]:
    """Entries of a list that comes in pages.

    Args:
        page: gives the entries of a page, and what names the next one, '' at the end.
    """
    after = ""
    for _ in range(PAGES):
        entries, after = page(after)
        yield from (entry for entry in entries if isinstance(entry, Mapping))
        if not after:
            return


def multipart(fields: Mapping[str, str], name: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a form with a file."""
    edge = uuid4().hex
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    parts.append(
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    body = "".join(parts).encode() + content + f"\r\n--{edge}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={edge}"}
