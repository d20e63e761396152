"""Writing the page of a replay: one document, one template, one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from freshet.report.page import STYLE, templates
from freshet.report.replayed import curves, drifting, gauges, lines, paper, scatter
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
    write_text(path, render(document))
    return path


def render(document: Mapping[str, Any]) -> str:
    """The page as text."""
    return (
        templates(Path(__file__).parent)
        .get_template("replay.html")
        .render(
            style=Markup(STYLE.read_text(encoding="utf-8")),
            name=document["log"].get("name", "replay"),
            found=document,
            log=document["log"],
            answer=document["recommendation"],
            reference=document["reference"],
            arms=lines.arms(document),
            lines=lines,
            charts=charts(document),
            paper=paper.beside(document),
            paper_title=paper.TITLE,
        )
    )


def charts(document: Mapping[str, Any]) -> dict[str, Markup | None]:
    """The page's charts by name; None where the replay has nothing to draw."""
    return {
        "days": curves.by_day(document, MAIN),
        "papers": curves.by_day(document, PAPERS) if set(PAPERS) <= set(document["arms"]) else None,
        "loss": curves.loss_by_age(document),
        "overlap": curves.overlap_by_age(document),
        "drift": drifting.by_distance(document),
        "age": curves.by_age(document),
        "frontier": scatter.frontier(document),
        "calibration": gauges.calibration(document, ("hybrid", "counts", "static", "popularity")),
        "churn": gauges.churn(document),
        "weights": gauges.weights(document),
    }
