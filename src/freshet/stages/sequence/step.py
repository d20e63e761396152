"""Step: a sequence model over users' recent interests, whose score may enter the mixture.

Two sets of weights are kept: `early` knows nothing of the held-out windows, on which the weight of its score
is fitted; `full` has learned from everything before as_of, and scores.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.ports import Budget, SequenceJob, Sequences, SequenceTrainer
from freshet.core.types import AsOf
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import counts, sequence
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.tuning.step import ROOM, settled
from freshet.storage.artifacts import Artifact, newest
from freshet.storage.build_once import build_once
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import FromTransitions, SequenceManifest
from freshet.storage.training_budget import Trainings
from freshet.storage.workspace import Workspace, version_of

CODE = 1

EARLY, FULL = "early", "full"


def for_mixture(ctx: RunContext) -> Artifact | None:
    """The sequence model whose score enters the mixture: the newest while it is young, else a new one.

    None where the configuration doesn't use one, and where there is too little to learn from.
    """
    if not ctx.config.sequence.use:
        return None
    try:
        return young(ctx.ws, ctx.log) or train(ctx)
    except NotEnoughData as error:
        ctx.run.say(f"sequence: {error.message}; the mixture goes without")
        return None


def young(ws: Workspace, log: LogSnapshot) -> Artifact | None:
    """The newest sequence model if it is younger than the tuning cadence, else None: a new one is due."""
    found = newest_model(ws, log, log.as_of)
    if found is None:
        return None
    end = AsOf.parse(SequenceManifest.of(found).as_of).day + timedelta(days=ws.config.tuning.every_days)
    return found if log.as_of.day < end else None


def newest_model(ws: Workspace, log: LogSnapshot, as_of: AsOf) -> Artifact | None:
    """The newest sequence model trained at or before as_of with this configuration and these interests."""
    settings = _settings(ws, log)

    def fits(artifact: Artifact) -> bool:
        manifest = SequenceManifest.of(artifact)
        return manifest.as_of <= str(as_of) and manifest.settings == settings

    return newest(ws.store, "sequences", fits)


def train(ctx: RunContext) -> Artifact:
    """Train as of a moment; a model of that moment that is there already is not trained again.

    Raises:
        NotEnoughData: there is too little before the held-out windows.
        MissingExtra: torch is not installed.
    """
    ws, run, log, holdout = ctx.ws, ctx.run, ctx.log, ctx.fitter.holdout
    settings = _settings(ws, log)
    key = version_of(
        code=CODE,
        transitions=log.version,
        as_of=log.as_of,
        every=holdout.stretch_days,
        settings=settings,
    )

    def build(folder: Path, step: StepRecord) -> SequenceManifest:
        run.say("training the sequence model")
        trainings, trainer = Trainings(run, step, ws.config.sequence), _trainer(ws)
        job = _job(ctx, holdout.start, 0.0, trainings.budget(EARLY))
        early, report = trainer.train(job, run.progress("sequence"))
        trainings.end(EARLY, report)
        job = _job(ctx, log.as_of, report.epochs, trainings.budget(FULL))
        full, again = trainer.train(job, run.progress("sequence"))
        trainings.end(FULL, again)
        for name, weights in ((EARLY, early), (FULL, full)):
            sequence.write(sequence.SequenceModel(weights), folder / name)
        step.details |= {
            "sequences": again.rows,
            "passes": round(report.epochs, 2),
            "held_out": report.holdout_nll,
        }
        return SequenceManifest(
            as_of=str(log.as_of),
            trained_before={EARLY: str(holdout.start), FULL: str(log.as_of)},
            settings=settings,
            inputs=FromTransitions(transitions=log.version, interests=log.interests_version),
            passes=report.epochs,
            **trainings.summary(),
        )

    return build_once(ws, run, "sequence", "sequences", key, build)


def open_model(made: Artifact, which: str = FULL) -> sequence.SequenceModel:
    """One of the two sets of weights of an artifact."""
    return sequence.read(made.path / which)


def sequence_scorer(fitter: CountFitter, model: sequence.SequenceModel) -> counts.Scorer:
    """Scores by the sequence model alone, as of now; users with no recent interest are scored by counts."""
    now = fitter.scorer()
    return counts.Scorer(now.model, now.count_weights, None, np.array([0.0, 1.0]), model.logits)


def training_sequences(ctx: RunContext, end: AsOf) -> Sequences:
    """What can be learned from before a moment: transitions with a context, and popularity at their time.

    Popularity is counted anew as often as tables are refreshed, so it is as old as when users are scored.
    """
    log = ctx.log
    size, days = len(log.interests), ctx.fitter.holdout.stretch_days
    limit = min(ctx.config.sequence.max_examples, ROOM // size)
    rows = log.transitions.between(settled(ctx), end, limit).with_context()
    if not len(rows):
        raise NotEnoughData(
            f"no transition with a context lies before {end}",
            hint="import more events, or choose a later moment",
        )
    starts, moment = np.unique(rows.day // days * days, return_inverse=True)
    prior = np.stack([_popularity(log, AsOf.from_day_number(start)) for start in starts])
    return Sequences(rows.recent, rows.successor, rows.known, prior.astype(np.float32), moment)


def _popularity(log: LogSnapshot, moment: AsOf) -> NDArray[np.float64]:
    sums = [log.transitions.sums(moment, half_life, 0) for half_life in log.scales.half_lives]
    return np.log(counts.popularity_of(sums, len(log.interests)))


def _job(ctx: RunContext, end: AsOf, epochs: float, budget: Budget) -> SequenceJob:
    return SequenceJob(
        sequences=training_sequences(ctx, end),
        vectors=ctx.log.interests.vectors,
        epochs=epochs,
        budget=budget,
        seed=ctx.config.sequence.seed,
    )


def _trainer(ws: Workspace) -> SequenceTrainer:
    if ws.sequencer is None:
        raise ConfigError("this workspace was opened without a trainer of sequence models")
    return ws.sequencer


def _settings(ws: Workspace, log: LogSnapshot) -> dict[str, object]:
    """What a sequence model must agree with to be used."""
    return {
        "trainer": _trainer(ws).version,
        "sequence": ws.config.sequence.model_dump(exclude={"use"}),
        "transitions": ws.config.transitions.model_dump(exclude={"k"}),
        "interests": log.interests_version,
        "scales": log.scales.some("window_days", "fit_windows", "half_lives"),
    }
