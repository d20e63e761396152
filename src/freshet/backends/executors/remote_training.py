"""Trainings that run where an executor finds room for them: the same jobs, elsewhere.

What they write and keep lies in the workspace, which every machine sees; weights come back as they are.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

from freshet.backends.executors.remote_planner import Opening, RemotePlanner
from freshet.core.ports import (
    Abilities,
    Executor,
    Planner,
    Progress,
    RankingJob,
    RankingTrainer,
    Resources,
    SequenceJob,
    SequenceReport,
    SequenceTrainer,
    Tuner,
    TuningJob,
    TuningPlan,
    silent,
)
from freshet.core.types import Interests, RankingWeights, SequenceWeights, TuningReport


class RemoteTuner(Tuner):
    """A tuner whose trainings, and whose planners' answers, are jobs of an executor.

    Args:
        tuner: does the work; it can be pickled.
        needs: of a training, and of a worker that holds a planner.
    """

    def __init__(self, tuner: Tuner, executor: Executor, training: Resources, planner: Resources) -> None:
        self.tuner = tuner
        self._executor, self._training, self._planner = executor, training, planner

    @property
    def trains(self) -> bool:
        return self.tuner.trains

    @property
    def recipe(self) -> str:
        return self.tuner.recipe

    def check(self, plan: TuningPlan) -> None:
        """Asked where it would be trained, whose devices and memory count."""
        self._executor.call(_check, (self.tuner, plan), self._training)

    def forecast(self, plan: TuningPlan) -> str:
        return self._executor.call(_forecast, (self.tuner, plan), self._training)

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        """Written beside `into` by each try, so that one that was believed dead disturbs none."""
        aside = into.with_name(f"{into.name}.{uuid4().hex}")
        aside.mkdir(parents=True)
        try:
            folder, report = self._executor.call(_tune, (self.tuner, job, aside), self._training, progress)
            folder.rename(into)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return report

    def continues_models(self, mode: str) -> bool:
        return self.tuner.continues_models(mode)

    def preview(self, interests: Interests) -> Planner | None:
        return self.tuner.preview(interests)

    def version(self, model: Path, interests: Interests) -> str:
        return self.tuner.version(model, interests)

    def abilities(self, model: Path, interests: Interests) -> Abilities:
        return self.tuner.abilities(model, interests)

    def open(self, model: Path, interests: Interests) -> RemotePlanner:
        return RemotePlanner(Opening(self.tuner, model, interests), self._executor, self._planner)


class RemoteSequenceTrainer(SequenceTrainer):
    """A trainer of sequence models, elsewhere."""

    def __init__(self, trainer: SequenceTrainer, executor: Executor, needs: Resources) -> None:
        self.trainer = trainer
        self._executor, self._needs = executor, needs

    @property
    def version(self) -> str:
        return self.trainer.version

    def train(self, job: SequenceJob, progress: Progress = silent) -> tuple[SequenceWeights, SequenceReport]:
        return self._executor.call(_train_sequences, (self.trainer, job), self._needs, progress)


class RemoteRankingTrainer(RankingTrainer):
    """A trainer of what ranks items, elsewhere."""

    def __init__(self, trainer: RankingTrainer, executor: Executor, needs: Resources) -> None:
        self.trainer = trainer
        self._executor, self._needs = executor, needs

    @property
    def version(self) -> str:
        return self.trainer.version

    def train(self, job: RankingJob, progress: Progress = silent) -> tuple[RankingWeights, SequenceReport]:
        return self._executor.call(_train_ranker, (self.trainer, job), self._needs, progress)


def _check(job: tuple[Tuner, TuningPlan], progress: Progress) -> None:  # noqa: ARG001
    tuner, plan = job
    tuner.check(plan)


def _forecast(job: tuple[Tuner, TuningPlan], progress: Progress) -> str:  # noqa: ARG001
    tuner, plan = job
    return tuner.forecast(plan)


def _tune(job: tuple[Tuner, TuningJob, Path], progress: Progress) -> tuple[Path, TuningReport]:
    tuner, training, aside = job
    folder = aside / uuid4().hex
    report = tuner.tune(training, folder, progress)
    return folder, report


def _train_sequences(
    job: tuple[SequenceTrainer, SequenceJob], progress: Progress
) -> tuple[SequenceWeights, SequenceReport]:
    trainer, training = job
    return trainer.train(training, progress)


def _train_ranker(
    job: tuple[RankingTrainer, RankingJob], progress: Progress
) -> tuple[RankingWeights, SequenceReport]:
    trainer, training = job
    return trainer.train(training, progress)
