"""Writing the page: the answer in words, then the curves, then how it was run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from freshet.report.experimented import answer, curves
from freshet.report.page import STYLE, templates
from freshet.storage.durable import write_text


def write_experiment(document: Mapping[str, Any], into: Path, private: bool = True) -> Path:
    """Write the page; equal documents give equal bytes.

    Args:
        document: what `freshet experiment report --json` says.
        into: the file to write.
        private: as the workspace is; else the umask says who may read it.
    """
    write_text(into, render(document), private=private)
    return into


def render(document: Mapping[str, Any]) -> str:
    """The page as text."""
    page = templates(Path(__file__).parent)
    page.filters["signed"], page.filters["span"], page.filters["p"] = (
        answer.signed,
        answer.span,
        answer.p_value,
    )
    words = {metric["name"]: metric for metric in document["metrics"]}
    told = answer.said(document)
    return page.get_template("experiment.html").render(
        style=Markup(STYLE.read_text(encoding="utf-8")),
        document=document,
        experiment=document["experiment"],
        headline=told[0],
        alarms=[line for line in answer.alarms(document) if line != answer.SIMULATED],
        lines=answer.reading(document),
        metrics=words,
        effects=[{**one, **_curves(document, one)} for one in document["effects"]],
    )


def _curves(document: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Markup | None]:
    arm = next(each for each in document["arms"] if each["name"] == one["arm"])
    title = f"Relative effect of {one['arm']} on {one['metric']}"
    return {
        "daily_curve": curves.curve(one["daily"], arm["refreshed"], False, f"{title} by day"),
        "cumulative_curve": curves.curve(
            one["cumulative"], arm["refreshed"], True, f"{title}, all days so far"
        ),
    }
