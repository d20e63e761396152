"""Events from a stream into the log, as they come: `freshet stream`."""

from freshet.streaming.log_consumer import Consumed, LogConsumer
from freshet.streaming.stream_lag import SeenStream, seen_streams

__all__ = ["Consumed", "LogConsumer", "SeenStream", "seen_streams"]
