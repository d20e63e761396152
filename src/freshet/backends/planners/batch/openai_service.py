"""OpenAI's files and batches, as OpenAI and servers compatible with it have them."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from pathlib import Path
from typing import Any

from freshet.backends.http_json import JsonClient
from freshet.backends.planners.batch.batch_service import (
    Progress,
    decoded,
    got,
    multipart,
    named,
    pages,
    posted,
)
from freshet.backends.planners.batch.layout import count, dig, text_of

_ENDED = ("completed", "failed", "expired", "cancelled")


class OpenAIService:
    """Batches of `/v1/chat/completions`, within 24 hours.

    Args:
        client: with the address that ends in `/v1`.
    """

    def __init__(self, client: JsonClient) -> None:
        self.client = client

    def find(self, name: str, requests: int, since: datetime, known: Set[str]) -> str:  # noqa: ARG002
        """By the metadata that it was made with."""

        def page(after: str) -> tuple[list[Any], str]:
            found = got(self.client, "/batches?limit=100" + (f"&after={after}" if after else ""))
            entries = found.get("data") or []
            return entries, str(dig(entries, -1, "id") or "") if found.get("has_more") else ""

        entries = pages(page)
        return next((str(one["id"]) for one in entries if dig(one, "metadata", "freshet") == name), "")

    def upload(self, path: Path, name: str) -> str:
        """The file's id."""
        return upload(self.client, path.read_bytes(), f"{name}.jsonl", "batch")

    def create(self, uploaded: str, name: str) -> str:
        """The batch's id."""
        content = {
            "input_file_id": uploaded,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"freshet": name},
        }
        return named(posted(self.client, "/batches", content), "id")

    def look(self, remote: str) -> Progress:
        """By its status; an expired or cancelled batch has results of what was done before."""
        found = got(self.client, f"/batches/{remote}")
        state = text_of(found.get("status"), "unknown")
        problem = text_of(dig(found, "errors", "data", 0, "message"))
        return Progress(
            state,
            state in _ENDED,
            state == "failed",
            "" if state == "completed" else problem or state,
            tuple(str(found[key]) for key in ("output_file_id", "error_file_id") if found.get(key)),
            count(found, "request_counts", "completed"),
            count(found, "request_counts", "failed"),
        )

    def results(self, file: str) -> bytes:
        """Content of an output or error file."""
        return self.client.patiently(lambda: self.client.get(f"/files/{file}/content"))


def upload(client: JsonClient, content: bytes, name: str, purpose: str) -> str:
    """Give the server a file; returns its id."""
    body, headers = multipart({"purpose": purpose}, name, content)
    url = client.base + "/files"
    answer = client.patiently(lambda: decoded(client.exchange("POST", url, body, headers).data))
    return named(answer, "id")
