"""A tuned planner meets its gates: it is evaluated once, and a run halts where one fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from freshet.core.errors import GateFailed
from freshet.core.ports import Planner
from freshet.run_context import RunContext
from freshet.stages import tuning
from freshet.stages.tuning.gate_verdict import key_of, verdict
from freshet.stages.tuning.planner_evaluation import evaluate
from freshet.storage.artifacts import Artifact
from freshet.storage.build_once import build_once
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import GatesManifest
from freshet.storage.workspace import Workspace


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
