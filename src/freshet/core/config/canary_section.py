"""Section on trying a new release on some users first: [canary]."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from freshet.core.config.section import Section, Share


class CanaryConfig(Section):
    """A new release serves some users first, and everybody once it was seen to do no harm."""

    share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of users that a new release serves first; 0 = it serves everybody at once",
    )
    days: float = Field(
        1.0,
        gt=0,
        le=28,
        description="so long at most; a release that nothing speaks against serves everybody then",
    )
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("satisfied",), description="names of metrics that it must not harm (`freshet experiment` lists them)"
    )
    margin: Share = Field(
        0.05,
        description="a release serves everybody before `days` are over once the harm it may do is shown "
        "to be smaller than this (relative)",
    )
    alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="chance to take back a release that harms nothing, however often one looks; "
        "each metric gets an equal part of it",
    )
    smallest_harm: Share = Field(0.3, description="relative harm that is worth finding: it is found soonest")
