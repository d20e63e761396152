"""Chooses the executor, and who trains and answers through it."""

from __future__ import annotations

from pathlib import Path

from freshet.backends.executors.local_executor import LocalExecutor
from freshet.backends.executors.ray_executor import RayExecutor
from freshet.backends.executors.remote_training import (
    RemoteRankingTrainer,
    RemoteSequenceTrainer,
    RemoteTuner,
)
from freshet.backends.sequences.trainers import TorchRankingTrainer, TorchSequenceTrainer
from freshet.core.config import Config
from freshet.core.ports import Executor, RankingTrainer, SequenceTrainer, Tuner

ELSEWHERE = ("scratch", "transformers", "fake")
"""Kinds of planners that a cluster can train and ask. A model behind an endpoint gains nothing from it: the
server answers as fast from one machine, and what may be spent is counted in one place."""


def executor_for(config: Config, root: Path) -> Executor:
    """The configured executor; nothing is connected yet."""
    return RayExecutor(config.ray, root) if config.executor == "ray" else LocalExecutor()


def tuner_through(executor: Executor, tuner: Tuner | None, config: Config) -> Tuner | None:
    """A tuner that trains, and whose planners answer, where the executor has room for it."""
    if tuner is None or config.executor == "local" or config.planner.kind not in ELSEWHERE:
        return tuner
    return RemoteTuner(tuner, executor, config.ray.needs("tuning"), config.ray.needs("inference"))


def sequencer_through(executor: Executor, config: Config) -> SequenceTrainer:
    """The trainer of sequence models."""
    trainer = TorchSequenceTrainer()
    if config.executor == "local":
        return trainer
    return RemoteSequenceTrainer(trainer, executor, config.ray.needs("sequence"))


def ranker_through(executor: Executor, config: Config) -> RankingTrainer:
    """The trainer of what ranks items."""
    trainer = TorchRankingTrainer()
    if config.executor == "local":
        return trainer
    return RemoteRankingTrainer(trainer, executor, config.ray.needs("ranker"))
