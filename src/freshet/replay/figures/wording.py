"""Figures as sentences hold them: percentages, signed points, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PLANNER = "the planner"
"""What it is called where a document doesn't say."""


def rate(estimate: Mapping[str, Any]) -> str:
    """`20.5 % [19.8, 21.2]`."""
    if estimate["value"] is None:
        return "not measured"
    return f"{100 * estimate['value']:.1f}\u202f%{_interval(estimate, 100, 1, '')}"


def points(difference: Mapping[str, Any]) -> str:
    """A difference of shares in percentage points: `+0.4 points [+0.1, +0.8]`."""
    if difference["value"] is None:
        return "not measured"
    return f"{signed(100 * difference['value'], 2)} points{_interval(difference, 100, 2, '+')}"


def nats(difference: Mapping[str, Any]) -> str:
    """A difference of nll: `−0.004 nats [−0.005, −0.003]`."""
    if difference["value"] is None:
        return "not measured"
    return f"{signed(difference['value'], 4)} nats{_interval(difference, 1, 4, '+')}"


def signed(value: float, digits: int) -> str:
    """With its sign, a true minus; what rounds to nothing has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def span(days: float) -> str:
    """`every day`, `every 2 days`, `every 2.6 days`."""
    return "every day" if round(days, 1) == 1 else f"every {days:.1f}".removesuffix(".0") + " days"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _interval(estimate: Mapping[str, Any], scale: float, digits: int, sign: str) -> str:
    if estimate["ci95"] is None:
        return ""
    shown = [
        signed(scale * bound, digits) if sign else f"{scale * bound:.{digits}f}" for bound in estimate["ci95"]
    ]
    return f" [{shown[0]}, {shown[1]}]"
