"""Gemini's files and batches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from freshet.backends.http_json import Failing, JsonClient, Refusal
from freshet.backends.planners.batch.batch_service import Progress, decoded, got, named, pages, posted
from freshet.backends.planners.batch.layout import dig, text_of

_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


def signed(key: str) -> Mapping[str, str]:
    """The header that Gemini wants."""
    return {"x-goog-api-key": key} if key else {}


class GeminiService:
    """Batches of `generateContent`.

    Args:
        client: with the address that ends in the version, such as `/v1beta`, and `signed`.
        model: that batches are made for.
    """

    def __init__(self, client: JsonClient, model: str) -> None:
        self.client = client
        self._model = model.removeprefix("models/")
        self._root, _, self._version = client.base.rpartition("/")

    def find(self, name: str, requests: int, since: datetime, known: Set[str]) -> str:  # noqa: ARG002
        """By its display name."""

        def page(after: str) -> tuple[list[Any], str]:
            found = got(
                self.client, "/batches?pageSize=100" + (f"&pageToken={quote(after)}" if after else "")
            )
            return found.get("operations") or [], str(found.get("nextPageToken") or "")

        entries = pages(page)
        return next((str(one["name"]) for one in entries if dig(one, "metadata", "displayName") == name), "")

    def upload(self, path: Path, name: str) -> str:
        """The file's name: a first request tells where the second one brings its bytes."""
        content = path.read_bytes()
        start = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(content)),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        url = f"{self._root}/upload/{self._version}/files"
        about = json.dumps({"file": {"displayName": name}}).encode()

        def sent() -> str:
            where = self.client.exchange("POST", url, about, start).headers.get("X-Goog-Upload-URL", "")
            if urlsplit(where)[:2] != urlsplit(self._root)[:2]:  # it would get the key
                raise Refusal(Failing.REFUSED, "the answer names no address of this server to upload to")
            headers = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
            done = decoded(self.client.exchange("POST", where, content, headers).data)
            return named(done.get("file") or {}, "name")

        return self.client.patiently(sent)

    def create(self, uploaded: str, name: str) -> str:
        """The batch's name."""
        content = {"batch": {"displayName": name, "inputConfig": {"fileName": uploaded}}}
        path = f"/models/{quote(self._model)}:batchGenerateContent"
        return named(posted(self.client, path, content), "name")

    def look(self, remote: str) -> Progress:
        """By its state, which is called `JOB_STATE_...` by some and `BATCH_STATE_...` by others."""
        found = got(self.client, f"/{remote}")
        state = text_of(dig(found, "metadata", "state") or found.get("state"), "unknown")
        state = state.removeprefix("JOB_STATE_").removeprefix("BATCH_STATE_")
        places = (("response",), ("metadata", "output"), ("output",))
        files = [dig(found, *place, "responsesFile") for place in places]
        problem = text_of(dig(found, "error", "message"))
        ended = state in _ENDED or bool(found.get("done"))
        return Progress(
            state.lower(),
            ended,
            state == "FAILED",
            "" if state == "SUCCEEDED" or not ended else problem or state.lower(),
            tuple(dict.fromkeys(str(file) for file in files if file)),
            _number(found, "successfulRequestCount"),
            _number(found, "failedRequestCount"),
        )

    def results(self, file: str) -> bytes:
        """Content of a file of responses."""
        url = f"{self._root}/download/{self._version}/{file}:download?alt=media"
        return self.client.patiently(lambda: self.client.content(self.client.exchange("GET", url)))


def _number(found: Mapping[str, Any], name: str) -> int:
    """A count, which is written as text."""
    value = str(dig(found, "metadata", "batchStats", name) or "")
    return int(value) if value.isascii() and value.isdigit() else 0
