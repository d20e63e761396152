"""Step: the tree of interests, and which interest every item belongs to (paper, section 3.1)."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from freshet.core.config import Config
from freshet.core.ports import Encoder
from freshet.core.time import day_number
from freshet.core.time_scales import Pace, Scales, holdout_starts, measure, resolve
from freshet.core.types import AsOf
from freshet.stages import events, interests
from freshet.storage.artifacts import Artifact, newest
from freshet.storage.build_once import build_once, reuse
from freshet.storage.ledger import Run, StepRecord
from freshet.storage.manifests import AssignmentManifest, FromEvents, FromInterests, InterestsManifest
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

    Args:
        rebuild: form them anew even where there are some; ids are kept.
    """
    config = _settings(ws)

    def is_earlier(artifact: Artifact) -> bool:
        return InterestsManifest.of(artifact).as_of <= str(as_of)

    def fits(artifact: Artifact) -> bool:
        return is_earlier(artifact) and InterestsManifest.of(artifact).config == config

    current = None if rebuild else newest(ws.store, "interests", fits)
    if current is not None:
        return reuse(run, "interests", current)
    previous = newest(ws.store, "interests", is_earlier)
    return _form_anew(ws, run, as_of, snapshot, catalogue, previous)


def _form_anew(
    ws: Workspace,
    run: Run,
    as_of: AsOf,
    snapshot: events.Snapshot,
    catalogue: Artifact,
    previous: Artifact | None,
) -> Artifact:
    """Interests of the events well before the held-out windows; ids go on from the previous interests.

    Transitions between interests look different on the events that the interests were formed on. Models are
    to learn, and weights to be fitted, on transitions as they will be on what comes next (decision 30).
    """
    config = _settings(ws)
    body = events.body(snapshot.days)
    pace = measure([(day.day, day.rows) for day in body])
    before, overlaps = _to_form_on(ws, as_of, snapshot, body[0].day, pace)
    version = version_of(
        events=before.version,
        items=catalogue.version,
        pace=pace.as_dict(),
        config=config,
        previous=previous.version if previous else None,
    )

    def build(folder: Path, step: StepRecord) -> InterestsManifest:
        for day in before.days:
            day.verify()
        if overlaps:
            run.say("a short log: interests are formed on a part of the windows that weights are fitted on")
        step.details = interests.build(
            catalogue.path / "items.parquet",
            [day.path for day in before.days],
            events.parse(ws.config.events.positive).sql,
            ws.config.interests,
            previous.path if previous else None,
            folder,
            run.progress("interests"),
            _encoder(ws),
            run.progress("vectors of texts"),
        )
        earlier = InterestsManifest.of(previous) if previous else None
        return InterestsManifest(
            as_of=str(as_of),
            config=config,
            formed_before=str(before.days[-1].day + timedelta(days=1)),
            inputs=FromEvents(events=before.version, items=catalogue.version),
            # ids mean the same within a lineage; a build that knows no earlier one starts its own
            lineage=earlier.lineage if earlier else version,
            generation=earlier.generation + 1 if earlier else 1,
            pace=pace,
            summary=step.details,
        )

    return build_once(ws, run, "interests", "interests", version, build)


def assign(
    ws: Workspace, run: Run, snapshot: events.Snapshot, catalogue: Artifact, model: Artifact
) -> Artifact:
    """Which interest every item belongs to; items that came after the interests were built included."""
    version = version_of(
        code=CODE,
        interests=model.version,
        items=catalogue.version,
        events=snapshot.version,
        positive=ws.config.events.positive,
    )

    def build(folder: Path, step: StepRecord) -> AssignmentManifest:
        step.details = interests.assign(
            model.path,
            catalogue.path / "items.parquet",
            [day.path for day in snapshot.days],
            events.parse(ws.config.events.positive).sql,
            folder,
            _encoder(ws),
            run.progress("vectors of texts"),
        )
        inputs = FromInterests(interests=model.version, items=catalogue.version)
        return AssignmentManifest(inputs=inputs, summary=step.details)

    return build_once(ws, run, "assignment", "assignments", version, build)


def scales_of(formed: Artifact, config: Config) -> Scales:
    """Lengths of windows and half-lives, by the pace of the log that the interests were formed on."""
    return resolve(InterestsManifest.of(formed).pace, config)


def _settings(ws: Workspace) -> dict[str, Any]:
    """What interests must agree with to be used: how they are formed, and of what.

    The items themselves may change: new ones are assigned without forming interests anew. So may the lengths
    of held-out windows, which only say how old the events should be that interests are formed on.
    """
    return {
        **formed_by(ws),
        "items": bool(ws.config.events.items),
        "item_columns": ws.config.events.item_columns.model_dump(),
        "positive": ws.config.events.positive,
        "code": CODE,
    }


def formed_by(ws: Workspace) -> dict[str, Any]:
    """The settings of `[interests]`, with the version of the encoder where texts are compared by one."""
    encoder = _encoder(ws)
    by = {} if encoder is None else {"text_vectors": encoder.version}
    return {**ws.config.interests.deciding(), **by}


def _encoder(ws: Workspace) -> Encoder | None:
    """What texts are compared by; None = their words."""
    return ws.encoder if ws.config.interests.text_vectors == "encoder" else None


def _to_form_on(
    ws: Workspace, as_of: AsOf, snapshot: events.Snapshot, since: date, pace: Pace
) -> tuple[events.Snapshot, bool]:
    """The events until as long before the held-out windows as these are, and whether they reach into them.

    Between the two lies what models learn from of moves between interests that are settled. Half of the log's
    time is used where that doesn't reach into the windows, and a third of it even where it does.
    """
    now, first = as_of.day_number, day_number(since)
    start = holdout_starts(resolve(pace, ws.config), now)[0]
    half, third = (first + (now - first + parts - 1) // parts for parts in (2, 3))
    end = max(start - (now - start), min(half, start), third)
    before = events.EventLog(ws.source).snapshot(AsOf.from_day_number(end))
    used = before if before.days else snapshot
    return used, day_number(used.days[-1].day) >= start
