"""Charts as inline SVG: drawn by Altair, rendered without a browser, coloured by the page's own CSS."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from freshet.core.escaping import visible

ACCENT, INK, MUTED, FAINT = "var(--accent)", "var(--ink)", "var(--muted)", "var(--faint)"
"""CSS variables pass through to the SVG, so that a chart follows light and dark mode."""

WIDTH = 620
"""Pixels of the plot and its labels together, about the width of the text."""

Rows = Sequence[Mapping[str, Any]]


def data(rows: Rows) -> alt.InlineData:
    """Rows as inline data of a chart."""
    return alt.InlineData(values=list(rows))


def render(chart: alt.TopLevelMixin, label: str) -> Markup:
    """A chart as an SVG element that scales with the page.

    Args:
        label: what the chart shows and says, for those who can't see it.
    """
    drawn = vl_convert.vegalite_to_svg(_as_json(_in_utc(_themed(chart).to_dict())))
    drawn = _own_ids(drawn)
    width = re.search(r'<svg[^>]* width="([\d.]+)"', drawn)
    size = f"max-width:{width.group(1)}px" if width else ""
    drawn = re.sub(r'(<svg[^>]*?) width="[\d.]+" height="[\d.]+"', r"\1", drawn, count=1)
    # described once on the element; the renderer's own roles would be read out mark by mark
    drawn = re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", drawn)
    head = f'<svg role="img" aria-label="{escape(visible(label))}" style="{size}"'
    return Markup(drawn.replace("<svg", head, 1))


def _as_json(chart: Any) -> str:
    """The chart as JSON, whose texts are what people see."""

    def shown(part: Any) -> Any:
        if isinstance(part, str):
            return visible(part)
        if isinstance(part, dict):
            return {shown(key): shown(value) for key, value in part.items()}
        return [shown(one) for one in part] if isinstance(part, list) else part

    return json.dumps(shown(chart))


def room(labels: Sequence[str]) -> int:
    """Pixels to keep for axis labels. The renderer measures with its own font; a reader's may be wider."""
    return max(map(len, labels), default=0) * 7 + 8


def axis(title: str | None = None, **look: Any) -> alt.Axis:
    """An axis in the page's manner: few ticks, no box."""
    return alt.Axis(title=title, **look)


def _own_ids(drawn: str) -> str:
    """Clip paths named by what is drawn; the renderer's numbers depend on what it drew before."""
    found = list(dict.fromkeys(re.findall(r"\bclip\d+\b", drawn)))
    bare = re.sub(r"\bclip\d+\b", "clip", drawn)
    mark = hashlib.blake2b(bare.encode(), digest_size=4).hexdigest()
    return re.sub(r"\bclip\d+\b", lambda hit: f"clip-{mark}-{found.index(hit[0])}", drawn)


def _in_utc(drawing: Any) -> Any:
    """A chart whose scales of time are those of UTC, as all days here are, not of the machine's zone."""
    if isinstance(drawing, list):
        return [_in_utc(part) for part in drawing]
    if not isinstance(drawing, dict):
        return drawing
    found = {name: _in_utc(part) for name, part in drawing.items()}
    if found.get("type") == "temporal":
        found["scale"] = found.get("scale", {}) | {"type": "utc"}
    return found


def _themed(chart: alt.TopLevelMixin) -> Any:
    text = {"labelColor": MUTED, "titleColor": MUTED, "labelFontSize": 12, "titleFontSize": 12}
    return (
        chart.configure(font="system-ui, sans-serif", background="transparent", aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            **text,
            titleFontWeight="normal",
            domain=False,
            ticks=False,
            gridColor=FAINT,
            labelPadding=6,
            labelLimit=300,
            tickCount=5,
        )
        .configure_header(labelColor=INK, labelFontSize=12, labelLimit=220, title=None)
        .configure_legend(
            **text, titleFontWeight="normal", orient="top", direction="horizontal", title=None, labelLimit=300
        )
    )
