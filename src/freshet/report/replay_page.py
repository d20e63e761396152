"""The pages of `freshet replay` and `freshet cadence`, written from their documents alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from freshet.replay.figures.arm_costs import frontier
from freshet.report import replay_charts, replay_curves, replay_sources, replay_tables
from freshet.report.page_template import render_page
from freshet.storage.durable import write_text

MAIN = ("hybrid", "counts", "static", "finetune", "popularity")
"""Arms of the first chart."""
PAPERS = ("retrieval", "retrieval-frozen", "static")
"""The paper's three tables."""


def write_replay(document: Mapping[str, Any], into: Path) -> Path:
    """Write the page of a replay; equal documents give equal bytes.

    Args:
        document: `replay.json`, as `freshet.replay.figures.summarise` gives it.
        into: the file to write, or a folder that receives `replay.html`.

    Returns:
        The file written. It needs no network, no scripts and no other file.
    """
    path = into / "replay.html" if into.is_dir() else into
    write_text(path, render_replay(document))
    return path


def render_replay(document: Mapping[str, Any]) -> str:
    """The page as text."""
    return render_page(
        "replay.html",
        name=document["log"].get("name", "replay"),
        found=document,
        log=document["log"],
        answer=document["recommendation"],
        reference=document["reference"],
        arms=replay_tables.arms(document),
        lines=replay_tables,
        charts=charts(document),
        paper=replay_tables.paper_lines(document),
        paper_title=replay_tables.TITLE,
        groups=replay_sources.group_tables(document),
        shares=replay_sources.share_table(document),
    )


def charts(document: Mapping[str, Any]) -> dict[str, Markup | None]:
    """The page's charts by name; None where the replay has nothing to draw."""
    return {
        "days": replay_curves.by_day(document, MAIN),
        "papers": replay_curves.by_day(document, PAPERS) if set(PAPERS) <= set(document["arms"]) else None,
        "loss": replay_curves.loss_by_age(document),
        "overlap": replay_curves.overlap_by_age(document),
        "drift": replay_charts.drift_by_distance(document),
        "age": replay_curves.by_age(document),
        "frontier": replay_charts.frontier(document),
        "calibration": replay_charts.calibration(document, ("hybrid", "counts", "static", "popularity")),
        "churn": replay_charts.churn(document),
        "weights": replay_charts.weights(document),
        "scarcity": replay_sources.scarcity(document),
    }


def write_cadence(document: Mapping[str, Any], into: Path) -> Path:
    """Write the page of a recommended schedule; equal documents give equal bytes.

    Args:
        document: `cadence.json`, as `freshet.replay.figures.schedule_advice` gives it.
        into: the file to write.

    Returns:
        The file written. It needs no network, no scripts and no other file.
    """
    write_text(into, render_cadence(document))
    return into


def render_cadence(document: Mapping[str, Any]) -> str:
    """The page as text."""
    return render_page(
        "cadence.html",
        name=document["log"].get("name", "cadence"),
        found=document,
        log=document["log"],
        lines=replay_tables,
        chart=replay_charts.frontier(_as_arms(document)),
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
