"""What was decided about a tuned planner: by its gates, or by a person where one of them halted the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from freshet.core.errors import GateFailed
from freshet.core.ports import Planner
from freshet.run_context import RunContext
from freshet.stages import tuning
from freshet.stages.tuning.planner_evaluation import evaluate
from freshet.storage.artifacts import Artifact
from freshet.storage.build_once import build_once
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import GatesManifest
from freshet.storage.workspace import Workspace, version_of

CODE = 2

Verdict = Literal["passed", "approved", "rejected", "waiting", "unjudged"]


def key_of(ws: Workspace, model: str) -> str:
    """Version of the verdict on a model: other gates, or another way to ask it, another verdict."""
    settings: dict[str, Any] = {"beam": ws.config.inference.beam, "level": ws.config.evidence.level}
    if ws.config.planner.shortlist:
        settings["shortlist"] = ws.config.planner.shortlist
    return version_of(code=CODE, model=model, gates=ws.config.gates.model_dump(), **settings)


def verdict(ws: Workspace, model: str) -> Verdict:
    """What the gates, or a person, decided about a model; unjudged under these gates, or at all."""
    review = ws.decisions.review("model", model)
    if review is not None:
        return "approved" if review.kind == "approval" else "rejected"
    gates = ws.store.find("gates", key_of(ws, model))
    if gates is None:
        return "unjudged"
    return "passed" if GatesManifest.of(gates).report["passed"] else "waiting"


def pass_gates(ctx: RunContext, planner: Planner, model: str) -> None:
    """Evaluate a planner, unless it was, and say what each gate found.

    Raises:
        GateFailed: the run waits for `freshet approve` or `freshet reject`; the last release keeps serving.
        NotEnoughData: there are no transitions to judge on.
    """
    ws, run = ctx.ws, ctx.run
    key = key_of(ws, model)

    def build(_: Path, step: StepRecord) -> GatesManifest:
        found = evaluate(ctx, planner)
        step.add(found.usage)
        return GatesManifest(model=model, settings=ws.config.gates.model_dump(), report=found.as_dict())

    def report_in(artifact: Artifact) -> dict[str, Any]:
        return GatesManifest.of(artifact).report

    result = report_in(build_once(ws, run, "gates", "gates", key, build, report_in))
    gates = tuning.gates_of(result)
    if result["evidence"] is not None:
        run.say(str(tuning.Evidence.of(result["evidence"])))
    for gate in gates:
        run.say(str(gate))
    run.say("recall@1: " + ", ".join(f"{name} {value:.1%}" for name, value in result["recall"].items()))
    outcome = verdict(ws, model)
    if outcome in ("passed", "approved"):
        return
    if outcome == "rejected":
        raise GateFailed(
            f"model {model} was rejected, and tuning as of {ctx.as_of} would make the same again",
            hint=f"import newer events, or change [tuning] or [planner]; {_serving(ws)}",
        )
    run.record.waiting = {"model": model, "report": result}
    failed = [gate.name for gate in gates if gate.halts]
    run.end("waiting", f"gate failed: {', '.join(failed)}")
    raise GateFailed(
        f"run {run.record.id} waits: the tuned model failed the gate {' and '.join(failed)}",
        hint=f"look at it with `freshet history {run.record.id}`, then `freshet approve` or "
        f"`freshet reject` it; {_serving(ws)}",
    )


def _serving(ws: Workspace) -> str:
    """What serves meanwhile."""
    if ws.releases.current() is not None:
        return "the current release keeps serving"
    return 'nothing serves yet: [planner] kind = "counts" publishes a table of counts'


def with_evidence_of(ws: Workspace, model: str) -> Workspace:
    """The workspace with evidence in prompts where held-out windows showed that it helps a model."""
    if ws.config.evidence.level != "auto":
        return ws
    found = report_of(ws, model).get("evidence")
    level = ws.config.evidence.forced if found is not None and found["helps"] else "none"
    evidence = ws.config.evidence.model_copy(update={"level": level})
    return replace(ws, config=ws.config.model_copy(update={"evidence": evidence}))


def report_of(ws: Workspace, model: str) -> dict[str, Any]:
    """The report on a model: under the gates of now, else the one that a person reviewed; empty without."""
    gates = ws.store.find("gates", key_of(ws, model))
    if gates is not None:
        return GatesManifest.of(gates).report
    review = ws.decisions.review("model", model)
    if review is None:
        return {}
    # the record may be gone: `freshet doctor` sets a damaged one aside, the decision stays
    waiting = next((run.waiting or {} for run in ws.ledger.records() if run.id == review.run), {})
    return dict(waiting["report"]) if waiting.get("model") == model else {}
