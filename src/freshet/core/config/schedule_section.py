"""Section on when what runs: [schedule]."""

from __future__ import annotations

from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from freshet.core.blackout import Window, check_windows
from freshet.core.config.section import LONGEST, Section
from freshet.core.cron_times import Cron


class ScheduleConfig(Section):
    """When the fast path is due, and when `freshet schedule` looks, runs, waits and tries again."""

    policy: Literal["fixed", "drift", "cost", "combined"] = Field(
        "fixed",
        description="fixed = every `refresh_days`; drift = when what people move on to has changed beyond "
        "chance; cost = when staleness is expected to cost more than a refresh; combined = as cost, with "
        "what an abrupt change costs counted as soon as it is found",
    )
    refresh_days: int = Field(
        3,
        ge=1,
        le=LONGEST,
        description="the fast path is due after so many days; "
        "drift refreshes at most half as often on average",
    )
    drift_alpha: float = Field(
        0.004,
        ge=0.001,
        lt=1,
        description="chance of a needless refresh at one look in an unchanging world "
        "(policy = drift or combined)",
    )
    value_per_hit: float = Field(
        0.0001,
        gt=0,
        allow_inf_nan=False,
        description="money that a next interest among the first five is worth (policy = cost or combined)",
    )
    refresh_cron: str = Field(
        "0 3 * * *",
        description="when `freshet schedule` makes a `freshet run`, which imports and refreshes if `policy` "
        "says so: minute, hour, day of the month, month, day of the week",
    )
    tune_cron: str = Field(
        "",
        description="when `freshet schedule` makes a `freshet finetune`, such as `0 1 1 * *`; "
        "empty = `freshet run` tunes by `[tuning] every_days`",
    )
    collect_cron: str = Field(
        "",
        description="when `freshet schedule` makes a `freshet collect`, such as `0 * * * *`; "
        "empty = `freshet run` alone collects",
    )
    timezone: str = Field("UTC", description="zone of these times, of `blackout` and of the month")
    missed: Literal["run", "skip"] = Field(
        "run",
        description="what becomes of a time that passed by more than an hour while nothing could begin: "
        "run = once, as soon as possible; skip = nothing",
    )
    blackout: tuple[str, ...] = Field(
        (), description='windows in which nothing begins, such as `["Mon-Fri 08:00-10:00", "23:00-01:00"]`'
    )
    budget_per_month: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="money by `[prices]`: a run that is expected to spend more of it than is left of the "
        "month waits; 0 = no limit",
    )
    retries: int = Field(
        5, ge=0, le=100, description="how often a run that failed is tried again where that may help"
    )
    retry_minutes: float = Field(
        5.0,
        gt=0,
        le=1440,
        description="until the first retry; twice as long before each further one, six hours at most, "
        "less up to a half by chance",
    )
    gc_days: int = Field(
        0,
        ge=0,
        le=LONGEST,
        description="every so many days the scheduler deletes what nothing needs, as `freshet gc` does; "
        "0 = never",
    )

    nice: int = Field(
        10,
        ge=0,
        le=19,
        description="how far commands that run make way for whoever else needs a processor, such as a server "
        "beside them: 0 = not at all, 19 = most",
    )

    @property
    def zone(self) -> ZoneInfo:
        """Of `timezone`."""
        return ZoneInfo(self.timezone)

    @property
    def windows(self) -> tuple[Window, ...]:
        """Of `blackout`."""
        return tuple(map(Window.parse, self.blackout))

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            zone = self.zone
        except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones
            raise ValueError(f"timezone {self.timezone!r} is no time zone, such as Europe/Berlin") from None
        crons = {
            "refresh_cron": self.refresh_cron,
            "tune_cron": self.tune_cron,
            "collect_cron": self.collect_cron,
        }
        for key, text in crons.items():
            if text or key == "refresh_cron":
                try:
                    Cron.of(text, zone)
                except ValueError as error:
                    raise ValueError(f"{key} {error}") from None
        try:
            check_windows(self.windows)
        except ValueError as error:
            raise ValueError(f"blackout: {error}") from None
        return self
