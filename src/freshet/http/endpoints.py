"""What the service answers: plain FastAPI endpoints, a parsed body in and a response out."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter, time
from typing import Annotated, Any

import orjson
from pydantic import Discriminator, Field, Tag
from starlette.responses import Response

from freshet.core.errors import NotServing
from freshet.core.types import Answer, AsOf, Recommendation
from freshet.http.group_commit import GroupCommit
from freshet.http.problems import Refusal
from freshet.http.schemas import EventRequest, ExploreRequest, SwitchRequest
from freshet.http.service import Service
from freshet.storage.releases import Release

BREATH = 0.002
"""Seconds of a batch that are answered in one go, before others get their turn."""
MOST_ITEMS = 30_000
"""Items that a batch may ask for, all queries together: as many as 1000 queries do by default."""


def _which(body: Any) -> str:
    return "list" if isinstance(body, list) else "event"


Events = Annotated[
    Annotated[EventRequest, Tag("event")]
    | Annotated[list[EventRequest], Field(min_length=1, max_length=10_000), Tag("list")],
    Discriminator(_which),
]
Queries = Annotated[list[ExploreRequest], Field(title="Asks", min_length=1, max_length=1000)]


def reply(content: Any, status: int = 200) -> Response:
    """JSON of plain values, dataclasses and numbers of numpy."""
    return Response(
        orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, None, "application/json"
    )


class Endpoints:
    """Around one recommender."""

    def __init__(self, service: Service, commits: GroupCommit) -> None:
        self._recommender = service.recommender
        self._metrics = service.metrics
        self._limits = service.limits
        self._state = service.state
        self._workers = service.workers
        self._switching = threading.Lock()
        self._commits = commits

    async def explore(self, query: ExploreRequest) -> Response:
        """The next interests of a user, and items of each."""
        answer = self._recommender.recommend(query.query())
        self._metrics.count_answer(answer)
        return reply(answer_document(answer))

    async def explore_batch(self, queries: Queries) -> Response:
        """Several questions at once; one that can't be answered fails them all."""
        self._bounded("questions", len(queries), self._limits.batch)
        self._bounded("items", sum(query.interests * query.items for query in queries), MOST_ITEMS)
        answers = []
        begin = turn = perf_counter()
        for query in queries:
            if (now := perf_counter()) - turn > BREATH:
                if now - begin > self._limits.seconds:
                    raise self._slow()
                await asyncio.sleep(0)
                turn = perf_counter()
            answer = self._recommender.recommend(query.query())
            self._metrics.count_answer(answer)
            answers.append(answer_document(answer))
        return reply({"answers": answers})

    async def events(self, events: Events) -> Response:
        """Record one event or a list; what is recorded outlives a crash, and the next answer knows of it.

        A list of which some can't be recorded says which and why; where nothing can be, that is an error.
        """
        several = events if isinstance(events, list) else [events]
        self._bounded("events", len(several), self._limits.events)
        receipts = await self._commits.record([event.event() for event in several], self._limits.seconds)
        statuses = [receipt.status for receipt in receipts]
        self._metrics.count_events(statuses)
        if statuses.count("refused") == len(statuses):
            whys = "; ".join(dict.fromkeys(receipt.why for receipt in receipts))
            raise Refusal(
                422, "refused", f"nothing was recorded: {whys}", "the others of a list are recorded"
            )
        return reply(
            {
                "recorded": statuses.count("recorded"),
                "duplicates": statuses.count("duplicate"),
                "refused": statuses.count("refused"),
                "receipts": receipts,
            }
        )

    async def releases(self) -> Response:
        """All releases, and which of them are open, serve, are pinned."""
        listed = await asyncio.to_thread(self._recommender.releases)
        return reply({"current": self._recommender.current, "releases": listed})

    async def switch(self, release: SwitchRequest) -> Response:
        """Serve a named release, until null follows CURRENT again."""
        await asyncio.to_thread(self._switch, release.release)
        return await self.releases()

    async def healthz(self) -> Response:
        """Whether the process lives."""
        return reply({"status": "ok"})

    async def readyz(self) -> Response:
        """Whether to send requests here."""
        if self._state.draining:
            return reply({"status": "not ready", "detail": "the server is stopping"}, 503)
        try:
            current = self._recommender.current
        except NotServing as error:
            return reply({"status": "not ready", "detail": error.message}, 503)
        trouble = [self._state.trouble, "" if self._workers is None else self._workers.trouble()]
        return reply({"status": "ready", "release": current, "detail": "; ".join(filter(None, trouble))})

    async def metrics(self) -> Response:
        """Measures in Prometheus' text format."""
        await asyncio.to_thread(self.measure)
        text = await asyncio.to_thread(self._metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    def measure(self) -> None:
        """Set the gauges to what they are now."""
        self._metrics.set_gauges(self._gauges())

    def _switch(self, release: int | None) -> None:
        with self._switching:  # what is told last is what is served
            self._recommender.switch(release)
            if self._workers is not None:  # the others follow within a moment
                self._workers.pin(release)

    def _gauges(self) -> dict[str, float]:
        """Values of the gauges, by name."""
        try:
            serving: Release | None = self._recommender.release
        except NotServing:
            serving = None
        age = 0.0 if serving is None else time() - AsOf.parse(serving.as_of).moment.timestamp()
        return {
            "release": 0 if serving is None else serving.number,
            "table_age_seconds": age,
            "releases_open": self._recommender.releases_open,
            "events_waiting": self._commits.waiting,
            "impressions_waiting": self._recommender.buffered,
            "impressions_lost": self._recommender.dropped,
            "canary_failures": self._recommender.canary_failures,
            "bursts": len(self._recommender.bursts()),
            "draining": self._state.draining,
        }

    def _slow(self) -> Refusal:
        return Refusal(
            503,
            "slow",
            f"the questions were not answered within {self._limits.seconds:g} s",
            "send fewer at once",
            {"Retry-After": "1"},
        )

    def _bounded(self, what: str, count: int, most: int) -> None:
        if count > most:
            raise Refusal(
                413, "too_many", f"{count:,} {what} in one request, at most {most:,}", "send them in parts"
            )


def answer_document(answer: Answer) -> dict[str, Any]:
    """What `schemas.Answer` describes, written out: generic ways of taking dataclasses apart cost more."""
    return {
        "id": answer.id,
        "release": answer.release,
        "context": answer.context,
        "context_ids": answer.context_ids,
        "answered": answer.answered,
        "explored": answer.explored,
        "degraded": answer.degraded,
        "experiment": answer.experiment,
        "arm": answer.arm,
        "interests": [_recommendation(one) for one in answer.interests],
    }


def _recommendation(one: Recommendation) -> dict[str, Any]:
    return {
        "id": one.id,
        "description": one.description,
        "score": one.score,
        "propensity": one.propensity,
        "reason": one.reason,
        "items": [
            {"id": item.id, "title": item.title, "score": item.score, "reason": item.reason}
            for item in one.items
        ],
        "explanation": one.explanation,
    }
