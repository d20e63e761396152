"""Step: a ranker of items, trained as often as the planner and brought up to date with every release.

Two artifacts: `itemmodels/<v>` holds what was learned from histories, and the weights of popularity, newness
and histories beside each other; `rankers/<v>` is what serves: all items of a moment and their popularity.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from freshet.core.errors import ConfigError, MissingExtra, NotEnoughData
from freshet.core.ports import RankingTrainer
from freshet.core.types import AsOf
from freshet.run_context import LogSnapshot
from freshet.stages import items as ranking
from freshet.stages import sequence
from freshet.stages.items.format import ITEMS, MODEL, write_model
from freshet.stages.items.holdout import Held
from freshet.stages.items.training_data import TrainingData, gather
from freshet.storage.artifacts import Artifact, newest
from freshet.storage.build_once import build_once
from freshet.storage.durable import read_json
from freshet.storage.ledger import Run, StepRecord
from freshet.storage.manifests import (
    FromItemModel,
    FromTransitions,
    ItemModelManifest,
    RankerManifest,
    TableManifest,
)
from freshet.storage.training_budget import Trainings
from freshet.storage.warm_starts import forgotten_by
from freshet.storage.workspace import Workspace, version_of

CODE = 3

SCALES = "window_days", "half_lives"
"""Lengths of time that rankers are made by."""

EARLY, FULL = "early", "full"
"""Trainings: without the last rows, which it is judged on, and with them."""


def at_hand(ws: Workspace, run: Run, log: LogSnapshot) -> str:
    """Version of the ranker that goes with a release as of now; '' = none. Nothing is trained for it.

    It is by the newest item model, or by popularity alone before there is one.
    """
    return up_to_date(ws, run, log, _newest(ws, log)).version if ws.config.ranker.use else ""


def renewed(ws: Workspace, run: Run, log: LogSnapshot, serving: str) -> str:
    """Version of a ranker by an item model that the serving one is not by, trained where one is due.

    '' where there is none: none is wanted, the serving one is by the newest, or nothing can be trained.
    """
    if not ws.config.ranker.use:
        return ""
    try:
        trained = young(ws, log) or train(ws, run, log)
    except (NotEnoughData, MissingExtra) as error:
        run.say(f"ranker: {error.message}; items are ranked by popularity alone")
        return ""
    found = ws.store.find("rankers", serving) if serving else None
    if found is not None and RankerManifest.of(found).inputs.itemmodel == trained.version:
        return ""
    return up_to_date(ws, run, log, trained).version


def young(ws: Workspace, log: LogSnapshot) -> Artifact | None:
    """The newest item model if it is younger than the tuning cadence, else None: a new one is due.

    One that knows somebody who was forgotten since is due for a new one, too.
    """
    found = _newest(ws, log)
    if found is None:
        return None
    made = ItemModelManifest.of(found)
    end = AsOf.parse(made.as_of).day + timedelta(days=ws.config.tuning.every_days)
    return found if log.as_of.day < end and made.forgotten == forgotten_by(ws) else None


def _newest(ws: Workspace, log: LogSnapshot) -> Artifact | None:
    """The newest item model of this configuration trained at or before as_of."""
    settings = settings_of(ws, log)

    def fits(artifact: Artifact) -> bool:
        manifest = ItemModelManifest.of(artifact)
        return manifest.as_of <= str(log.as_of) and manifest.settings == settings

    return newest(ws.store, "itemmodels", fits)


def train(ws: Workspace, run: Run, log: LogSnapshot) -> Artifact:
    """Train as of a moment, and judge on the last windows before it what was trained without them.

    Raises:
        NotEnoughData: there is too little to learn from, or to hold out.
        MissingExtra: torch is not installed.
    """
    settings = settings_of(ws, log)
    key = version_of(code=CODE, transitions=log.version, as_of=log.as_of, settings=settings)

    def build(folder: Path, step: StepRecord) -> ItemModelManifest:
        run.say("training the ranker of items")
        data = gather(ws, log, met=True)
        held = Held.of(data)
        trainings, config, trainer = Trainings(run, step, ws.config.ranker), ws.config.ranker, _trainer(ws)
        early, first = trainer.train(held.job(config, trainings.budget(EARLY)), run.progress("ranker"))
        trainings.end(EARLY, first)
        evaluated, weights = held.evaluate(early)
        job = data.job(config, trainings.budget(FULL), held.offset, data.rows, epochs=first.epochs)
        full, second = trainer.train(job, run.progress("ranker"))
        trainings.end(FULL, second)
        step.details |= {"rows": second.rows, "passes": round(first.epochs, 2), "judged": evaluated}
        write_model(full, weights, data.about.ids, data.engaged(), folder)
        return ItemModelManifest(
            as_of=str(log.as_of),
            settings=settings,
            inputs=FromTransitions(transitions=log.version, interests=log.interests_version),
            judged=evaluated,
            forgotten=forgotten_by(ws),
            **trainings.summary(),
        )

    return build_once(ws, run, "ranker", "itemmodels", key, build)


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

    def build(folder: Path, step: StepRecord) -> RankerManifest:
        data = gather(ws, log)
        weights, new = by_popularity(data), 0
        if trained is not None:
            weights = read_json(trained.path / "weights.json")
            model, new = _embedded(trained, data, float(weights["histories"]))
            sequence.write(model, folder / MODEL)
        ranking.write(data.item_index(weights), folder / ITEMS)
        step.details = {"items": len(data.about.ids), "new": new}
        inputs = FromItemModel(itemmodel=made_of, transitions=log.version, interests=log.interests_version)
        return RankerManifest(as_of=str(log.as_of), inputs=inputs, **step.details)

    return build_once(ws, run, "items ranked", "rankers", key, build)


def of_table(ws: Workspace, made: Artifact) -> str:
    """Version of a ranker of a table's moment and log; '' where there is none."""
    table = TableManifest.of(made)

    def fits(artifact: Artifact) -> bool:
        ranker = RankerManifest.of(artifact)
        same_log = ranker.inputs.transitions == table.inputs.transitions
        return ranker.as_of == table.as_of and same_log and ranker.inputs.interests == table.inputs.interests

    found = newest(ws.store, "rankers", fits)
    return found.version if found else ""


def by_popularity(data: TrainingData) -> dict[str, Any]:
    """Weights where nothing was learned: popularity at the middle half-life."""
    life = data.half_lives[len(data.half_lives) // 2]
    return {"half_lives": [life], "prior": [1.0, 0.0], "alone": [1.0, 0.0]}


def _embedded(trained: Artifact, data: TrainingData, weight: float) -> tuple[sequence.SequenceModel, int]:
    """The model over the items of now, what it says weighed, and how many items it has not learned from."""
    weights = sequence.read(trained.path / MODEL).weights
    project, offset = (np.load(trained.path / f"{name}.npy") for name in ("project", "offset"))
    table = pq.read_table(trained.path / "learned.parquet")
    learned = dict(zip(table["item"].to_pylist(), table["number"].to_pylist(), strict=True))
    numbers = np.array([learned.get(item, -1) for item in data.about.ids])
    embedding = np.empty((len(numbers), weights.embedding.shape[1]), np.float32)
    embedding[numbers >= 0] = weights.embedding[numbers[numbers >= 0]]
    if (numbers < 0).any():
        said = data.about.take(numbers < 0).vectors
        embedding[numbers < 0] = said @ project[: said.shape[1]] + offset
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
