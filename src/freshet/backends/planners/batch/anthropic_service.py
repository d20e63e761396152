"""Anthropic's Message Batches."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from freshet.backends.http_json import JsonClient
from freshet.backends.planners.batch.batch_service import Progress, decoded, got, named, pages
from freshet.backends.planners.batch.layout import count, dig, text_of
from freshet.core.errors import ConfigError

CLOCKS = timedelta(minutes=10)
"""By which the provider's clock may be behind ours."""

_KINDS = ("succeeded", "errored", "canceled", "expired", "processing")


def signed(key: str) -> Mapping[str, str]:
    """The headers that Anthropic wants."""
    return {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}


class AnthropicService:
    """Batches of `/v1/messages`, within 24 hours.

    Args:
        client: with the address that ends in `/v1`, and `signed`.
    """

    def __init__(self, client: JsonClient) -> None:
        self.client = client

    def find(self, name: str, requests: int, since: datetime, known: Set[str]) -> str:  # noqa: ARG002
        """The only one made since the attempt with as many requests: batches have no names."""
        earliest = (since - CLOCKS).isoformat()[:19]

        def page(after: str) -> tuple[list[Any], str]:
            more = f"&after_id={after}" if after else ""
            found = got(self.client, f"/messages/batches?limit=100{more}")
            return found.get("data") or [], str(found.get("last_id") or "") if found.get("has_more") else ""

        fitting = [
            str(one["id"])
            for one in pages(page)
            if sum(count(one, "request_counts", kind) for kind in _KINDS) == requests
            and str(one.get("created_at") or "")[:19] >= earliest
            and str(one["id"]) not in known
        ]
        if len(fitting) > 1:
            raise ConfigError(
                f"a batch of {requests:,} requests may have been made at {since.isoformat()[:19]}, and "
                f"{len(fitting)} batches of the account could be it: {', '.join(fitting[:5])}",
                hint="download the results of the right one and take them in with `freshet batch read`, or "
                "cancel them at the provider and give the file up with `freshet batch close`",
            )
        return fitting[0] if fitting else ""

    def upload(self, path: Path, name: str) -> str:  # noqa: ARG002 - batches have no names
        """Nothing: a batch is made in one request."""
        return str(path)

    def create(self, uploaded: str, name: str) -> str:  # noqa: ARG002 - batches have no names
        """The batch's id; the file's lines are joined into one request."""
        lines = Path(uploaded).read_bytes().splitlines()
        body = b'{"requests": [' + b",".join(lines) + b"]}"
        return named(decoded(self.client.post("/messages/batches", body)), "id")

    def look(self, remote: str) -> Progress:
        """By its processing status."""
        found = got(self.client, f"/messages/batches/{remote}")
        state = text_of(found.get("processing_status"), "unknown")
        ended = state == "ended"
        return Progress(
            state,
            ended,
            files=(remote,) if ended and dig(found, "results_url") else (),
            problem="no results any more" if ended and not dig(found, "results_url") else "",
            answered=count(found, "request_counts", "succeeded"),
            failed=sum(count(found, "request_counts", kind) for kind in ("errored", "canceled", "expired")),
        )

    def results(self, file: str) -> bytes:
        """The results of a batch; `results_url` names the same, but might name another server."""
        return self.client.patiently(lambda: self.client.get(f"/messages/batches/{file}/results"))
