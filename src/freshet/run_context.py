"""What the steps of one run share: workspace, ledger entry, the log as of a moment, and its counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from freshet.core.errors import AnswersPending
from freshet.core.types import AsOf

if TYPE_CHECKING:
    from freshet.core.config import Config
    from freshet.core.time_scales import Scales
    from freshet.core.types import Interests, Learners, PlannerPrior
    from freshet.stages.counts.fitter import CountFitter
    from freshet.stages.transitions import Kept, TransitionLog
    from freshet.storage.ledger import Run
    from freshet.storage.workspace import Workspace


@dataclass(frozen=True)
class LogSnapshot:
    """The log as it was known before a moment; nothing in it comes from later.

    Attributes:
        as_of: the moment, a midnight in UTC.
        interests: the working level of the tree, and `interests_version` of its artifact.
        transitions: all transitions before as_of, and `version` of their artifact.
        scales: lengths of windows and half-lives for this log, in days.
        window: first and last day of the log before as_of (ISO dates), without stray ones.
        learners: whose transitions these are; None = everybody's. Interests and window are everybody's.
        kept: which engagements may be learned from, where some of the transitions were left out; None = all.
        prior: what a planner says comes after each interest, asked before anything was counted; None = it was
            not asked.
    """

    as_of: AsOf
    interests: Interests
    interests_version: str
    transitions: TransitionLog
    version: str
    scales: Scales
    window: tuple[str, str]
    learners: Learners | None = None
    kept: Kept | None = None
    prior: PlannerPrior | None = None


@dataclass(frozen=True)
class RunContext:
    """What a step of the pipeline is given.

    Attributes:
        ws: the workspace: configuration, artifacts, releases.
        run: the run being recorded in the ledger.
        log: what was known before the moment that everything is computed as of.
        fitter: counts of that log, fitted on its held-out windows.
    """

    ws: Workspace
    run: Run
    log: LogSnapshot
    fitter: CountFitter

    @property
    def as_of(self) -> AsOf:
        """The moment."""
        return self.log.as_of

    @property
    def config(self) -> Config:
        """The workspace's settings."""
        return self.ws.config

    def pending(self, found: Sequence[AnswersPending]) -> AnswersPending:
        """What a planner waits for as one error that says how this run goes on for its own moment."""
        name = self.run.record.command.split()[0]
        again = "the same command goes on then"
        if name in ("run", "refresh", "finetune") and not self.run.record.newest:
            again = f"`freshet {name} --as-of {self.as_of}` goes on then"
        hints = [error.hint for error in found if error.hint]
        return AnswersPending(
            "; ".join(error.message for error in found), hint="\n".join([*dict.fromkeys(hints), again])
        )

    def with_workspace(self, ws: Workspace) -> RunContext:
        """The same run and log, with other settings."""
        return replace(self, ws=ws)
