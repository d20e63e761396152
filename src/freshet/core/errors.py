"""Every error Freshet raises on purpose.

An error says what was wrong, where, and what to do (`hint`); `retryable`: the same call may succeed later.
The CLI prints these without a traceback and exits with `exit_code`; anything else that reaches the user is a
bug.
"""

from __future__ import annotations

from collections.abc import Mapping


class FreshetError(Exception):
    """Base of all expected failures."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class ConfigError(FreshetError):
    """`freshet.toml` or a command's options are wrong."""


class InputError(FreshetError):
    """An event or item file cannot be read as configured."""


class NotEnoughData(FreshetError):
    """The log is valid but too small for the step."""


class MissingExtra(FreshetError):
    """An optional dependency is not installed; the hint is the install line."""


class ArtifactError(FreshetError):
    """An artifact is missing, incomplete or fails its checksum."""


class WrongFormat(ArtifactError):
    """Another version of Freshet wrote it in another way."""


class PlannerError(FreshetError):
    """A planner could not rank a prompt."""


class PlannerGone(PlannerError):
    """No further prompt will be answered in this run: the server is gone, or a budget or balance is spent."""


class AnswersPending(FreshetError):
    """Requests to a planner are written or sent; the run goes on when their answers are there."""

    exit_code = 8


class EncoderError(FreshetError):
    """Texts could not be turned into vectors."""


class VerificationError(FreshetError):
    """A table is not fit to be published; the serving release is unchanged."""

    exit_code = 4


class GateFailed(FreshetError):
    """A gate halted the run for review; the serving release is unchanged."""

    exit_code = 3


class Busy(FreshetError):
    """Another run holds the workspace's lease."""

    exit_code = 5


class LeaseLost(Busy):
    """Another run took the lease over while this one was out of reach; nothing more may be written."""


class StoreUnreachable(FreshetError):
    """An object store can't be reached, refuses the credentials, or answers with errors after all tries."""


class ExportError(FreshetError):
    """A place that a release is given to can't be reached or written; it has what it had before."""


class ExecutorLost(FreshetError):
    """A cluster went away while it worked; what was committed is kept."""


class TrackingError(FreshetError):
    """A run could not be sent to a tracking server; the ledger has it all the same."""


class AlertError(FreshetError):
    """Alerts could not be sent to a receiver; they are sent again later, and nothing waits for that."""


class StreamUnreachable(FreshetError):
    """The server of a stream can't be reached, or answers with errors; what was committed is kept."""


class StreamGap(FreshetError):
    """A stream no longer has messages that were not read; nothing was skipped yet."""


class StreamMoved(Busy):
    """Others have read on in these partitions meanwhile; nothing of the batch was kept.

    `positions`: partition -> where they are now.
    """

    def __init__(self, message: str, positions: Mapping[str, str | None]) -> None:
        super().__init__(message, retryable=True)
        self.positions = positions


class StateError(FreshetError):
    """What serving remembers can't be read or written now."""


class StateFull(StateError):
    """What serving remembers has reached its limit; it can be read and trimmed, not added to."""


class NotServing(FreshetError):
    """There is no release that could answer."""


class DiskFull(FreshetError):
    """There is no room left; the hint says what serves. The same command continues when space is freed."""

    exit_code = 6
