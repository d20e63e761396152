"""Sections on serving: [live], [feedback], [serving], [http]."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field

from freshet.core.config.section import Auto, HalfLife, Section, SomeDays


class LiveConfig(Section):
    """The live overlay: what people take up now, against what was usual when the table was made."""

    use: bool = Field(True, description="whether live signals enter the score, where they pay")
    half_lives: Annotated[tuple[HalfLife, ...], Field(min_length=1)] | Auto = Field(
        "auto",
        description="half-lives of live counts in days, ascending; auto = half a window",
    )
    user_cap: int = Field(
        20, ge=1, le=65_535, description="moves of one user that count on one day; more change nothing"
    )
    most_lift: float = Field(
        10.0,
        gt=1,
        allow_inf_nan=False,
        description="the odds of an interest are multiplied or divided by this at most: the bound of a burst",
    )
    burst_hours: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="half-life of the counts in which bursts are looked for"
    )


class FeedbackConfig(Section):
    """What people did with what they were shown, as lifts that choose the best of the first proposals."""

    use: bool = Field(
        False,
        description="whether releases use it, where it pays; arms `hybrid-feedback` do in any case",
    )
    proposals: int = Field(5, ge=2, le=64, description="so many of the best proposals are re-ordered")
    days: SomeDays = Field(28, description="how far back outcomes are looked at")
    hours: float = Field(
        6.0,
        gt=0,
        le=720,
        description="an outcome that comes later after the showing doesn't count",
    )


class ServingRule(Section):
    """What may not be shown to requests that say something of themselves, such as a region."""

    attribute: str = Field(min_length=1, description="name of the request's attribute")
    values: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="the rule holds for requests with one of these"
    )
    blocked: tuple[str, ...] = Field((), description="interests (id or description) not shown then")
    allowed: tuple[str, ...] = Field((), description="if not empty, no other interests are shown then")
    blocked_items: tuple[str, ...] = Field((), description="items not shown then")


class ServingConfig(Section):
    """How releases are served; read again when the file changes."""

    state: str = Field(
        "lmdb",
        description="where users' histories live: lmdb = in the workspace's folder `state`; "
        "or the URL of a Redis server, which several replicas share",
    )
    state_gb: float = Field(8.0, gt=0, description="the most that state may grow to (lmdb)")
    explore: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of requests whose interests are drawn instead of the best taken",
    )
    temperature: float = Field(
        0.5, gt=0, description="of the draw: 1 = by the fused probabilities, lower = nearer to the best"
    )
    diversity: float = Field(
        0.3,
        ge=0,
        description="nats that an interest loses if it is the same as one above it, by likeness in between",
    )
    seed: int = Field(0, description="seed of the draws")
    blocked_items: tuple[str, ...] = Field((), description="items never shown")
    rules: tuple[ServingRule, ...] = Field(
        (), description="`[[serving.rules]]`: what is not shown to some requests, by an attribute of theirs"
    )


def _host(text: str) -> str:
    with suppress(ValueError):
        ip_address(text.strip("[]"))
        return text
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", text):
        raise ValueError(f"{text!r} is no name or address of a host; ports don't belong there")
    return text


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9_.\[\]:-]+", text):
        raise ValueError(f"{text!r} is no origin such as 'https://shop.example' (no slash at the end)")
    return text


Host = Annotated[str, AfterValidator(_host)]
"""A name or an address, without a port."""
Origin = Annotated[str, AfterValidator(_origin)]
"""Where web pages come from: a scheme, a host and maybe a port, without a path; `*` = from anywhere."""


class HttpConfig(Section):
    """Limits of `freshet serve`; read when it starts."""

    body_bytes: int = Field(1_048_576, ge=1024, description="largest body of a request")
    batch: int = Field(100, ge=1, le=1000, description="most questions of one `/v1/explore:batch`")
    events: int = Field(1000, ge=1, le=10_000, description="most events of one `/v1/events`")
    waiting: int = Field(
        20_000, ge=1, description="events that may wait to be written; what comes beyond gets a 503"
    )
    seconds: float = Field(
        5.0,
        gt=0,
        le=300,
        description="within which a body must arrive, a batch be answered, and events be written",
    )
    connections: int = Field(1000, ge=1, description="requests under way at once; further ones get a 503")
    open_connections: int = Field(
        2000,
        ge=1,
        description="connections at once, idle ones included; the one that was idle longest makes way. "
        "Fewer where the system gives the process fewer file descriptors",
    )
    idle_seconds: float = Field(
        75.0,
        gt=0,
        le=3600,
        description="how long a connection without a request stays: longer than balancers keep theirs",
    )
    header_bytes: int = Field(32_768, ge=1024, le=1_048_576, description="largest head of a request")
    headers: int = Field(100, ge=10, le=1000, description="most headers of a request")
    hosts: list[Host] = Field(
        [],
        description="names of a server without API keys (`Host`), beside those of loopback and `--host`",
    )
    origins: list[Origin] = Field(
        [],
        description="of web pages of other sites that may ask (CORS), such as `https://shop.example`; "
        "`*` = all pages",
    )
    oldest_event_days: float = Field(
        30.0,
        gt=0,
        le=40_000,
        description="how far back events may lie; what is older is for `freshet import`",
    )
    drain_seconds: float = Field(
        3.0,
        ge=0,
        le=300,
        description="how long a server that was told to stop still answers, with `/readyz` saying 503",
    )
    log_requests: bool = Field(True, description="a line of log for every request, else for failures only")
