"""OpenAI's fine-tuning jobs, as servers compatible with it have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freshet.backends.http_json import Failing, JsonClient, Refusal
from freshet.backends.planners.batch.batch_service import got, named, pages, posted
from freshet.backends.planners.batch.layout import count, dig, text_of
from freshet.backends.planners.batch.openai_service import upload

PATH = "/fine_tuning/jobs"

_LACKING = (404, 405, 501)
_FAILED = ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Job:
    """How far a job is.

    Attributes:
        state: in the server's words.
        model: the fine-tuned one, '' before it is there.
        problem: why there will be none, '' otherwise.
        trained: tokens that are paid for, 0 where the server doesn't say.
    """

    state: str
    model: str
    problem: str
    trained: int


class JobService:
    """Fine-tuning jobs; all raise `Refusal` where a request is not answered.

    Args:
        client: with the address that ends in `/v1`.
    """

    def __init__(self, client: JsonClient) -> None:
        self.client = client

    def exists(self) -> bool:
        """Whether the server has fine-tuning jobs at all."""
        try:
            got(self.client, f"{PATH}?limit=1")
        except Refusal as refusal:
            if refusal.why == Failing.REFUSED and refusal.status in _LACKING:
                return False
            raise
        return True

    def find(self, name: str) -> str:
        """The job that was made under a name, '' where there is none."""

        def page(after: str) -> tuple[list[Any], str]:
            found = got(self.client, f"{PATH}?limit=100" + (f"&after={after}" if after else ""))
            entries = found.get("data") or []
            return entries, str(dig(entries, -1, "id") or "") if found.get("has_more") else ""

        entries = pages(page)
        return next((str(one["id"]) for one in entries if dig(one, "metadata", "freshet") == name), "")

    def upload(self, content: bytes, name: str) -> str:
        """Give the server the examples; returns the file's id."""
        return upload(self.client, content, f"{name}.jsonl", "fine-tune")

    def create(self, file: str, model: str, name: str, chosen: Mapping[str, Any], seed: int) -> str:
        """Begin a job, which costs money; sent once. Returns its id.

        Args:
            chosen: hyperparameters; the server chooses the others.
        """
        content: dict[str, Any] = {
            "training_file": file,
            "model": model,
            "suffix": "freshet",
            "seed": seed,
            "metadata": {"freshet": name},
        }
        if chosen:
            content["method"] = {"type": "supervised", "supervised": {"hyperparameters": dict(chosen)}}
        return named(posted(self.client, PATH, content), "id")

    def look(self, job: str) -> Job:
        """How far a job is."""
        found = got(self.client, f"{PATH}/{job}")
        state = text_of(found.get("status"), "unknown")
        problem = text_of(dig(found, "error", "message"), state) if state in _FAILED else ""
        model = text_of(found.get("fine_tuned_model")) if state == "succeeded" else ""
        return Job(state, model, problem, count(found, "trained_tokens"))
