"""Step: a ranker of items, trained as often as the planner and brought up to date with every release.

Two artifacts: `itemmodels/<v>` holds what was learned from histories, and the weights of popularity, newness
and histories beside each other; `rankers/<v>` is what serves: all items of a moment and their popularity.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.errors import ConfigError, MissingExtra, NotEnoughData
from freshet.core.ports import Artifact, RankingTrainer
from freshet.core.types import AsOf
from freshet.run_context import LogSnapshot
from freshet.stages import items as ranking
from freshet.stages import sequence
from freshet.stages.events.step import committed
from freshet.stages.items.format import ITEMS, MODEL
from freshet.stages.items.holdout import Held
from freshet.stages.items.training_data import Lessons, gather
from freshet.storage.durable import read_json, write_json
from freshet.storage.ledger import Run
from freshet.storage.training_budget import Trainings
from freshet.storage.workspace import Workspace, version_of

CODE = 3

SCALES = "window_days", "half_lives"
"""Lengths of time that rankers are made by."""

EARLY, FULL = "early", "full"
"""Trainings: without the last rows, which it is judged on, and with them."""


def for_release(ws: Workspace, run: Run, log: LogSnapshot) -> str:
    """Version of the ranker that goes with a release as of now, trained anew where due; '' = none.

    Where nothing can be trained, items are ranked by popularity alone.
    """
    if not ws.config.ranker.use:
        return ""
    try:
        trained = young(ws, log) or train(ws, run, log)
    except (NotEnoughData, MissingExtra) as error:
        run.say(f"ranker: {error.message}; items are ranked by popularity alone")
        trained = None
    return up_to_date(ws, run, log, trained).version


def young(ws: Workspace, log: LogSnapshot) -> Artifact | None:
    """The newest item model if it is younger than the tuning cadence, else None: a new one is due."""
    settings = settings_of(ws, log)
    fit = [
        artifact
        for version in ws.store.versions("itemmodels")
        if (artifact := ws.store.find("itemmodels", version)) is not None
        and artifact.manifest["as_of"] <= str(log.as_of)
        and artifact.manifest["settings"] == settings
    ]
    found = max(fit, key=lambda artifact: (artifact.manifest["as_of"], artifact.version), default=None)
    if found is None:
        return None
    end = AsOf.parse(found.manifest["as_of"]).day + timedelta(days=ws.config.tuning.every_days)
    return found if log.as_of.day < end else None


def train(ws: Workspace, run: Run, log: LogSnapshot) -> Artifact:
    """Train as of a moment, and judge on the last windows before it what was trained without them.

    Raises:
        NotEnoughData: there is too little to learn from, or to hold out.
        MissingExtra: torch is not installed.
    """
    settings = settings_of(ws, log)
    key = version_of(code=CODE, transitions=log.version, as_of=log.as_of, settings=settings)
    found = ws.store.find("itemmodels", key)
    with run.step("ranker") as step:
        step.artifact, step.cached = f"itemmodels/{key}", found is not None
        if found is not None:
            return found
        run.say("training the ranker of items")
        lessons = gather(ws, log, met=True)
        held = Held.of(lessons)
        trainings, config = Trainings(run, step, ws.config.ranker), ws.config.ranker
        early, first = _trainer(ws).train(held.job(config, trainings.budget(EARLY)), run.progress("ranker"))
        trainings.end(EARLY, first)
        judged, weights = held.judge(early)
        budget = trainings.budget(FULL)
        job = lessons.job(config, budget, held.offset, lessons.rows, epochs=first.epochs)
        full, second = _trainer(ws).train(job, run.progress("ranker"))
        trainings.end(FULL, second)
        step.details |= {"rows": second.rows, "passes": round(first.epochs, 2), "judged": judged}
        with ws.store.create("itemmodels", key) as draft:
            sequence.write(sequence.SequenceModel(full.sequence), draft.path / MODEL)
            np.save(draft.path / "project.npy", full.project)
            np.save(draft.path / "offset.npy", full.offset)
            write_json(draft.path / "weights.json", weights)
            learned = lessons.engaged()
            ids = pa.array([lessons.about.ids[i] for i in np.flatnonzero(learned)], pa.string())
            numbers = pa.array(np.flatnonzero(learned), pa.int32())
            pq.write_table(pa.table({"item": ids, "number": numbers}), draft.path / "learned.parquet")
            draft.manifest = {
                "as_of": str(log.as_of),
                "settings": settings,
                "inputs": {"transitions": log.version, "interests": log.interests_version},
                "judged": judged,
                **trainings.told(),
            }
        return committed(ws, "itemmodels", key)


def up_to_date(ws: Workspace, run: Run, log: LogSnapshot, trained: Artifact | None) -> Artifact:
    """The ranker as of now: every assigned item; those that were not learned by what they are about.

    Args:
        trained: the item model; None = popularity alone.
    """
    made_of = trained.version if trained else ""
    key = version_of(
        code=CODE,
        trained=made_of,
        transitions=log.version,
        as_of=log.as_of,
        scales=log.scales.some(*SCALES) if trained is None else None,  # what was trained holds its own
    )
    found = ws.store.find("rankers", key)
    with run.step("items ranked") as step:
        step.artifact, step.cached = f"rankers/{key}", found is not None
        if found is not None:
            return found
        lessons = gather(ws, log)
        weights, new = by_popularity(lessons), 0
        with ws.store.create("rankers", key) as draft:
            if trained is not None:
                weights = read_json(trained.path / "weights.json")
                model, new = _embedded(trained, lessons, float(weights["histories"]))
                sequence.write(model, draft.path / MODEL)
            ranking.write(lessons.shelves(weights), draft.path / ITEMS)
            draft.manifest = {
                "as_of": str(log.as_of),
                "inputs": {
                    "itemmodel": made_of,
                    "transitions": log.version,
                    "interests": log.interests_version,
                },
                "items": len(lessons.about.ids),
                "new": new,
            }
            step.details = {"items": len(lessons.about.ids), "new": new}
        return committed(ws, "rankers", key)


def of_table(ws: Workspace, made: Artifact) -> str:
    """Version of a ranker of a table's moment and log; '' where there is none."""
    wanted = {name: made.manifest["inputs"][name] for name in ("transitions", "interests")}
    found = [
        artifact.version
        for version in ws.store.versions("rankers")
        if (artifact := ws.store.find("rankers", version)) is not None
        and artifact.manifest["as_of"] == made.manifest["as_of"]
        and wanted.items() <= artifact.manifest["inputs"].items()
    ]
    return found[-1] if found else ""


