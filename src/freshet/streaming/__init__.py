"""Events from a stream into the log, as they come: `freshet stream`."""

from typing import TYPE_CHECKING

from freshet.core.late import late

if TYPE_CHECKING:
    from freshet.streaming.log_consumer import Consumed, LogConsumer
    from freshet.streaming.stream_lag import SeenStream, seen_streams
else:
    __getattr__ = late(__name__)

__all__ = ["Consumed", "LogConsumer", "SeenStream", "seen_streams"]
