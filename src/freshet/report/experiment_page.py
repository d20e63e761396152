"""The page of `freshet experiment report`, and the document it is written from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from freshet.core.time import DAY, datetime_of
from freshet.core.types import Experiment, ExperimentArm
from freshet.experiments.measurement.comparison import Comparison, planned_end_reached, ratio_of_users
from freshet.experiments.measurement.exposures import ShownCounts
from freshet.experiments.measurement.frozen_rules import changed
from freshet.experiments.measurement.measure import Measurement
from freshet.report import experiment_curves, experiment_summary
from freshet.report.page_template import render_page
from freshet.report.subject import simulated
from freshet.storage.durable import write_text
from freshet.storage.workspace import Workspace


def experiment_document(
    ws: Workspace, measured: Measurement, compared: Sequence[Comparison]
) -> dict[str, Any]:
    """The document, without `answer`."""
    experiment, shown = measured.experiment, measured.exposures
    return {
        "workspace": ws.root.resolve().name,
        "simulated": bool(simulated(ws)),
        "experiment": _experiment(experiment, changed(ws.config, experiment), planned_end_reached(measured)),
        "days": [str(day) for day in measured.days],
        "arms": [_arm(measured, place, arm) for place, arm in enumerate(experiment.arms)],
        "sample_ratio": asdict(ratio_of_users(measured)),
        "left_out": {
            "users_in_two_arms": shown.mixed,
            "answers_to_nobody": sum(one.nameless for one in shown.shown),
        },
        "outcomes": None if measured.attribution is None else asdict(measured.attribution),
        "events": measured.events,
        "metrics": [
            {
                "name": metric.name,
                "words": metric.words,
                "better": metric.better,
                "per": metric.per,
                "attributed": metric.attributed,
                "covariates": measured.covariates[metric.name],
            }
            for metric in measured.metrics
        ],
        "effects": [asdict(one) for one in compared],
    }


def _experiment(one: Experiment, changes: Mapping[str, Any], ended: bool) -> dict[str, Any]:
    return {
        "name": one.name,
        "running": one.running,
        "start": _moment(one.start),
        "stop": None if one.stop is None else _moment(one.stop),
        "reason": one.reason,
        "traffic": one.traffic,
        "metrics": list(one.metrics),
        "days": one.days,
        "planned_end": _moment(one.start + one.days * DAY),
        "planned_end_reached": ended,
        "settings_changed": {name: {"start": then, "now": now} for name, (then, now) in changes.items()},
        "separated": one.isolated,
        "began_with_release": one.began,
    }


def _moment(micros: int) -> str:
    return datetime_of(micros).isoformat(timespec="seconds")


def _arm(measured: Measurement, place: int, arm: ExperimentArm) -> dict[str, Any]:
    mine = [one for one in measured.exposures.shown if one.arm == arm.name]
    sources: Counter[str] = Counter()
    for one in mine:
        sources[one.reason] += one.interests
    releases = _releases(mine)
    return {
        "name": arm.name,
        "share": arm.share,
        "serves": str(arm.serves),
        "users": int(np.count_nonzero(measured.exposures.users.arm == place)),
        "answers": sum(one.answers for one in mine),
        "sources": dict(sources.most_common()),
        "releases": releases,
        "refreshed": [one["first"] for one in releases[1:]],
    }


def _releases(mine: Sequence[ShownCounts]) -> list[dict[str, Any]]:
    """What an arm was answered with, in order of the first day."""
    found: dict[int, dict[str, Any]] = {}
    for one in mine:
        known = found.setdefault(
            one.release, {"release": one.release, "first": str(one.day), "last": "", "answers": 0}
        )
        known["last"] = str(one.day)
        known["answers"] += one.answers
    return sorted(found.values(), key=lambda one: (one["first"], one["release"]))


def write_experiment(document: Mapping[str, Any], into: Path, private: bool = True) -> Path:
    """Write the page; equal documents give equal bytes.

    Args:
        document: what `freshet experiment report --json` says.
        into: the file to write.
        private: as the workspace is; else the umask says who may read it.
    """
    write_text(into, render_experiment(document), private=private)
    return into


def render_experiment(document: Mapping[str, Any]) -> str:
    """The page as text."""
    sentences = experiment_summary.sentences(document)
    return render_page(
        "experiment.html",
        {
            "signed": experiment_summary.signed,
            "span": experiment_summary.span,
            "p": experiment_summary.p_value,
        },
        document=document,
        experiment=document["experiment"],
        headline=sentences[0],
        alarms=[line for line in experiment_summary.alarms(document) if line != experiment_summary.SIMULATED],
        lines=experiment_summary.reading(document),
        metrics={metric["name"]: metric for metric in document["metrics"]},
        effects=[{**one, **_curves(document, one)} for one in document["effects"]],
    )


def _curves(document: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Markup | None]:
    arm = next(each for each in document["arms"] if each["name"] == one["arm"])
    title = f"Relative effect of {one['arm']} on {one['metric']}"
    return {
        "daily_curve": experiment_curves.curve(one["daily"], arm["refreshed"], False, f"{title} by day"),
        "cumulative_curve": experiment_curves.curve(
            one["cumulative"], arm["refreshed"], True, f"{title}, all days so far"
        ),
    }
