"""Step: everything known before a moment: interests, which item belongs where, and transitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from freshet.core.errors import NotEnoughData
from freshet.core.time import day_number
from freshet.core.time_scales import Pace, Scales, held_out, measure, resolve
from freshet.core.types import AsOf, Interests
from freshet.stages import events, interests, transitions
from freshet.stages.events.step import committed, items
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace, version_of

INTERESTS_CODE = 4
TRANSITIONS_CODE = 2


@dataclass(frozen=True)
class LogSnapshot:
    """What was known before `as_of`.

    Attributes:
        interests: the working level, and `interests_version` of its artifact.
        transitions: all transitions before as_of, and `version` of their artifact.
        scales: lengths of windows and half-lives for this log.
        window: first and last day of the log before as_of, without stray ones.
    """

    as_of: AsOf
    interests: Interests
    interests_version: str
    transitions: transitions.TransitionLog
    version: str
    scales: Scales
    window: tuple[str, str]


def learn(ws: Workspace, run: Run, as_of: AsOf, rebuild: bool = False) -> LogSnapshot:
    """Bring interests, assignment and transitions up to date with the log before as_of.

    Raises:
        NotEnoughData: no event lies before as_of.
    """
    snapshot = events.EventLog(ws.source).snapshot(as_of)
    if not snapshot.days:
        raise NotEnoughData(f"no event lies before {as_of}", hint="choose a later --as-of")
    for day in snapshot.days:
        day.check()
    catalogue = items(ws, run)
    model = form_interests(ws, run, as_of, snapshot, catalogue, rebuild)
    loaded = interests.load(model.path)
    assignment = _assign(ws, run, snapshot, catalogue, model)
    counted = _count(ws, run, snapshot, model, assignment, len(loaded))
    body = events.body(snapshot.days)
    window = (str(body[0].day), str(body[-1].day))
    run.record.window = window
    log = transitions.TransitionLog(counted.path, ws.pool, len(loaded))
    return LogSnapshot(
        as_of,
        loaded,
        model.version,
        log,
        counted.version,
        resolve(Pace(**model.manifest["pace"]), ws.config),
        window,
    )


def form_interests(
    ws: Workspace,
    run: Run,
    as_of: AsOf,
    snapshot: events.Snapshot,
    catalogue: Artifact,
    rebuild: bool = False,
) -> Artifact:
    """The newest interests built before or at as_of with this configuration, or new ones.

    Interests are rebuilt rarely: everything downstream speaks of them. New items are assigned without it.
    They are formed well before the held-out windows: people's moves between interests look otherwise on the
    events that the interests were formed on, and models are to learn, and weights to be fitted, on moves as
    they will be on what comes next (decision 30).
    """
    config = _settings(ws)
    known = [
        artifact
        for version in ws.store.versions("interests")
        if (artifact := ws.store.find("interests", version)) is not None
        and artifact.manifest["as_of"] <= str(as_of)
    ]
    known.sort(key=_age)
    with run.step("interests") as step:
        same = [artifact for artifact in known if artifact.manifest["config"] == config]
        previous = known[-1] if known else None
        if same and not rebuild:
            step.artifact, step.cached = f"interests/{same[-1].version}", True
            return same[-1]
        body = events.body(snapshot.days)
        pace = measure([(day.day, day.rows) for day in body])
        before, overlaps = _to_form_on(ws, as_of, snapshot, body[0].day, pace)
        key = version_of(
            events=before.version,
            items=catalogue.version,
            pace=pace.as_dict(),
            config=config,
            previous=previous.version if previous else None,
        )
        step.artifact = f"interests/{key}"
        found = ws.store.find("interests", key)
        if found is not None:
            step.cached = True
            return found
        for day in before.days:
            day.verify()
        if overlaps:
            run.say("a short log: interests are formed on a part of the windows that weights are fitted on")
        with ws.store.create("interests", key) as draft:
            summary = interests.build(
                catalogue.path / "items.parquet",
                [day.path for day in before.days],
                events.parse(ws.config.events.positive).sql,
                ws.config.interests,
                previous.path if previous else None,
                draft.path,
                run.progress("interests"),
            )
            draft.manifest = {
                "as_of": str(as_of),
                "config": config,
                "formed_before": str(before.days[-1].day + timedelta(days=1)),
                "inputs": {"events": before.version, "items": catalogue.version},
                # ids mean the same within a lineage; a build that knows no earlier one starts its own
                "lineage": previous.manifest["lineage"] if previous else key,
                "generation": _age(previous)[1] + 1 if previous else 1,
                "pace": pace.as_dict(),
                "summary": summary,
            }
            step.details = summary
        return committed(ws, "interests", key)


def _settings(ws: Workspace) -> dict[str, Any]:
    """What interests must agree with to be used: how they are formed, and of what.

    The items themselves may change: new ones are assigned without forming interests anew. So may the lengths
    of held-out windows, which only say how old the events should be that interests are formed on.
    """
    return {
        **ws.config.interests.model_dump(),
        "items": bool(ws.config.events.items),
        "item_columns": ws.config.events.item_columns.model_dump(),
        "positive": ws.config.events.positive,
        "code": INTERESTS_CODE,
    }


def _to_form_on(
    ws: Workspace, as_of: AsOf, snapshot: events.Snapshot, since: date, pace: Pace
) -> tuple[events.Snapshot, bool]:
    """The events until as long before the held-out windows as these are, and whether they reach into them.

    Between the two lies what models learn from of moves between interests that are settled. Half of the log's
    time is used where that doesn't reach into the windows, and a third of it even where it does.
    """
    now, first = as_of.day_number, day_number(since)
    start = held_out(resolve(pace, ws.config), now)[0]
    half, third = (first + (now - first + parts - 1) // parts for parts in (2, 3))
    end = max(start - (now - start), min(half, start), third)
    before = events.EventLog(ws.source).snapshot(AsOf.from_day_number(end))
    used = before if before.days else snapshot
    return used, day_number(used.days[-1].day) >= start


def _age(interests: Artifact) -> tuple[str, int]:
    """Orders interests from old to new; a rebuild may have the as_of of what it replaces."""
    return interests.manifest["as_of"], interests.manifest.get("generation", 0)


def _assign(
    ws: Workspace, run: Run, snapshot: events.Snapshot, catalogue: Artifact, model: Artifact
) -> Artifact:
    """Which interest every item belongs to; items that came after the interests were built included."""
    key = version_of(
        code=INTERESTS_CODE,
        interests=model.version,
        items=catalogue.version,
        events=snapshot.version,
        positive=ws.config.events.positive,
    )
    with run.step("assignment") as step:
        step.artifact = f"assignments/{key}"
        found = ws.store.find("assignments", key)
        if found is not None:
            step.cached = True
            return found
        with ws.store.create("assignments", key) as draft:
            summary = interests.assign(
                model.path,
                catalogue.path / "items.parquet",
                [day.path for day in snapshot.days],
                events.parse(ws.config.events.positive).sql,
                draft.path,
            )
            draft.manifest = {
                "inputs": {"interests": model.version, "items": catalogue.version},
                "summary": summary,
            }
            step.details = summary
        return committed(ws, "assignments", key)


def _count(
    ws: Workspace,
    run: Run,
    snapshot: events.Snapshot,
    model: Artifact,
    assignment: Artifact,
    size: int,
) -> Artifact:
    """Daily transitions; only days and users that changed since an earlier count are counted again."""
    settings: dict[str, Any] = {
        "code": TRANSITIONS_CODE,
        "interests": model.version,
        "positive": ws.config.events.positive,
        "novelty_days": ws.config.transitions.novelty_days,
        "seed": ws.config.transitions.seed,
    }
    key = version_of(**settings, events=snapshot.version, assignment=assignment.version)
    with run.step("transitions") as step:
        step.artifact = f"transitions/{key}"
        found = ws.store.find("transitions", key)
        if found is not None:
            step.cached = True
            return found
        with ws.store.create("transitions", key) as draft:
            summary = transitions.count(
                [(day.day, day.path) for day in snapshot.days],
                assignment.path / "assignment.parquet",
                events.parse(ws.config.events.positive).sql,
                size,
                ws.config.transitions,
                _earlier(ws, settings),
                ws.pool,
                draft.path,
                progress=run.progress("transitions"),
            )
            step.details = summary
            # what had to be recounted is a cost of this run, not a property of the counts
            draft.manifest = {
                "as_of": str(AsOf(snapshot.days[-1].day).plus(1)),
                "settings": settings,
                "inputs": {"events": snapshot.version, "assignment": assignment.version},
                "summary": {name: summary[name] for name in ("days", "transitions")},
            }
        return committed(ws, "transitions", key)


def _earlier(ws: Workspace, settings: dict[str, Any]) -> transitions.Earlier | None:
    """The latest count with the same settings whose assignment is still there."""
    for version in reversed(ws.store.versions("transitions")):
        found = ws.store.find("transitions", version)
        if found is None or found.manifest["settings"] != settings:
            continue
        assignment = ws.store.find("assignments", found.manifest["inputs"]["assignment"])
        if assignment is not None:
            return transitions.Earlier(found.path, assignment.path / "assignment.parquet")
    return None
