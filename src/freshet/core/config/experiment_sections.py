"""Sections on experiments and costs: [experiments], [prices]."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from freshet.core.config.section import Auto, Section, Share


class MetricConfig(Section):
    """A metric of one's own; a name of the ready set replaces that one."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]{0,39}$", description="small letters, digits and _")
    counts: str = Field("", description="rule: which events count; empty = all")
    of: str = Field(
        "user",
        min_length=1,
        description="what is divided by: user = users exposed, impression = answers shown to them, "
        "or a rule = events that pass it",
    )
    better: Literal["higher", "lower"] = Field("higher", description="which way is good")
    attributed: bool = Field(
        True,
        description="only events that name an impression; false = whatever exposed users did from then on",
    )


class GuardrailConfig(Section):
    """A metric that no arm may harm."""

    metric: str = Field(min_length=1, description="name of the metric")
    tolerance: float = Field(0.0, ge=0, lt=1, description="relative harm that is put up with")
    alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="chance to stop an experiment that harms nothing, however often one looks; "
        "each guardrail of each arm gets an equal part of it",
    )


class ExperimentsConfig(Section):
    """What experiments are judged by; rules are those of `[events] positive`, over any column of events."""

    satisfied: str = Field(
        "", description="rule: which reactions are satisfied; empty = those that pass the positive rule"
    )
    dissatisfied: str = Field(
        "", description="rule: which reactions are dissatisfied; empty = those that fail the positive rule"
    )
    negative: str = Field(
        "", description="rule: which events are negative interactions, such as hiding; empty = not measured"
    )
    smallest_effect: Share | Auto = Field(
        "auto",
        description="relative effect worth finding: always-valid intervals are narrowest where it would be "
        "found; auto = by how uncertain the first day leaves a metric; never changed after the start",
    )
    attribution_hours: float = Field(
        168.0,
        gt=0,
        le=2160,
        description="an outcome that comes later after the answer it names was shown doesn't count",
    )
    metrics: tuple[MetricConfig, ...] = Field(
        (), description="`[[experiments.metrics]]`: metrics beside the ready set"
    )
    guardrails: tuple[GuardrailConfig, ...] = Field(
        (), description="`[[experiments.guardrails]]`: what no arm may harm; an arm that does is stopped"
    )


class PricesConfig(Section):
    """Price book: money per unit of measured cost."""

    currency: str = Field("USD", max_length=12, description="label only, of 12 characters at most")
    per_hour: float = Field(0.10, ge=0, description="one hour of this machine")
    per_million_tokens: float = Field(0.0, ge=0, description="for endpoints that charge by token")
    per_million_tokens_written: float = Field(
        0.0, ge=0, description="of those, what the model writes, where that has another price; 0 = the same"
    )
    per_million_tokens_trained: float = Field(
        0.0, ge=0, description="that a provider fine-tunes on (`[tuning] hosted`)"
    )
