"""Sections on people and on how long their data stays: [privacy], [retention]."""

from __future__ import annotations

from pydantic import Field

from freshet.core.config.section import LONGEST, Section


class PrivacyConfig(Section):
    """How users are named in the workspace."""

    hash_users: bool = Field(
        False,
        description="keep a keyed hash in place of every user id, from the first event on; a log that has "
        "ids as they came can't be switched",
    )
    key_env: str = Field(
        "",
        description="environment variable with the secret that user ids are hashed with, 32 characters or "
        "more; '' = a random one in `privacy/key`, which its owner alone may read",
    )


class RetentionConfig(Section):
    """How many days data stays; older days go as a whole. 0 = for ever."""

    events_days: int = Field(
        0,
        ge=0,
        le=LONGEST,
        description="days of the log that stay, counted back from its last one; they have to cover "
        "novelty_days, the windows of counts and `[tuning] every_days`; older events that come in again are "
        "refused until it is raised or removed",
    )
    impressions_days: int = Field(
        0,
        ge=0,
        le=LONGEST,
        description="days of impressions that stay, counted back from the last day of the log",
    )
    quarantine_days: int = Field(
        0, ge=0, le=LONGEST, description="days since a file of refused rows was written"
    )
    runs_days: int = Field(
        0,
        ge=0,
        le=LONGEST,
        description="days since a run of the ledger ended, unless a release or a review needs it; what runs "
        "said goes after so many days in any case",
    )
    receipts_days: int = Field(
        0, ge=0, le=LONGEST, description="days since a receipt of `freshet forget` was written"
    )
