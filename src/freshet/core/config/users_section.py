"""Section on rows of single users: [users]."""

from __future__ import annotations

from pydantic import Field

from freshet.core.config.section import Auto, Section, SomeDays
from freshet.core.types import RECENT


class UsersConfig(Section):
    """Whether the planner is also asked about single users, with their own last interests."""

    rows: int = Field(
        0,
        ge=0,
        description="at most so many users are asked about at a refresh, those first who should gain most; "
        "users whose prompt is as it was cost nothing; 0 = none (with any, the planner is tuned for them)",
    )
    k: int = Field(RECENT, ge=2, le=RECENT, description="interests of a user in a prompt, at most")
    titles: int = Field(
        0,
        ge=0,
        le=20,
        description="titles of so many of the items a user engaged last that a prompt shows; "
        "only a template that reads `history` does",
    )
    active_days: SomeDays | Auto = Field(
        "auto",
        description="a user who engaged nothing for so many days has no row; auto = 8 windows",
    )
