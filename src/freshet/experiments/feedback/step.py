"""Step: what people did with what they were shown, beside a table: lifts calibrated on later outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from freshet.core.errors import NotEnoughData
from freshet.experiments.assignment import OwnEvents
from freshet.experiments.feedback.format import write_feedback
from freshet.experiments.feedback.lift_weights import Calibrated, Settings, calibrate
from freshet.experiments.measurement import labels
from freshet.experiments.measurement.labels import Window
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import events
from freshet.storage.artifacts import Artifact, newest
from freshet.storage.build_once import build_once
from freshet.storage.checksums import remembered, sha256
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import FeedbackManifest, FromLog
from freshet.storage.workspace import Workspace, version_of

CODE = 1
ARM = "hybrid-feedback"
MOST = 2_000_000
"""Rows that are learned from; of more, those of the latest days. A million take half a minute."""


def make(ctx: RunContext, own: OwnEvents | None = None) -> Artifact | None:
    """Feedback as of a moment; None where neither the configuration nor a running experiment wants it.

    The artifact says so where it doesn't pay; see `format.read_feedback`.

    Args:
        own: whose outcomes count, for an isolated arm with a log of its own; None = everybody's.
    """
    ws, run, known = ctx.ws, ctx.run, ctx.log
    if not wanted(ws):
        return None
    config = ws.config.feedback
    window = Window(known.as_of.minus(config.days), known.as_of, config.hours, most=MOST)
    log = events.EventLog(ws.source).snapshot(known.as_of)
    shown = sorted(remembered(path, sha256) for path in labels.files_of(ws, window))
    inputs = {"transitions": known.version, "interests": known.interests_version, "events": log.version}
    key = version_of(code=CODE, as_of=known.as_of, config=configured(ws), shown=shown, **inputs)

    def build(folder: Path, step: StepRecord) -> FeedbackManifest:
        calibrated, why = _calibrated(ws, known, window, own)
        write_feedback(calibrated.feedback if calibrated else None, folder)
        step.details = _details(calibrated, why)
        if not step.details["pays"]:
            run.say(f"feedback: what people did with proposals doesn't pay here: {why}")
        return FeedbackManifest(
            code=CODE,
            as_of=str(known.as_of),
            settings=configured(ws),
            inputs=FromLog(**inputs),
            **step.details,
        )

    return build_once(ws, run, "feedback", "feedback", key, build)


def configured(ws: Workspace) -> dict[str, Any]:
    """The part of the configuration that decides what is in it."""
    settings = ws.config.feedback.model_dump(mode="json", exclude={"use"})
    return settings | {"k": ws.config.transitions.k, "rule": rule_of(ws)}


def wanted(ws: Workspace) -> bool:
    """Whether releases carry feedback: by configuration, or for the arm of a running experiment."""
    arms = [arm for one in ws.experiments.running() for arm in one.arms]
    return ws.config.feedback.use or any(arm.serves.strategy == ARM for arm in arms)


def rule_of(ws: Workspace) -> str:
    """Which events are satisfied outcomes."""
    return ws.config.experiments.satisfied or ws.config.events.positive


def of_table(ws: Workspace, made: Artifact) -> str:
    """Version of feedback of a table's moment and log; '' where there is none."""
    inputs = {name: made.manifest["inputs"][name] for name in ("transitions", "interests")}
    found = newest(
        ws.store,
        "feedback",
        lambda one: (
            one.manifest["as_of"] == made.manifest["as_of"]
            and inputs.items() <= one.manifest["inputs"].items()
        ),
    )
    return found.version if found is not None else ""


def _calibrated(
    ws: Workspace, known: LogSnapshot, window: Window, own: OwnEvents | None
) -> tuple[Calibrated | None, str]:
    """What reactions are worth, and why nothing where that is so."""
    assignment = labels.assignment_of(ws, known.version)
    rule = events.parse(rule_of(ws))
    table = labels.labelled(ws, window, assignment, known.interests, rule)
    k = ws.config.transitions.k
    rows = labels.outcomes_of(table, known.interests.index_by_id(), k)
    if own is not None:
        rows = rows.take(own(rows.user, rows.time))
    try:
        calibrated = calibrate(rows, Settings(k, ws.config.feedback.proposals))
    except NotEnoughData as error:
        return None, error.message
    why = "" if calibrated.feedback else "no weight lies significantly above zero on later outcomes"
    return calibrated, why


def _details(calibrated: Calibrated | None, why: str) -> dict[str, Any]:
    """What the ledger and the manifest hold of it."""
    if calibrated is None:
        return {"pays": False, "why": why}
    made = calibrated.feedback
    return {
        "pays": made is not None,
        "why": why,
        "judged": calibrated.fitted.as_dict(),
        "held_out": calibrated.fitted.rows,
        "held_out_users": calibrated.fitted.users,
        "gain": dict(zip(("nll", "low", "high"), calibrated.gain, strict=True)),
        "strengths": list(calibrated.prior_counts),
        "weights": {"own": made.own, "lift": made.lift} if made else {},
        "lifts": len(made.lifts.keys) if made else 0,
    }
