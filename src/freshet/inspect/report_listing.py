"""The reports that commands have left in a workspace: of replays, cadence, drift, experiments, itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from freshet.core.errors import FreshetError
from freshet.core.time import datetime_of
from freshet.core.types import Experiment
from freshet.storage.durable import read_json
from freshet.storage.workspace import Workspace

MOST_BYTES = 64 * 2**20
"""A document beyond that is not read to be summarised."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of one strategy: hit@5, a share, with its 95 % interval, and cost per 30 days."""

    name: str
    hit: float
    low: float | None
    high: float | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One report.

    Attributes:
        key: names it, such as `replay/2024-04-27_2024-04-30_3d`.
        kind: `replay`, `cadence`, `drift`, `experiment` or `workspace`.
        title: what it is about.
        made: when it was written (ISO 8601, UTC).
        page: the file, a self-contained page; None where there is none (yet).
        sentences: what it says, the most important first; () where it was not read.
        figures: of strategies, best first; `unit` is that of their costs, '' = none.
        simulated: whether it is about people who don't exist; None = not known.
        trouble: why it can't be summarised, '' where it can.
    """

    key: str
    kind: str
    title: str
    made: str
    page: Path | None
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    unit: str = ""
    simulated: bool | None = None
    trouble: str = ""


def reports(ws: Workspace) -> list[ReportLine]:
    """All of them, the newest first; one that is damaged is listed with what is wrong."""
    found = [*_documents(ws.root), *_experiments(ws), *_workspace_pages(ws.root)]
    return sorted(found, key=lambda line: (line.made, line.key), reverse=True)


def report(ws: Workspace, key: str) -> ReportLine | None:
    """The one with a key; None where there is none."""
    return next((line for line in reports(ws) if line.key == key), None)


def _documents(root: Path) -> Iterator[ReportLine]:
    """Reports that lie beside a document of JSON."""
    for path in sorted(root.glob("replay/*/replay.json")):
        yield _summarised(path, "replay", f"replay/{path.parent.name}", _replay)
    for kind, read in (("cadence", _cadence), ("drift", _drift)):
        path = root / kind / f"{kind}.json"
        if path.exists():
            yield _summarised(path, kind, kind, read)


Read = Callable[[Mapping[str, Any]], tuple[Sequence[str], Sequence[Figure], str]]
"""Sentences, figures and their unit of a document."""


def _summarised(path: Path, kind: str, key: str, read: Read) -> ReportLine:
    status = path.stat()
    page = path.with_suffix(".html")
    found = _read_once(path, kind, key, read, (status.st_mtime_ns, status.st_size, status.st_ino))
    return replace(found, page=page if page.exists() else None)


@lru_cache(256)
def _read_once(path: Path, kind: str, key: str, read: Read, stamp: tuple[int, int, int]) -> ReportLine:
    """A document as it was read while its file was the same (`stamp`): large ones take a while."""
    line = ReportLine(key, kind, kind.capitalize(), _written(path), None)
    try:
        if stamp[1] > MOST_BYTES:
            return replace(line, trouble=f"{path.name} is too large to be summarised here")
        document = read_json(path)
        sentences, figures, unit = read(document)
        log = document["log"]
        period = f" of {log['from']} to {log['to']}" if "from" in log else ""
        return replace(
            line,
            title=f"{kind.capitalize()}{period}",
            sentences=tuple(sentences),
            figures=tuple(figures),
            unit=unit,
            simulated=log.get("simulated"),
        )
    except FreshetError as error:
        return replace(line, trouble=error.message)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return replace(line, trouble=f"{path.name} is not what this Freshet writes: {error!r}")


def _replay(document: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[Figure], str]:
    answer, unit = document["recommendation"], document["cost"]["unit"]
    figures = [
        _figure(arm, found["hit_at_5"], found["cost"]["per_30_days"][unit])
        for arm, found in document["arms"].items()
    ]
    sentences = [answer["headline"], answer["why"], answer["drift"], *answer["cadence"]]
    return [one for one in sentences if one], _best_first(figures), _unit(unit, document["log"])


def _cadence(document: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[Figure], str]:
    unit = document["unit"]
    figures = [
        _figure(line["arm"], line["hit_at_5"], line["cost"]["all"][unit]) for line in document["schedules"]
    ]
    return document["text"], _best_first(figures), _unit(unit, document["log"])


def _drift(document: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[Figure], str]:
    return document["answer"], (), ""


def _figure(name: str, hit: Mapping[str, Any], cost: float | None) -> Figure:
    low, high = hit["ci95"] or (None, None)
    return Figure(str(name), float(hit["value"]), low, high, cost)


def _best_first(figures: Sequence[Figure]) -> list[Figure]:
    return sorted(figures, key=lambda figure: (-figure.hit, figure.name))


def _unit(unit: str, log: Mapping[str, Any]) -> str:
    """Money by its currency."""
    return str(log.get("currency", unit)) if unit == "money" else unit


def _experiments(ws: Workspace) -> Iterator[ReportLine]:
    found, damaged = ws.experiments.found()
    for one in found:
        path = ws.root / "experiments" / one.name / "report.html"
        made = _written(path) if path.exists() else _day(one.start)
        yield ReportLine(
            f"experiment/{one.name}",
            "experiment",
            f"Experiment {one.name}",
            made,
            path if path.exists() else None,
            tuple(_about(one)),
        )
    for name, error in damaged.items():
        yield ReportLine(
            f"experiment/{name}", "experiment", f"Experiment {name}", "", None, trouble=error.message
        )


def _about(one: Experiment) -> Iterator[str]:
    arms = ", ".join(f"{arm.name} ({arm.share:.0%}, {arm.serves})" for arm in one.arms)
    yield f"{'Runs' if one.running else 'Ran'} since {_day(one.start)[:10]}, {one.days} days planned."
    if one.stop is not None:
        yield f"Stopped on {_day(one.stop)[:10]}: {one.reason or 'no reason given'}."
    yield f"Arms: {arms}; {one.traffic:.0%} of all users take part."
    yield f"Judged by {', '.join(one.metrics)}."


def _workspace_pages(root: Path) -> Iterator[ReportLine]:
    path = root / "report.html"
    if path.exists():
        said = "What serves, what drives it, its interests, drift and costs, as `freshet report` found them."
        yield ReportLine("workspace", "workspace", "The workspace", _written(path), path, (said,))


def _written(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _day(micros: int) -> str:
    return datetime_of(micros).isoformat(timespec="seconds")
