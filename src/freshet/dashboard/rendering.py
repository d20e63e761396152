"""Fills templates: what every page may use beside its own values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from freshet.core.escaping import visible
from freshet.report import page_template
from freshet.report.formatting import money

FOLDER = Path(__file__).parent / "templates"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""Files of `static/` that are answered."""


@cache
def static(name: str) -> bytes | None:
    """A file of `static/` that pages may load; None where there is none."""
    path = files("freshet.dashboard").joinpath("static", name)
    return path.read_bytes() if Path(name).suffix in KINDS and "/" not in name and path.is_file() else None


@cache
def stamp(name: str) -> str:
    """Changes with the content of a static file, so that browsers may keep it."""
    return blake2b(static(name) or b"", digest_size=6).hexdigest()


class Renderer:
    """The templates of the dashboard."""

    def __init__(self) -> None:
        self._templates = page_template.templates(FOLDER)
        for show in (ago, moment, cost, told):
            self._templates.filters[show.__name__] = show
        self._templates.globals["stamp"] = stamp

    def page(self, template: str, shared: Mapping[str, object], values: Mapping[str, object]) -> bytes:
        """A page in UTF-8; `shared` is what the base needs."""
        try:
            found = self._templates.get_template(template)
        except jinja2.TemplateNotFound as error:
            raise FileNotFoundError(f"no template {error.name}") from None
        return found.render({**values, **shared}).encode("utf-8", "backslashreplace")


def links(prefix: str) -> Callable[[str], str]:
    """Makes paths of the dashboard behind a prefix of a proxy."""

    def link(path: str = "") -> str:
        return f"{prefix}/dashboard/{path}"

    return link


def ago(text: str, now: datetime) -> str:
    """How long a moment (ISO 8601) lies back, such as `5 minutes ago`."""
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return text
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    passed = (now - then).total_seconds()
    for unit, seconds in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if passed >= 2 * seconds or (unit == "minute" and passed >= 60):
            count = int(passed // seconds)
            return f"{count:,} {unit}{'s' if count > 1 else ''} ago"
    return "just now" if passed > -60 else "in the future"


def told(text: str) -> Markup:
    """A message on a page: what stands between backticks as code, its lines one after another."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    parts = re.split(r"`([^`]+)`", visible("; ".join(lines)))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def cost(value: float, currency: str) -> str:
    """Money that was spent, in hundredths."""
    return f"< 0.01 {currency}" if 0 < value < 0.005 else money(round(value, 2), currency)


def moment(text: str) -> str:
    """A moment (ISO 8601) as `2026-11-29 17:05 UTC`; what is none stays as it is."""
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{then.astimezone(UTC) if then.tzinfo else then:%Y-%m-%d %H:%M} UTC"
