"""Step: a sequence model over users' recent interests, whose score may enter the mixture.

Two sets of weights are kept: `early` knows nothing of the held-out windows, on which the weight of its score
is fitted; `full` has learned from everything before as_of, and scores.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from freshet.context import LogSnapshot
from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.ports import Budget, SequenceJob, Sequences, SequenceTrainer
from freshet.core.types import AsOf
from freshet.stages import counts, sequence
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.events.step import committed
from freshet.stages.tuning.step import ROOM, settled
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Run
from freshet.storage.training_budget import Trainings
from freshet.storage.workspace import Workspace, version_of

CODE = 1

EARLY, FULL = "early", "full"


def for_mixture(ws: Workspace, run: Run, known: LogSnapshot, counting: CountFitter) -> Artifact | None:
    """The sequence model whose score enters the mixture: the newest while it is young, else a new one.

    None where the configuration doesn't use one, and where there is too little to learn from.
    """
    if not ws.config.sequence.use:
        return None
    try:
        return young(ws, known) or train(ws, run, known, counting)
    except NotEnoughData as error:
        run.say(f"sequence: {error.message}; the mixture goes without")
        return None


def young(ws: Workspace, known: LogSnapshot) -> Artifact | None:
    """The newest sequence model if it is younger than the tuning cadence, else None: a new one is due."""
    found = newest(ws, known, known.as_of)
    if found is None:
        return None
    end = AsOf.parse(found.manifest["as_of"]).day + timedelta(days=ws.config.tuning.every_days)
    return found if known.as_of.day < end else None


def newest(ws: Workspace, known: LogSnapshot, as_of: AsOf) -> Artifact | None:
    """The newest sequence model trained at or before as_of with this configuration and these interests."""
    settings = _settings(ws, known)
    fit = [
        artifact
        for version in ws.store.versions("sequences")
        if (artifact := ws.store.find("sequences", version)) is not None
        and artifact.manifest["as_of"] <= str(as_of)
        and artifact.manifest["settings"] == settings
    ]
    return max(fit, key=lambda artifact: (artifact.manifest["as_of"], artifact.version), default=None)


def train(ws: Workspace, run: Run, known: LogSnapshot, counting: CountFitter) -> Artifact:
    """Train as of a moment; a model of that moment that is there already is not trained again.

    Raises:
        NotEnoughData: there is too little before the held-out windows.
        MissingExtra: torch is not installed.
    """
    settings = _settings(ws, known)
    key = version_of(
        code=CODE,
        transitions=known.version,
        as_of=known.as_of,
        every=counting.step,
        settings=settings,
    )
    found = ws.store.find("sequences", key)
    with run.step("sequence") as step:
        step.artifact, step.cached = f"sequences/{key}", found is not None
        if found is not None:
            return found
        run.say("training the sequence model")
        trainings, trainer = Trainings(run, step, ws.config.sequence), _trainer(ws)
        with ws.store.create("sequences", key) as draft:
            job = _job(ws, known, counting, counting.held_since, 0.0, trainings.budget(EARLY))
            early, report = trainer.train(job, run.progress("sequence"))
            trainings.end(EARLY, report)
            job = _job(ws, known, counting, known.as_of, report.passes, trainings.budget(FULL))
            full, again = trainer.train(job, run.progress("sequence"))
            trainings.end(FULL, again)
            for name, weights in ((EARLY, early), (FULL, full)):
                sequence.write(sequence.SequenceModel(weights), draft.path / name)
            step.details |= {
                "sequences": again.rows,
                "passes": round(report.passes, 2),
                "held_out": report.held_out,
            }
            draft.manifest = {
                "as_of": str(known.as_of),
                "trained_before": {EARLY: str(counting.held_since), FULL: str(known.as_of)},
                "settings": settings,
                "inputs": {"transitions": known.version, "interests": known.interests_version},
                "passes": report.passes,
                **trainings.told(),
            }
        return committed(ws, "sequences", key)


def open_model(made: Artifact, which: str = FULL) -> sequence.SequenceModel:
    """One of the two sets of weights of an artifact."""
    return sequence.read(made.path / which)


def alone(counting: CountFitter, model: sequence.SequenceModel) -> counts.Scorer:
    """Scores by the sequence model alone, as of now; users with no recent interest are scored by counts."""
    now = counting.scorer()
    return counts.Scorer(now.model, now.count_weights, None, np.array([0.0, 1.0]), model.logits)


def sequences(ws: Workspace, known: LogSnapshot, counting: CountFitter, end: AsOf) -> Sequences:
    """What can be learned from before a moment: transitions with a context, and popularity at their time.

    Popularity is counted anew as often as tables are refreshed, so it is as old as when users are scored.
    """
    size, days = len(known.interests), counting.step
    limit = min(ws.config.sequence.max_examples, ROOM // size)
    rows = known.transitions.between(settled(ws, known, counting), end, limit).with_context()
    if not len(rows):
        raise NotEnoughData(
            f"no transition with a context lies before {end}",
            hint="import more events, or choose a later moment",
        )
    starts, moment = np.unique(rows.day // days * days, return_inverse=True)
    prior = np.stack([_popularity(known, AsOf.from_day_number(start)) for start in starts])
    return Sequences(rows.recent, rows.successor, rows.known, prior.astype(np.float32), moment)


def _popularity(known: LogSnapshot, moment: AsOf) -> NDArray[np.float64]:
    sums = [known.transitions.sums(moment, half_life, 0) for half_life in known.scales.half_lives]
    return np.log(counts.popularity_of(sums, len(known.interests)))


def _job(
    ws: Workspace, known: LogSnapshot, counting: CountFitter, end: AsOf, passes: float, budget: Budget
) -> SequenceJob:
    return SequenceJob(
        sequences=sequences(ws, known, counting, end),
        vectors=known.interests.vectors,
        passes=passes,
        budget=budget,
        seed=ws.config.sequence.seed,
    )


def _trainer(ws: Workspace) -> SequenceTrainer:
    if ws.sequencer is None:
        raise ConfigError("this workspace was opened without a trainer of sequence models")
    return ws.sequencer


def _settings(ws: Workspace, known: LogSnapshot) -> dict[str, object]:
    """What a sequence model must agree with to be used."""
    return {
        "trainer": _trainer(ws).version,
        "sequence": ws.config.sequence.model_dump(exclude={"use"}),
        "transitions": ws.config.transitions.model_dump(exclude={"k"}),
        "interests": known.interests_version,
        "scales": known.scales.some("window_days", "fit_windows", "half_lives"),
    }
