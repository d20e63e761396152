"""The seams of Freshet: one to three methods on plain types each.

Every backend of a port passes the port's public contract suite in `freshet.checks`.
"""

from freshet.core.ports.encoder_port import Encoder, is_blank
from freshet.core.ports.executor_port import Executor, Resources
from freshet.core.ports.object_store_port import ObjectStore, Stored
from freshet.core.ports.planner_port import Abilities, Candidates, Planner, Tuner, TuningJob, TuningPlan
from freshet.core.ports.run_ports import Budget, CadencePolicy, Looks, Progress, silent
from freshet.core.ports.tracker_port import RunState, TrackedData, TrackedRun, TrackedStep, Tracker
from freshet.core.ports.trainer_ports import (
    RankingJob,
    RankingTrainer,
    SequenceJob,
    SequenceReport,
    Sequences,
    SequenceTrainer,
)
from freshet.core.ports.user_store_port import Journal, Notes, UserStore

__all__ = [
    "Abilities",
    "Budget",
    "CadencePolicy",
    "Candidates",
    "Encoder",
    "Executor",
    "Journal",
    "Looks",
    "Notes",
    "ObjectStore",
    "Planner",
    "Progress",
    "RankingJob",
    "RankingTrainer",
    "Resources",
    "RunState",
    "SequenceJob",
    "SequenceReport",
    "SequenceTrainer",
    "Sequences",
    "Stored",
    "TrackedData",
    "TrackedRun",
    "TrackedStep",
    "Tracker",
    "Tuner",
    "TuningJob",
    "TuningPlan",
    "UserStore",
    "is_blank",
    "silent",
]
