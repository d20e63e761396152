"""Numbers, days and money as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date


def percent(value: float | None, digits: int = 1) -> str:
    """A share, such as `12.3 %`; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value * 100:.{digits}f}\u202f%"


def number(value: float | None) -> str:
    """A count with separated thousands, or three significant digits of a small figure."""
    if value is None or math.isnan(value):
        return "–"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def fixed(value: float | None, digits: int = 2) -> str:
    """A figure with so many decimals and a true minus sign."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def seconds(value: float) -> str:
    """A length of time."""
    if value < 0.05:
        return "< 0.1 s"
    if value < 100:
        return f"{value:.1f} s"
    if value < 5400:
        return f"{value / 60:.1f} min"
    return f"{value / 3600:.1f} h"


def money(value: float, currency: str) -> str:
    """An amount; very small ones keep two significant digits."""
    if value == 0:
        return f"0 {currency}"
    if value >= 0.01:
        return f"{value:,.2f} {currency}"
    return f"{value:.{1 - math.floor(math.log10(value))}f} {currency}"


def day(text: str) -> str:
    """`2024-04-30` as `30 April 2024`."""
    moment = date.fromisoformat(text[:10])
    return f"{moment.day} {moment:%B %Y}"


def several(count: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
