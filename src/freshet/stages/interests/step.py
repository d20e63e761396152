"""Step: the tree of interests, and which interest every item belongs to (paper, section 3.1)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from freshet.core.config import Config
from freshet.core.ports import Artifact
from freshet.core.time_scales import Pace, Scales, holdout_starts, measure, resolve
from freshet.core.types import AsOf
from freshet.stages import events, interests
from freshet.stages.events.step import committed
from freshet.stages.transitions.day_files import day_name, day_number
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace, version_of

CODE = 4


def form(
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


def assign(
    ws: Workspace, run: Run, snapshot: events.Snapshot, catalogue: Artifact, model: Artifact
) -> Artifact:
    """Which interest every item belongs to; items that came after the interests were built included."""
    key = version_of(
        code=CODE,
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


def scales_of(formed: Artifact, config: Config) -> Scales:
    """Lengths of windows and half-lives, by the pace of the log that the interests were formed on."""
    return resolve(Pace(**formed.manifest["pace"]), config)


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
        "code": CODE,
    }


def _to_form_on(
    ws: Workspace, as_of: AsOf, snapshot: events.Snapshot, since: date, pace: Pace
) -> tuple[events.Snapshot, bool]:
    """The events until as long before the held-out windows as these are, and whether they reach into them.

    Between the two lies what models learn from of moves between interests that are settled. Half of the log's
    time is used where that doesn't reach into the windows, and a third of it even where it does.
    """
    now, first = day_number(str(as_of)), day_number(str(since))
    start = holdout_starts(resolve(pace, ws.config), now)[0]
    half, third = (first + (now - first + parts - 1) // parts for parts in (2, 3))
    end = max(start - (now - start), min(half, start), third)
    before = events.EventLog(ws.source).snapshot(AsOf.parse(day_name(end)))
    used = before if before.days else snapshot
    return used, day_number(str(used.days[-1].day)) >= start


def _age(interests: Artifact) -> tuple[str, int]:
    """Orders interests from old to new; a rebuild may have the as_of of what it replaces."""
    return interests.manifest["as_of"], interests.manifest.get("generation", 0)
