"""The figures of a run that are worth a curve: what it cost, what it changed, what its gates found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from freshet.storage.ledger import Record, StepRecord

_INFERRED = ("changed", "copied", "prompts", "failed", "invalid", "not_asked")
_READ = ("read", "added", "duplicates")


def run_figures(record: Record) -> dict[str, float]:
    """By name, as docs/how-to/tracking.md lists them; what a run has no value for is left out."""
    found: dict[str, Any] = {
        "seconds": record.seconds,
        "money": record.money,
        "tokens": sum(step.tokens for step in record.steps),
        "written": sum(step.written for step in record.steps),
        "requests": sum(step.requests for step in record.steps),
        "trained": sum(step.trained for step in record.steps),
        "flops": sum(step.flops for step in record.steps),
        "peak_mb": max([0.0, *(step.peak_mb for step in record.steps)]),
    }
    for step in record.steps:
        name = f"step.{step.name}.seconds"
        found[name] = found.get(name, 0.0) + step.seconds
        found.update(_of_step(step))
    return {name: float(value) for name, value in found.items() if _is_figure(value)}


def _of_step(step: StepRecord) -> Iterator[tuple[str, Any]]:
    """What the details of a step say; those of steps that make no figure say nothing."""
    details = step.details
    if step.name == "import":
        yield from ((f"events.{name}", details.get(name)) for name in _READ)
        yield "events.quarantined", sum(_inner(details, "quarantined").values())
    elif step.name == "inference":
        yield from ((f"rows.{name}", details.get(name)) for name in _INFERRED)
    elif step.name == "churn":
        yield "churn", details.get("churn")
        yield "churn.floor", details.get("churn_floor")
    elif step.name == "transitions":
        yield "transitions", details.get("transitions")
    elif step.name == "gates":
        for name, gate in _inner(details, "gates").items():
            yield from _interval(f"gate.{name}", gate, "value")
            yield f"gate.{name}.passed", gate.get("passed")
    elif step.name == "table":
        yield "rows", details.get("rows")
        gains = _inner(_inner(details, "drives"), "against_parts")
        yield from (one for part in gains for one in _gain(f"gain.over_{part}", _inner(gains, part)))
    elif step.name == "overlay":
        yield from _gain("gain.live", _inner(details, "gain"))
    elif step.name == "users":
        yield from _gain("gain.user_rows", _inner(_inner(details, "users"), "gain"))
    elif step.name == "ranker":
        judged = _inner(details, "judged")
        for measure in ("hit@10", "ndcg@10"):
            shown = measure.replace("@", "_at_")
            yield f"ranker.{shown}", _inner(_inner(judged, measure), "ranker").get("value")
            yield from _interval(
                f"ranker.{shown}.gain", _inner(_inner(judged, measure), "difference"), "value"
            )


def _gain(name: str, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nats per held-out transition, with the ends of the 95 % interval."""
    yield from _interval(name, found, "nll")


def _interval(name: str, found: Mapping[str, Any], value: str) -> Iterator[tuple[str, Any]]:
    yield name, found.get(value)
    yield f"{name}.low", found.get("low")
    yield f"{name}.high", found.get("high")


def _inner(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object in details; empty where a step of this kind, or another version, wrote none."""
    inner = found.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
