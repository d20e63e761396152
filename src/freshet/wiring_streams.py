"""Opens the stream that the configuration names, for the log or for a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from freshet.core.config import StreamConfig, load
from freshet.core.errors import ConfigError, MissingExtra
from freshet.core.ports import EventStream, Start
from freshet.experiments.measurement.frozen_rules import kept_columns
from freshet.serving import Recommender
from freshet.serving.live_stream import LiveStream
from freshet.wiring import SETTINGS, WatchedConfig, open_workspace


def open_stream(settings: StreamConfig, start: Start, group: str | None = None) -> EventStream:
    """The stream of `[stream]`, read from where `start` says.

    Args:
        group: whose members share the partitions; None = all of them are read here.

    Raises:
        ConfigError: there is none, an environment variable is not set, or the server has no such stream.
        MissingExtra: the client is not installed.
        StreamUnreachable: the server can't be reached.
    """
    if not settings.kind:
        raise ConfigError(
            "[stream] kind is not set: there is no stream to read",
            hint='set kind = "kafka" or "redis", servers and topic',
        )
    options = {**settings.options, **_secrets(settings)}
    try:
        if settings.kind == "kafka":
            from freshet.backends.streams.kafka_stream import KafkaStream

            return KafkaStream(settings, options, start, group)
        from freshet.backends.streams.redis_stream import RedisStream

        return RedisStream(settings, options, start)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f'[stream] kind = "{settings.kind}" needs the package {error.name!r}',
            hint=f"pip install 'freshet[{settings.kind}]'",
        ) from None


def live_stream(root: Path, recommender: Recommender) -> LiveStream | None:
    """The stream that a server reads for its live signals; None where `[stream] live` is not set."""
    config = load(root / SETTINGS)
    settings = config.stream
    if not (settings.kind and settings.live):
        return None
    events = WatchedConfig(root / SETTINGS)
    return LiveStream(
        root,
        settings,
        lambda: events().events,
        kept_columns(open_workspace(root)),
        recommender.notes,
        lambda start: open_stream(settings, start, f"{settings.group}-live"),
    )


def _secrets(settings: StreamConfig) -> dict[str, Any]:
    found = {}
    for option, variable in settings.options_env.items():
        value = os.environ.get(variable)
        if value is None:
            raise ConfigError(
                f"the environment variable {variable}, for [stream] option {option!r}, is not set",
                hint="set it before the command",
            )
        found[option] = value
    return found
