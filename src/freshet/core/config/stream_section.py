"""Section on events that come as they happen: [stream]."""

from __future__ import annotations

from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from freshet.core.config.section import Positive, Section

RESERVED = {
    "bootstrap.servers", "metadata.broker.list", "group.id", "enable.auto.commit", "enable.auto.offset.store",
    "auto.offset.reset", "partition.assignment.strategy", "group.protocol", "enable.partition.eof",
}  # fmt: skip
"""What Freshet sets itself, since offsets are kept with the data."""
SECRET = ("password", "secret", "key.pem", "sasl.oauthbearer.config", "ssl_password")


class StreamConfig(Section):
    """Events from Kafka or Redis Streams; their columns, times and rules are those of `[events]`."""

    kind: Literal["", "kafka", "redis"] = Field("", description="kafka, redis (Redis Streams), '' = none")
    servers: str = Field(
        "", description="kafka: `host:port`, several with commas; redis: a URL without a password"
    )
    topic: str = Field("", description="the topic, or the key of the Redis stream")
    group: str = Field(
        "freshet", min_length=1, description="consumer group: its members share the partitions (kafka)"
    )
    field: str = Field(
        "", description="redis: the field of an entry that holds JSON; '' = the fields are the columns"
    )
    batch_rows: Positive = Field(
        50_000, le=1_000_000, description="messages that enter the log together at most"
    )
    batch_seconds: float = Field(
        10.0, gt=0, le=3600, description="how long the first message of a batch waits for others"
    )
    message_bytes: Positive = Field(
        1_000_000, le=1_900_000, description="a message with a larger body is refused"
    )
    gaps: Literal["stop", "continue"] = Field(
        "stop",
        description="what to do where the server has deleted messages that were not read: stop, or say so, "
        "count them and continue",
    )
    keep_hours: float = Field(
        6.0, ge=0, description="how long earlier states of the log stay that batches have replaced"
    )
    live: bool = Field(
        False, description="whether `freshet serve` reads the stream too, for live signals and histories"
    )
    options: dict[str, str | int | float | bool] = Field(
        {}, description='of the client, such as `"security.protocol" = "SASL_SSL"`; no secrets'
    )
    options_env: dict[str, str] = Field(
        {},
        description="options whose values are secret: option -> name of the environment variable that has it",
    )

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        options = given.get("options", {})
        for name in options if isinstance(options, dict) else ():
            if any(word in str(name).lower() for word in SECRET):
                raise ValueError(
                    f"options {name!r} is a secret: name an environment variable in options_env instead"
                )
        return given

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind and not (self.servers and self.topic):
            raise ValueError(f'kind = "{self.kind}" needs servers and topic')
        if mine := sorted(RESERVED.intersection({*self.options, *self.options_env})):
            raise ValueError(f"options {mine[0]!r} is set by Freshet, which keeps offsets with the data")
        if self.kind == "redis":
            if not self.servers.startswith(("redis://", "rediss://", "unix://")):
                raise ValueError("servers is no URL of Redis, such as redis://localhost:6379/0")
            if "@" in self.servers and urlsplit(self.servers).password:
                raise ValueError('servers holds a password: use options_env = { "password" = "NAME" }')
        return self
