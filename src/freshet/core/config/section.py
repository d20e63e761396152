"""What the sections of `freshet.toml` have in common: the base class, and types of values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LONGEST = 36_500
"""Days that a setting can mean: a hundred years, which every calendar can add and take away."""
Positive = Annotated[int, Field(ge=1)]
SomeDays = Annotated[int, Field(ge=1, le=LONGEST)]
HalfLife = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = SomeDays | Literal["ever"]
Share = Annotated[float, Field(gt=0, lt=1)]
Auto = Literal["auto"]

MAX_STEPS = "one training takes so many optimiser steps at most; auto = by its rows and its recipe"
MAX_SECONDS = "last resort: a training still going ends here, and says so; set max_steps instead"


class Section(BaseModel):
    """A section of `freshet.toml`: unknown keys are refused, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
