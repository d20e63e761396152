"""Spans to an OpenTelemetry collector, in the background; one that is away costs nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from freshet.core.errors import MissingExtra
from freshet.core.tracing import Kind, Span, Value

QUEUE, BATCH, DELAY = 4096, 512, 2.0
"""Spans that wait at most (more are dropped), spans of a message, seconds between two."""
LAST = 2.0
"""Seconds that a process waits at its end for what is still to be sent."""


class OtlpTracer:
    """Sends spans to a collector.

    Args:
        endpoint: base address, such as `http://collector:4318`.
        attributes: of this process.
        timeout: seconds that the collector may keep silent.

    Raises:
        MissingExtra: OpenTelemetry's SDK is not installed.
    """

    def __init__(self, endpoint: str, attributes: Mapping[str, str], timeout: float) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"[telemetry] endpoint needs {error.name}", hint="pip install 'freshet[otel]'"
            ) from None
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a collector that is away is no news
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=timeout)
        # what is sampled is decided before a span is made
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(dict(attributes)), shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, QUEUE, DELAY * 1000, BATCH, timeout * 1000)
        )
        self._tracer = self._provider.get_tracer("freshet")
        self._propagator = TraceContextTextMapPropagator()

    def begin(
        self,
        name: str,
        parent: str,
        kind: Kind,
        attributes: Mapping[str, Value],
        at: int | None = None,
    ) -> Span:
        """Begin a span; see `Tracer`."""
        from opentelemetry.trace import SpanKind

        kinds = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "server": SpanKind.SERVER}
        from opentelemetry.context import Context

        context = Context()
        if parent:
            context = self._propagator.extract({"traceparent": parent}, context)
        return _Begun(self._tracer.start_span(name, context, kinds[kind], attributes, start_time=at))

    def flush(self) -> None:
        """Send what waits, for a moment at most."""
        self._provider.force_flush(int(LAST * 1000))


class _Begun:
    """A span of the SDK."""

    def __init__(self, span: Any) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, attributes: Mapping[str, Value], error: str = "", at: int | None = None) -> None:
        """End it; see `Span`."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attributes(attributes)
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end(at)
