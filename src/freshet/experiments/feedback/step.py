"""Step: what people did with what they were shown, beside a table: lifts weighed on later outcomes."""

from __future__ import annotations

from typing import Any

from freshet.core.errors import NotEnoughData
from freshet.experiments import feedback
from freshet.experiments.assignment import OwnEvents
from freshet.experiments.feedback import outcomes
from freshet.experiments.measurement import labels as labelling
from freshet.experiments.measurement.labels import Window
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import events
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.checksums import remembered, sha256
from freshet.storage.workspace import Workspace, version_of

CODE = 1
ARM = "hybrid-feedback"
MOST = 2_000_000
"""Rows that are learned from; of more, those of the latest days. A million take half a minute."""


def make(ctx: RunContext, own: OwnEvents | None = None) -> Artifact | None:
    """Feedback as of a moment; None where neither the configuration nor a running experiment wants it.

    The artifact says so where it doesn't pay; see `freshet.experiments.feedback.read`.

    Args:
        own: whose outcomes count, for an isolated arm with a log of its own; None = everybody's.
    """
    ws, run, known = ctx.ws, ctx.run, ctx.log
    if not wanted(ws):
        return None
    config = ws.config.feedback
    window = Window(known.as_of.minus(config.days), known.as_of, config.hours, most=MOST)
    log = events.EventLog(ws.source).snapshot(known.as_of)
    shown = sorted(remembered(path, sha256) for path in labelling.files_of(ws, window))
    inputs = {"transitions": known.version, "interests": known.interests_version, "events": log.version}
    key = version_of(
        code=CODE,
        as_of=known.as_of,
        config=configured(ws),
        shown=shown,
        **inputs,
    )
    with run.step("feedback") as step:
        step.artifact = f"feedback/{key}"
        found = ws.store.find("feedback", key)
        if found is not None:
            step.cached = True
            return found
        with ws.store.create("feedback", key) as draft:
            weighed, why = _weighed(ws, known, window, own)
            feedback.write(weighed.feedback if weighed else None, draft.path)
            told = _told(weighed, why)
            said = {"code": CODE, "as_of": str(known.as_of), "settings": configured(ws), "inputs": inputs}
            draft.manifest = said | told
            step.details = told
        if not told["pays"]:
            run.say(f"feedback: what people did with proposals doesn't pay here: {told['why']}")
    return committed(ws.store, "feedback", key)


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
    wanted = {name: made.manifest["inputs"][name] for name in ("transitions", "interests")}
    found = [
        artifact.version
        for version in ws.store.versions("feedback")
        if (artifact := ws.store.find("feedback", version)) is not None
        and artifact.manifest["as_of"] == made.manifest["as_of"]
        and wanted.items() <= artifact.manifest["inputs"].items()
    ]
    return found[-1] if found else ""


def _weighed(
    ws: Workspace, known: LogSnapshot, window: Window, own: OwnEvents | None
) -> tuple[feedback.Weighed | None, str]:
    """What reactions are worth, and why nothing where that is so."""
    assignment = outcomes.assignment_of(ws, known.version)
    rule = events.parse(rule_of(ws))
    table = labelling.labelled(ws, window, assignment, known.interests, rule)
    k = ws.config.transitions.k
    rows = outcomes.outcomes_of(table, known.interests.index_by_id(), k)
    if own is not None:
        rows = rows.take(own(rows.user, rows.time))
    try:
        weighed = feedback.weigh(rows, feedback.Settings(k, ws.config.feedback.proposals))
    except NotEnoughData as error:
        return None, error.message
    why = "" if weighed.feedback else "no weight lies significantly above zero on later outcomes"
    return weighed, why


def _told(weighed: feedback.Weighed | None, why: str) -> dict[str, Any]:
    """What the ledger and the manifest say."""
    if weighed is None:
        return {"pays": False, "why": why}
    made = weighed.feedback
    return {
        "pays": made is not None,
        "why": why,
        "judged": weighed.fitted.as_dict(),
        "held_out": weighed.fitted.rows,
        "held_out_users": weighed.fitted.users,
        "gain": dict(zip(("nll", "low", "high"), weighed.gain, strict=True)),
        "strengths": list(weighed.strengths),
        "weights": {"own": made.own, "lift": made.lift} if made else {},
        "lifts": len(made.lifts.keys) if made else 0,
    }
