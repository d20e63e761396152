"""The seams of Freshet: one to three methods on plain types each.

Every backend of a port passes the port's public contract suite in `freshet.checks`.
"""

from freshet.core.ports.alert_port import AlertReceiver
from freshet.core.ports.encoder_port import Encoder, is_blank
from freshet.core.ports.event_stream_port import EventStream, Gap, Lag, Message, Polled, Start
from freshet.core.ports.executor_port import Executor, Resources
from freshet.core.ports.export_port import Announcer, ExportTarget, FilePlace, GivenRelease, RowBlock, Written
from freshet.core.ports.object_store_port import Listed, ObjectStore, Stored
from freshet.core.ports.planner_port import (
    Abilities,
    Begin,
    Candidates,
    Planner,
    Tuner,
    TuningJob,
    TuningPlan,
)
from freshet.core.ports.run_ports import Budget, CadencePolicy, Looks, Progress, silent
from freshet.core.ports.source_port import SourceObject, SourceStore
from freshet.core.ports.tracker_port import RunState, TrackedData, TrackedRun, TrackedStep, Tracker
from freshet.core.ports.trainer_ports import (
    Ended,
    RankingJob,
    RankingTrainer,
    SequenceJob,
    SequenceReport,
    Sequences,
    SequenceTrainer,
)
from freshet.core.ports.user_store_port import Erased, Journal, Notes, UserStore

__all__ = [
    "Abilities",
    "AlertReceiver",
    "Announcer",
    "Begin",
    "Budget",
    "CadencePolicy",
    "Candidates",
    "Encoder",
    "Ended",
    "Erased",
    "EventStream",
    "Executor",
    "ExportTarget",
    "FilePlace",
    "Gap",
    "GivenRelease",
    "Journal",
    "Lag",
    "Listed",
    "Looks",
    "Message",
    "Notes",
    "ObjectStore",
    "Planner",
    "Polled",
    "Progress",
    "RankingJob",
    "RankingTrainer",
    "Resources",
    "RowBlock",
    "RunState",
    "SequenceJob",
    "SequenceReport",
    "SequenceTrainer",
    "Sequences",
    "SourceObject",
    "SourceStore",
    "Start",
    "Stored",
    "TrackedData",
    "TrackedRun",
    "TrackedStep",
    "Tracker",
    "Tuner",
    "TuningJob",
    "TuningPlan",
    "UserStore",
    "Written",
    "is_blank",
    "silent",
]