def by_popularity(lessons: Lessons) -> dict[str, Any]:
    """Weights where nothing was learned: popularity at the middle half-life."""
    life = lessons.half_lives[len(lessons.half_lives) // 2]
    return {"half_lives": [life], "prior": [1.0, 0.0], "alone": [1.0, 0.0]}


def _embedded(trained: Artifact, lessons: Lessons, weight: float) -> tuple[sequence.SequenceModel, int]:
    """The model over the items of now, what it says weighed, and how many items it has not learned from."""
    weights = sequence.read(trained.path / MODEL).weights
    project, offset = (np.load(trained.path / f"{name}.npy") for name in ("project", "offset"))
    table = pq.read_table(trained.path / "learned.parquet")
    learned = dict(zip(table["item"].to_pylist(), table["number"].to_pylist(), strict=True))
    known = lessons.about.vectors
    embedding = (known @ project[: known.shape[1]] + offset).astype(np.float32)
    numbers = np.array([learned.get(item, -1) for item in lessons.about.ids])
    embedding[numbers >= 0] = weights.embedding[numbers[numbers >= 0]]
    now = replace(
        weights,
        embedding=embedding,
        bias=np.zeros(len(embedding), np.float32),
        norm=(weights.norm * weight).astype(np.float32),
    )
    return sequence.SequenceModel(now), int((numbers < 0).sum())


def _trainer(ws: Workspace) -> RankingTrainer:
    if ws.ranker is None:
        raise ConfigError("this workspace was opened without a trainer of rankers")
    return ws.ranker


def settings_of(ws: Workspace, log: LogSnapshot) -> dict[str, object]:
    """What an item model must agree with to be used."""
    return {
        "trainer": _trainer(ws).version,
        "ranker": ws.config.ranker.model_dump(exclude={"use"}),
        "novelty_days": ws.config.transitions.novelty_days,
        "interests": log.interests_version,
        "scales": log.scales.some(*SCALES),
    }
