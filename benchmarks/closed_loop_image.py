"""The closed loop by day as an SVG file: what an arm is worth against the first one, and in the control.

python benchmarks/closed_loop.py --seeds 5 --work loop
python benchmarks/closed_loop_image.py loop/summary.json hybrid docs/images/closed-loop-days.svg
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt

from freshet.report import charts
from replay_images import standing
from shared import parse, parser, tell


def drawn(document: dict[str, Any], arm: str, refreshes: list[int]) -> str:
    """Relative effect on satisfied outcomes per offer of each day, the mean over worlds, 95 % by users."""
    worlds = [name for name, found in document.items() if isinstance(found, dict) and arm in found]
    rows = [
        {
            "world": f"{name} world",
            **{key: 100 * day[key] for key in ("relative", "low", "high")},
            "day": day["day"],
        }
        for name in worlds
        for day in document[name][arm]["by_day"]
    ]
    colour = alt.Color(
        "world:N",
        scale=alt.Scale(
            domain=[f"{name} world" for name in worlds], range=[charts.ACCENT, charts.MUTED, charts.INK]
        ),
    )
    base = alt.Chart(charts.data(rows)).encode(
        x=alt.X("day:Q", axis=charts.axis("day of the experiment", grid=False), scale=alt.Scale(nice=False)),
    )
    band = base.mark_area(opacity=0.15).encode(
        y=alt.Y("low:Q", axis=charts.axis("satisfied outcomes, against the month-old table, %")),
        y2="high:Q",
        color=colour,
    )
    line = base.mark_line(point=True).encode(y="relative:Q", color=colour)
    marks = charts.data([{"day": day} for day in refreshes])
    rules = alt.Chart(marks).mark_rule(strokeDash=[4, 4], color=charts.MUTED).encode(x="day:Q")
    label = f"SIMULATED: relative effect of {arm} by day; dashed lines are refreshes"
    return standing(str(charts.render((band + line + rules).properties(width=540, height=260), label)))


def main() -> None:
    made = parser(__doc__)
    made.add_argument("document", type=Path, nargs="?")
    made.add_argument("arm", nargs="?", default="hybrid")
    made.add_argument("image", type=Path, nargs="?")
    made.add_argument("--refresh-days", default="1,4")
    given = parse(made, "image")
    days = [int(day) for day in given.refresh_days.split(",")]
    document = made_up() if given.document is None else json.loads(given.document.read_text())
    image = drawn(document, given.arm, days)
    if given.image is not None:
        given.image.write_text(image, encoding="utf-8")
    tell(given, {"arm": given.arm, "image": given.image and str(given.image), "characters": len(image)})


def made_up() -> dict[str, Any]:
    """SYNTHETIC: the form of a summary, for a quick run."""
    days = [{"day": day, "relative": 0.01 * day, "low": 0.0, "high": 0.02 * day} for day in range(1, 8)]
    return {kind: {"hybrid": {"by_day": days}} for kind in ("gradual", "static")}


if __name__ == "__main__":
    main()
