"""The key of an origin's artifact: everything that decides what it holds."""

from __future__ import annotations

from dataclasses import asdict

from freshet.core.types import AsOf
from freshet.replay.replay_plan import Plan
from freshet.stages import events
from freshet.stages.content import step as content
from freshet.stages.events.step import items
from freshet.stages.interests import step as interests
from freshet.stages.live import step as live
from freshet.stages.prior import step as prior
from freshet.stages.prompts.workspace_wording import settings_of
from freshet.stages.screen import step as screen
from freshet.stages.sequence import step as sequence
from freshet.stages.table import table_plan
from freshet.stages.transitions import step as transitions
from freshet.stages.tuning import gate_verdict
from freshet.stages.tuning import step as tuning
from freshet.stages.users import step as users
from freshet.storage.ledger import Run
from freshet.storage.warm_starts import forgotten_by
from freshet.storage.workspace import Workspace, version_of

CODE = 6
"""Raised when an origin's artifact holds something else of the same inputs."""
UNREAD: dict[str, set[str]] = {
    "transitions": set(),
    "counts": set(),
    "evidence": set(),
    "tuning": {"every_days", *tuning.OF_THE_TUNER},  # the plan has its own
    "gates": set(),
    "inference": {"chunk"},
    "table": {"max_churn"},
    "sequence": set(),
    "content": {
        "model",
        "batch_size",
        "timeout_seconds",
        "api_key_env",
        "endpoint",
    },  # the encoder has a version
}
"""Sections of the configuration that decide what is made, each with what plays no part in it."""


def origin_key(sandbox: Workspace, run: Run, plan: Plan, at: AsOf, before: str) -> str:
    """Version of the artifact of an origin; `before` is that of the origin before it, '' at the first."""
    config = sandbox.config
    log = events.EventLog(sandbox.source)
    return version_of(
        code=(
            CODE,
            table_plan.CODE,
            tuning.CODE,
            gate_verdict.CODE,
            sequence.CODE,
            content.CODE,
            interests.CODE,
            transitions.CODE,
        ),
        recipes=(
            sandbox.tuner.recipe if sandbox.tuner is not None else "",
            sandbox.sequencer.version if sandbox.sequencer is not None else "",
            sandbox.encoder.version if sandbox.encoder is not None and config.content.use else "",
            *([prior.identity(sandbox)] if sandbox.prior_tuner is not None else []),
        ),
        before=before,
        at=at,
        until=plan.until(at),
        events=log.snapshot(plan.labelled_until(at)).version,
        items=items(sandbox, run).version,
        config={
            name: getattr(config, name).model_dump(mode="json", exclude=unread)
            for name, unread in UNREAD.items()
        }
        | {"interests": interests.formed_by(sandbox), "planner": _planner(sandbox)},
        cadence=(
            config.schedule.drift_alpha,
            config.schedule.value_per_hit,
            config.prices.model_dump(exclude={"currency"}),
        ),
        positive=config.events.positive,
        screen=[screen.CODE, config.screen.model_dump(exclude={"gate"})] if config.screen.use else [],
        arms=[asdict(arm) for arm in plan.arms],
        live=[live.CODE, config.live.model_dump()] if any(arm.live for arm in plan.arms) else [],
        plan=(plan.every, plan.tune_every, plan.horizon, plan.limit_per_origin, plan.seed),
        **({"users": [users.CODE, config.users.model_dump()]} if config.users.rows else {}),
        learners=plan.learners.percent if plan.learners else None,
        **({"forgotten": stones} if (stones := forgotten_by(sandbox)) else {}),
        **({"drops_days": True} if config.retention.events_days else {}),
    )


def _planner(sandbox: Workspace) -> dict[str, object]:
    """How a planner is asked; what it is stands in its tuner's recipe."""
    return {**settings_of(sandbox), "shortlist": sandbox.config.planner.shortlist}
