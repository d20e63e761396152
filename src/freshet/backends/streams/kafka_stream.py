"""Events from a Kafka topic. Offsets are kept with the data, and the group's are for whoever watches.

A position is the offset of the next message. On assignment a partition is read from where the caller says,
never from where the group says. Which of several members reads a partition is the group's affair. That
nothing enters the log twice is not: the log compares positions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient

from freshet.core.config import StreamConfig
from freshet.core.errors import ConfigError, StreamUnreachable
from freshet.core.ports import Gap, Lag, Message, Polled, Start

_ANSWER = 10.0
_WAIT = 0.25
"""Seconds of one look where others are to be noticed."""
_GONE = {kafka.KafkaError._AUTO_OFFSET_RESET, kafka.KafkaError.OFFSET_OUT_OF_RANGE}
_NO_TOPIC = {
    kafka.KafkaError._UNKNOWN_TOPIC,
    kafka.KafkaError._UNKNOWN_PARTITION,
    kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
}
_REFUSED = {
    kafka.KafkaError._AUTHENTICATION,
    kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED,
    kafka.KafkaError.GROUP_AUTHORIZATION_FAILED,
    kafka.KafkaError.SASL_AUTHENTICATION_FAILED,
}


class KafkaStream:
    """A topic (`freshet.core.ports.EventStream`).

    Args:
        settings: `[stream]`.
        options: of librdkafka, secrets included.
        start: where to read the partitions from that were given to this reader.
        group: whose members share the partitions; None = this reader reads them all.

    Raises:
        StreamUnreachable: the servers can't be reached.
        ConfigError: there is no such topic, an option is wrong, or the servers refuse us.
    """

    def __init__(
        self, settings: StreamConfig, options: Mapping[str, Any], start: Start, group: str | None
    ) -> None:
        self.name = f"kafka/{settings.topic}"
        self._topic, self._servers, self._start = settings.topic, settings.servers, start
        self._shared = group is not None
        self._held: dict[str, int | None] = {}
        """Offset of the next message of each partition that is ours; None = the first one there is."""
        self._forget: set[str] = set()
        self._moved = False
        self._trouble = ""
        log = logging.getLogger("freshet.kafka")
        log.propagate = False
        if not log.handlers:
            log.addHandler(logging.NullHandler())
        common = {"bootstrap.servers": settings.servers, **options}
        own = {
            "group.id": group or settings.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": False,
            "error_cb": self._noted,
        }
        try:
            self._admin = AdminClient(common, logger=log)
            self._consumer = kafka.Consumer({**common, **own}, logger=log)
        except (kafka.KafkaException, TypeError, ValueError) as error:
            hint = "see CONFIGURATION.md of librdkafka"
            raise ConfigError(f"[stream] options: {error}", hint=hint) from None
        try:
            partitions = self._partitions()
            if self._shared:
                self._consumer.subscribe([self._topic], on_assign=self._given, on_revoke=self._taken)
            else:
                self._take(partitions)
        except BaseException:
            self._consumer.close()
            raise

    def identity(self) -> str:
        """The topic's id; '' where the servers are too old to have one."""
        found = self._admin.describe_topics(kafka.TopicCollection([self._topic]), request_timeout=_ANSWER)
        try:
            topic = found[self._topic].result(timeout=_ANSWER + 5)
        except kafka.KafkaException as error:
            reason = error.args[0]
            if reason.code() in (kafka.KafkaError._UNSUPPORTED_FEATURE, kafka.KafkaError.UNSUPPORTED_VERSION):
                return ""
            raise self._problem(reason) from None
        return "" if topic.topic_id is None else str(topic.topic_id)

    def poll(self, most: int, seconds: float) -> Polled:
        """Up to `most` messages; a rebalance ends the call, and what came with it is read again."""
        with self._translated():
            if most <= 0:
                return self._waited(seconds)
            found = self._consumer.consume(most, seconds)
            if self._moved:  # what came with it may be of before or after: it is read again
                self._assign()
                return Polled((), self._forgotten())
            messages, gaps = self._sorted(found)
            return Polled(messages, self._forgotten(), gaps)

    def _waited(self, seconds: float) -> Polled:
        """Let messages wait at the servers, and answer for the group."""
        until = time.monotonic() + seconds
        mine = self._consumer.assignment()
        self._consumer.pause(mine)
        early: list[Any] = []
        while not self._moved and (left := until - time.monotonic()) > 0:
            early += self._consumer.consume(1, min(_WAIT, left))
        if self._moved or early:  # those that were under way are read again
            self._assign()
        else:
            self._consumer.resume(mine)
        return Polled((), self._forgotten())

    def _sorted(self, found: Sequence[Any]) -> tuple[list[Message], list[Gap]]:
        messages, gaps = [], []
        for one in found:
            error, partition = one.error(), str(one.partition())
            if error is not None:
                if error.code() in _GONE and partition in self._held:
                    gaps.append(self._skip(partition))
                elif error.code() in _NO_TOPIC or error.code() in _REFUSED:
                    raise self._problem(error)
                else:
                    self._trouble = error.str()
                continue
            self._trouble = ""
            offset = one.offset()
            before = self._held.get(partition)
            if partition not in self._held or (before is not None and offset < before):
                continue
            self._held[partition] = offset + 1
            messages.append(Message(partition, str(offset), str(offset + 1), one.value()))
        if not found and self._trouble:
            trouble, self._trouble = self._trouble, ""  # the client says so again while it lasts
            raise StreamUnreachable(
                f"Kafka at {self._servers}: {trouble}", hint="it goes on when Kafka does", retryable=True
            )
        return messages, gaps

    def _skip(self, partition: str) -> Gap:
        """Where the servers don't have our offset: go on at the first message that they have."""
        place = kafka.TopicPartition(self._topic, int(partition))
        low, _ = self._consumer.get_watermark_offsets(place, timeout=_ANSWER)
        before = self._held[partition]
        self.seek({partition: str(low)})
        if before is not None and low >= before:
            return Gap(partition, low - before, "deleted by the topic's retention")
        return Gap(partition, None, "the partition was cut off before the offset that was read")

    def _given(self, _: Any, places: Iterable[Any]) -> None:
        self._moved = True
        self._take([str(place.partition) for place in places])

    def _taken(self, _: Any, places: Iterable[Any]) -> None:
        self._moved = True
        for partition in [str(place.partition) for place in places]:
            self._held.pop(partition, None)
            self._forget.add(partition)

    def _take(self, partitions: Sequence[str]) -> None:
        positions = self._start(partitions)
        for partition in partitions:
            at = positions.get(partition)
            self._held[partition] = None if at is None else int(at)
            self._forget.add(partition)
        self._assign()

    def _assign(self) -> None:
        """Read from where we are; also what was fetched already is read again."""
        self._moved = False
        first = kafka.OFFSET_BEGINNING
        self._consumer.assign(
            [
                kafka.TopicPartition(self._topic, int(partition), first if at is None else at)
                for partition, at in self._held.items()
            ]
        )

    def _forgotten(self) -> frozenset[str]:
        found, self._forget = frozenset(self._forget), set()
        return found

    def seek(self, positions: Mapping[str, str | None]) -> None:
        """Read partitions that are still ours from elsewhere."""
        for partition, at in positions.items():
            if partition in self._held:
                self._held[partition] = None if at is None else int(at)
        self._assign()

    def lag(self) -> Lag:
        """By the last offsets that the servers have told."""
        with self._translated():
            behind = {}
            for partition, at in self._held.items():
                low, high = self._watermarks(partition)
                behind[partition] = max(0, high - (low if at is None else at))
        return Lag(behind)

    def _watermarks(self, partition: str) -> tuple[int, int]:
        place = kafka.TopicPartition(self._topic, int(partition))
        low, high = self._consumer.get_watermark_offsets(place, cached=True)
        if high < 0 or low < 0:
            low, high = self._consumer.get_watermark_offsets(place, timeout=_ANSWER)
        return low, high

    def ends(self) -> Mapping[str, str]:
        """Of all partitions, ours or not."""
        with self._translated():
            found = {}
            for partition in self._partitions():
                place = kafka.TopicPartition(self._topic, int(partition))
                low, high = self._consumer.get_watermark_offsets(place, timeout=_ANSWER)
                if high > low:
                    found[partition] = str(high)
        return found

    def reached(self, partition: str, position: str, end: str) -> bool:  # noqa: ARG002
        """Offsets are numbers."""
        return int(position) >= int(end)

    def tell(self, positions: Mapping[str, str]) -> None:
        """Commit them to the group; only of a shared reader, and only for whoever watches."""
        if self._shared and positions:
            with suppress(kafka.KafkaException):
                self._consumer.commit(
                    offsets=[
                        kafka.TopicPartition(self._topic, int(partition), int(at))
                        for partition, at in positions.items()
                    ],
                    asynchronous=True,
                )

    def close(self) -> None:
        """Leave the group."""
        with suppress(kafka.KafkaException, RuntimeError):
            self._consumer.close()

    def _partitions(self) -> list[str]:
        with self._translated():
            topic = self._consumer.list_topics(self._topic, timeout=_ANSWER).topics[self._topic]
        if topic.error is not None:
            raise self._problem(topic.error)
        return [str(number) for number in sorted(topic.partitions)]

    def _noted(self, error: Any) -> None:
        self._trouble = error.str()

    def _problem(self, error: Any) -> ConfigError | StreamUnreachable:
        where = f"Kafka at {self._servers}"
        if error.code() in _NO_TOPIC:
            return ConfigError(f"{where} has no topic {self._topic!r}", hint="make it, or see [stream] topic")
        if error.code() in _REFUSED:
            hint = "see [stream] options and options_env"
            return ConfigError(f"{where} refuses us: {error.str()}", hint=hint)
        hint = "it goes on when Kafka does"
        return StreamUnreachable(f"{where} can't be used: {error.str()}", hint=hint, retryable=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except kafka.KafkaException as error:
            raise self._problem(error.args[0]) from None
