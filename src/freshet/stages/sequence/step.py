"""Step: a sequence model over users' recent interests, whose score may enter the mixture.

Two sets of weights are kept: `early` knows nothing of the held-out windows, on which the weight of its score
is fitted; `full` has learned from everything before as_of, and scores.

`early` begins at that of the model before. Where there is none, it begins at random weights, and how often
it goes over its rows is found in a training before, the `search`, without the last fifth of them. `full`
begins at `early`. Where that saves nothing, either begins at random weights: see `warm_starts`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.ports import (
    Budget,
    SequenceJob,
    SequenceReport,
    Sequences,
    SequenceTrainer,
)
from freshet.core.types import AsOf, SequenceWeights
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import counts, sequence
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.tuning.step import ROOM, settled
from freshet.storage.artifacts import Artifact, newest
from freshet.storage.build_once import build_once
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import FromTransitions, SequenceManifest
from freshet.storage.training_budget import Trainings
from freshet.storage.warm_starts import (
    begins_anew,
    forgotten_by,
    is_sound,
    may_follow,
    origin,
    share_of_epochs,
)
from freshet.storage.workspace import Workspace, version_of

CODE = 2

SEARCH, EARLY, FULL = "search", "early", "full"

HELD = 5
"""The last of so many parts of the rows is held out of the search."""


def for_mixture(ctx: RunContext) -> Artifact | None:
    """The sequence model whose score enters the mixture: the newest while it is young, else a new one.

    None where the configuration doesn't use one, and where there is too little to learn from.
    """
    if not ctx.config.sequence.use:
        return None
    try:
        return young(ctx.ws, ctx.log) or train(ctx, _newest_before(ctx))
    except NotEnoughData as error:
        ctx.run.say(f"sequence: {error.message}; the mixture goes without")
        return None


def young(ws: Workspace, log: LogSnapshot) -> Artifact | None:
    """The newest sequence model if it is younger than the tuning cadence, else None: a new one is due.

    One that knows somebody who was forgotten since is due for a new one, too.
    """
    found = newest_model(ws, log, log.as_of)
    if found is None:
        return None
    made = SequenceManifest.of(found)
    end = AsOf.parse(made.as_of).day + timedelta(days=ws.config.tuning.every_days)
    return found if log.as_of.day < end and made.forgotten == forgotten_by(ws) else None


def newest_model(ws: Workspace, log: LogSnapshot, as_of: AsOf) -> Artifact | None:
    """The newest sequence model trained at or before as_of with this configuration and these interests."""
    settings = _settings(ws, log)

    def fits(artifact: Artifact) -> bool:
        manifest = SequenceManifest.of(artifact)
        return manifest.as_of <= str(as_of) and manifest.settings == settings

    return newest(ws.store, "sequences", fits)


def train(ctx: RunContext, earlier: Artifact | None = None) -> Artifact:
    """Train as of a moment; a model of that moment that is there already is not trained again.

    Args:
        earlier: whose early weights training begins at, where these may be; None = it begins at random ones.

    Raises:
        NotEnoughData: there is too little before the held-out windows.
        MissingExtra: torch is not installed.
    """
    ws, run, log, holdout = ctx.ws, ctx.run, ctx.log, ctx.fitter.holdout
    settings = _settings(ws, log)
    before = earlier if earlier is not None and may_begin_at(ctx, earlier) else None
    if before is not None and begins_anew(SequenceManifest.of(before)):
        before = None
    key = version_of(
        code=CODE,
        transitions=log.version,
        as_of=log.as_of,
        every=holdout.stretch_days,
        settings=settings,
        **({"start": before.version} if before is not None else {}),
    )

    def build(folder: Path, step: StepRecord) -> SequenceManifest:
        run.say("training the sequence model")
        trainings, trainer = Trainings(run, step, ws.config.sequence), _trainer(ws)

        def trained(name: str, job: SequenceJob) -> tuple[SequenceWeights, SequenceReport]:
            made = trainer.train(replace(job, budget=trainings.budget(name)), run.progress("sequence"))
            trainings.end(name, made[1])
            return made

        job, begun = _job(ctx, holdout.start), None
        if before is not None:
            made = SequenceManifest.of(before)
            epochs, learned = made.passes, AsOf.parse(made.trained_before[EARLY])
            begun = _begun(job, epochs, open_model(before, EARLY).weights, learned, made.learned)
        if begun is None:
            held = np.arange(len(job) - len(job) // HELD, len(job))
            found = trained(SEARCH, replace(job, later=held))[1]
            epochs, step.details["held_out"] = found.epochs, found.holdout_nll
        early, _ = trained(EARLY, begun or replace(job, epochs=epochs))
        rows, job = len(job), _job(ctx, log.as_of)
        last = _begun(job, epochs, early, holdout.start, rows) or replace(job, epochs=epochs)
        full, report = trained(FULL, last)
        for name, weights in ((EARLY, early), (FULL, full)):
            sequence.write(sequence.SequenceModel(weights), folder / name)
        step.details |= {
            "sequences": report.rows,
            "passes": round(epochs, 2),
        }
        return SequenceManifest(
            as_of=str(log.as_of),
            trained_before={EARLY: str(holdout.start), FULL: str(log.as_of)},
            settings=settings,
            inputs=FromTransitions(transitions=log.version, interests=log.interests_version),
            passes=epochs,
            **origin(ws, before, begun=begun is not None, learned=rows, since=log.window[0]),
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
    return Sequences(
        rows.recent, rows.successor, rows.known, prior.astype(np.float32), moment, rows.user, rows.day
    )


def _popularity(log: LogSnapshot, moment: AsOf) -> NDArray[np.float64]:
    sums = [log.transitions.sums(moment, half_life, 0) for half_life in log.scales.half_lives]
    return np.log(counts.popularity_of(sums, len(log.interests)))


def _newest_before(ctx: RunContext) -> Artifact | None:
    """The newest model that a training may begin at."""
    return newest(ctx.ws.store, "sequences", lambda artifact: may_begin_at(ctx, artifact))


def may_begin_at(ctx: RunContext, earlier: Artifact) -> bool:
    """Whether its early weights fit, and have not seen what is held out now."""
    made = SequenceManifest.of(earlier)
    blind = made.trained_before[EARLY] <= str(ctx.fitter.holdout.start)
    fits = made.passes > 0 and made.settings == _settings(ctx.ws, ctx.log)
    follows = may_follow(ctx.ws, made, ctx.as_of, ctx.log.window[0])
    return blind and fits and follows and is_sound(ctx.run, earlier)


def _begun(
    job: SequenceJob, epochs: float, weights: SequenceWeights, learned: AsOf, rows: int
) -> SequenceJob | None:
    """A job for some of so many epochs, which begins at weights that so many rows before a moment taught.

    None where so much came since that nothing would be saved.
    """
    share = share_of_epochs(job.sequences.day, learned, rows)
    return replace(job, epochs=epochs * share, begin=weights) if share < 1 else None


def _job(ctx: RunContext, end: AsOf) -> SequenceJob:
    """To learn from all rows before a moment; how long is to be said."""
    return SequenceJob(
        sequences=training_sequences(ctx, end),
        vectors=ctx.log.interests.vectors,
        later=None,
        epochs=0.0,
        budget=Budget(),
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
