"""Writing the page of `freshet cadence`: the schedule in words, then hit rate against cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from freshet.replay.figures.arm_costs import frontier
from freshet.report.page import STYLE, templates
from freshet.report.replayed import lines, scatter
from freshet.storage.durable import write_text


def write_schedule(document: Mapping[str, Any], into: Path) -> Path:
    """Write the page; equal documents give equal bytes.

    Args:
        document: `cadence.json`, as `freshet.replay.figures.schedule_advice` gives it.
        into: the file to write.

    Returns:
        The file written. It needs no network, no scripts and no other file.
    """
    write_text(into, render(document))
    return into


def render(document: Mapping[str, Any]) -> str:
    """The page as text."""
    return (
        templates(Path(__file__).parent)
        .get_template("cadence.html")
        .render(
            style=Markup(STYLE.read_text(encoding="utf-8")),
            name=document["log"].get("name", "cadence"),
            found=document,
            log=document["log"],
            lines=lines,
            chart=scatter.frontier(_as_arms(document)),
        )
    )


def _as_arms(document: Mapping[str, Any]) -> dict[str, Any]:
    """The schedules as the chart of a replay's arms wants them."""
    hit = {line["arm"]: line["hit_at_5"] for line in document["schedules"]}
    spent = {line["arm"]: line["cost"]["all"] for line in document["schedules"]}
    return {
        "log": document["log"],
        "arms": {arm: {"hit_at_5": hit[arm], "cost": {"per_30_days": spent[arm]}} for arm in hit},
        "cost": {
            "unit": document["unit"],
            "frontier": frontier(spent, {arm: figure["value"] for arm, figure in hit.items()}),
        },
    }
