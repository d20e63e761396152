"""Section on traces of runs and requests: [telemetry]."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from freshet.core.config.endpoint_url import check_server
from freshet.core.config.section import Section


def _server(url: str) -> str:
    """Raises ValueError where it is no address of a server."""
    if url:
        instead = "headers go into the variable OTEL_EXPORTER_OTLP_HEADERS"
        check_server(url, "the url", "expected one such as http://collector:4318", instead)
    return url


class TelemetryConfig(Section):
    """Traces to an OpenTelemetry collector."""

    endpoint: Annotated[str, AfterValidator(_server)] = Field(
        "",
        description="OTLP/HTTP collector, such as `http://collector:4318`; empty = nothing is traced",
    )
    requests: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of requests that are traced; of those that bring a W3C `traceparent`, it decides",
    )
    timeout_seconds: float = Field(
        5.0, gt=0, le=60, description="how long the collector may keep silent before traces are dropped"
    )
