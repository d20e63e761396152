"""One service level: what is measured beside what is promised, and a sentence that a person can act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "breach", "unknown", "off"]
"""breach: a promise is broken; warn: it will be, or a person should look; unknown: nothing can be said yet;
off: nothing is promised."""
WARN = 0.75
"""Share of an objective at which an age warns."""


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """One promise.

    Attributes:
        name: such as `evidence_age`.
        state: how it is kept.
        value, objective: in `unit`; the objective is the most that is promised. None = none is known, or set.
        sentence: what there is to know, for a person.
        run: id of the run that it is about, '' where it is about none.
    """

    name: str
    state: State
    value: float | None
    objective: float | None
    unit: str
    sentence: str
    run: str = ""


def aged(name: str, value: float, objective: float | None, unit: str, what: str) -> ServiceLevel:
    """A level of something that gets older."""
    old = f"{what} is {length(value, unit)} old"
    if objective is None:
        return ServiceLevel(name, "off", value, None, unit, old)
    if value > objective:
        return ServiceLevel(
            name, "breach", value, objective, unit, f"{old}, at most {length(objective, unit)} are promised"
        )
    state: State = "warn" if value > WARN * objective else "ok"
    return ServiceLevel(
        name, state, value, objective, unit, f"{old}, of {length(objective, unit)} that are promised at most"
    )


def length(value: float, unit: str) -> str:
    """A length of time for people, such as `3 days` or `1.5 hours`."""
    short = f"{value:,.0f}" if value >= 10 or float(value).is_integer() else f"{value:.1f}"
    return f"{short} {unit.removesuffix('s') if short == '1' else unit}"


def objective_of(value: float | str, auto: float | None = None) -> float | None:
    """What is promised; None where nothing is."""
    if value == "off":
        return None
    return auto if value == "auto" else float(value)
