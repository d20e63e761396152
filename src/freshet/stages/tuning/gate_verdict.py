"""What was decided about a tuned planner: by its gates, or by a person where one of them halted the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

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
    waiting = next((run.waiting or {} for run in ws.ledger.newest_first() if run.id == review.run), {})
    return dict(waiting["report"]) if waiting.get("model") == model else {}
