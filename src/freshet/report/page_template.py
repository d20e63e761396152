"""Fills a page's template: one self-contained HTML file, in which text of others is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from freshet.core.escaping import visible
from freshet.report import formatting

FOLDER = Path(__file__).parent / "templates"
STYLE = FOLDER / "style.css"


def render_page(template: str, filters: Mapping[str, Callable[..., str]] = {}, **content: object) -> str:
    """A page as text.

    Args:
        template: its file, such as `replay.html`.
        filters: what formats this page's values, beside the numbers of `freshet.report.formatting`.
        content: what the template names; a name that is missing raises.
    """
    environment = templates()
    environment.filters.update(filters)
    style = Markup(STYLE.read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=style, **content)


def templates(folder: Path = FOLDER) -> jinja2.Environment:
    """The templates of a folder, with the filters that format numbers."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for show in (
        formatting.percent,
        formatting.number,
        formatting.fixed,
        formatting.seconds,
        formatting.money,
        formatting.day,
    ):
        found.filters[show.__name__] = show
    found.globals["several"] = formatting.several
    return found


def _shown(value: object) -> object:
    """Text with its control characters made visible, so that it does nothing but being read."""
    return visible(value) if type(value) is str else value
