"""Section on campaigns of fake users: [screen]."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from freshet.core.config.section import Positive, Section, SomeDays


class ScreenConfig(Section):
    """How far users without a past move what others are shown: against campaigns of fake users."""

    use: bool = Field(
        True, description="whether moves of new users that nothing else bears out are held back from counting"
    )
    age_days: SomeDays = Field(
        28, description="a user is established when first seen so many days ago, and active on `active_days`"
    )
    active_days: SomeDays = Field(
        2, description="days on which an established user engaged anything before; others are new users"
    )
    most_growth: float = Field(
        1.5,
        ge=1,
        allow_inf_nan=False,
        description="an interest's share of new users' moves counts up to so many times the share it had, or "
        "that established users give it now",
    )
    chance: float = Field(
        3.0,
        ge=0,
        allow_inf_nan=False,
        description="standard deviations above that bound which still count as chance",
    )
    few: Positive = Field(2, description="moves of new users to an interest on one day that always count")
    trusted: tuple[str, ...] = Field(
        (), description="interests (id or description) at which nobody is held back, after a person looked"
    )
    live_weight: float = Field(
        0.1,
        ge=0,
        le=1,
        description="what a move counts in live signals of a user whom the log didn't know when the table "
        "was made, against 1 of others",
    )
    gate: Literal["halt", "report", "off"] = Field(
        "halt",
        description="what happens when a row's first place rests on new users alone: the table waits for a "
        "person, or the run says so",
    )
