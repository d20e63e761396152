"""Chooses who traces this process, by `[telemetry]`."""

from __future__ import annotations

import atexit
from pathlib import Path

from freshet import __version__
from freshet.backends.telemetry.otlp_tracer import OtlpTracer
from freshet.core import tracing
from freshet.core.config import TelemetryConfig

_settings: TelemetryConfig | None = None


def trace_process(config: TelemetryConfig, root: Path) -> None:
    """Trace this process as the settings say; once, however many workspaces it opens with the same.

    Args:
        root: of the workspace, whose name spans carry.

    Raises:
        MissingExtra: OpenTelemetry's SDK is not installed.
    """
    global _settings
    if config == (_settings or TelemetryConfig()):
        return
    _settings = config
    if not config.endpoint:
        tracing.trace_with(None)
        return
    attributes = {
        "service.name": "freshet",
        "service.version": __version__,
        "freshet.workspace": root.resolve().name,
    }
    tracer = OtlpTracer(config.endpoint, attributes, config.timeout_seconds)
    atexit.register(tracer.flush)
    tracing.trace_with(tracer)
