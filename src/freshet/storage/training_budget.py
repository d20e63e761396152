"""The trainings of an artifact: what each may take, how each ended, and what the ledger keeps of that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from freshet.core.config import RankerConfig, SequenceConfig, TuningConfig
from freshet.core.ports import Budget, SequenceReport
from freshet.core.types import TuningReport
from freshet.storage.ledger import Run, StepRecord


@dataclass
class Trainings:
    """Trainings by name, one after another, in a step that names the artifact.

    The clock counts once: where the same artifact is made again (it was lost, or the run failed before it
    was stored), its trainings end after as many steps as the ledger says they did, however long they take.

    Attributes:
        config: of the section whose `max_steps` and `max_seconds` hold.
        ended: of each training so far `steps`, `stopped_after` (None where the clock didn't end it), why it
            `ended`, and held-out `nll` with the `noise` of its last gain, as far as they are known.
    """

    run: Run
    step: StepRecord
    config: TuningConfig | SequenceConfig | RankerConfig
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Say how long they may take, before the first one begins."""
        took = self.run.ledger.training_seconds(self.step.name)
        before = "" if took is None else f", {took:,.0f} s for all of them the last time"
        self.run.say(f"{self.step.name}: up to {self.config.max_seconds:,.0f} s for each training{before}")

    def budget(self, name: str) -> Budget:
        """What a training may take."""
        steps = None if self.config.max_steps == "auto" else self.config.max_steps
        before = self.run.ledger.trainings(self.step.artifact).get(name)
        if before is None:
            return Budget(steps, self.config.max_seconds)
        return Budget(steps, math.inf, before["stopped_after"])

    def end(self, name: str, report: TuningReport | SequenceReport) -> None:
        """Take down how a training ended, and say so where the clock ended it."""
        self.ended[name] = {"steps": report.steps, "stopped_after": report.stopped_after}
        if report.ended:
            self.ended[name]["ended"] = report.ended
        for key, value in (("nll", report.holdout_nll), ("noise", report.noise)):
            if value is not None and math.isfinite(value):
                self.ended[name][key] = value
        self.step.add(report.usage)
        if report.stopped_after is not None:
            self.run.say(
                f"{self.step.name}: the clock ended training '{name}' after {report.stopped_after:,} steps "
                f"(max_seconds = {self.config.max_seconds:g}); made again here, it ends there too. "
                "On another machine it may not: set max_steps, or raise max_seconds"
            )
        self.step.details |= self.summary()

    def summary(self) -> dict[str, Any]:
        """For details of the step and the manifest."""
        cut = any(one["stopped_after"] is not None for one in self.ended.values())
        return {"trainings": self.ended, "stopped": "clock" if cut else None}
