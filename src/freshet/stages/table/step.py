"""Step: counts + planner rows -> the table, its checks, and the release that serves it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from freshet.core.errors import VerificationError
from freshet.core.ports import Planner
from freshet.core.types import CONTENT, Experiment, Fusion
from freshet.run_context import RunContext
from freshet.stages import counts, evidence, inference, table
from freshet.stages.content import step as vectors
from freshet.stages.content.format import write_centroids
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.evidence.step import ChosenEvidence
from freshet.stages.inference.step import PlannerAnswers
from freshet.stages.sequence import step as sequences
from freshet.stages.sequence import write as write_sequence
from freshet.stages.table.table_plan import CODE, TablePlan, contexts_of, rules_of, settings_of
from freshet.storage.artifacts import Artifact
from freshet.storage.build_once import build_once, reuse
from freshet.storage.durable import write_json
from freshet.storage.ledger import Run, StepRecord
from freshet.storage.manifests import FromModel, TableManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Companions:
    """Versions of what serves beside a table; '' where there is none.

    Attributes:
        overlay: weighs live signals.
        ranker: ranks items.
        feedback: what people did with proposals.
        users: rows of single users.
    """

    overlay: str = ""
    ranker: str = ""
    feedback: str = ""
    users: str = ""

    @classmethod
    def of(
        cls,
        overlay: Artifact | None,
        ranker: str,
        feedback: Artifact | None,
        users: Artifact | None = None,
    ) -> Companions:
        """Of artifacts, each None where there is none."""
        made = (one.version if one else "" for one in (overlay, feedback, users))
        live, reactions, rows = made
        return cls(live, ranker, reactions, rows)


def find(ctx: RunContext, plan: TablePlan) -> Artifact | None:
    """The planned table, if it was made before."""
    found = ctx.ws.store.find("tables", plan.version)
    if found is not None:
        reuse(ctx.run, "table", found)
        ctx.run.say("table: nothing changed since it was made, 0 rows to infer")
    return found


def build(
    ctx: RunContext,
    plan: TablePlan,
    chosen: ChosenEvidence,
    planner: Planner | None,
    answers: PlannerAnswers | None,
    fusion: Fusion | None,
) -> Artifact:
    """Write the table: each context's successors ranked by the fitted mixture, with all that explains them.

    Args:
        chosen: the evidence of its prompts, kept beside it.
        answers: the planner's, None = plain counts.
        fusion: what planner, sequence model and content weigh beside the counts.
    """
    ws, run, log, fitter = ctx.ws, ctx.run, ctx.log, ctx.fitter
    relative = planner is not None and planner.abilities.relative

    def write(folder: Path, step: StepRecord) -> TableManifest:
        scores = None
        if answers is not None:
            now = fitter.counts.base(log.as_of) if relative else None
            scores = counts.PlannerScores(answers.rows, len(log.interests), now)
        model = sequences.open_model(plan.sequence) if plan.sequence is not None else None
        logits = model.logits if model is not None else None
        scorer = fitter.scorer(scores, fusion, logits, vectors.centroids(plan.content))
        width, progress = ctx.config.table.width, run.progress("table")
        score: counts.Scorer | counts.RowByRow = scorer
        if len(log.interests) > counts.FEW:
            mixed = model if scorer.sequence is not None else None
            reader = mixed.reader(scorer.model.popularity) if mixed is not None else None
            score = counts.RowByRow.of(scorer, reader)
        table.build(plan.contexts, score, plan.rules, width, folder, progress)
        counts.write(scorer.model, folder / "counts")
        evidence.write(chosen.rows, folder / "evidence.parquet")
        if answers is not None:
            inference.write(answers.rows, folder / "planner")
            inference.write(answers.calibration(), folder / "calibration")
        if scorer.sequence is not None and model is not None:
            write_sequence(model, folder / "sequence")
        if scorer.content is not None:
            write_centroids(scorer.content.centroids, folder / "content")
        weights = _weights(fitter, fusion) | {"relative": relative}
        write_json(folder / "mixture.json", weights)
        step.details = {"rows": len(plan.contexts), "drives": weights}
        return _manifest(ctx, plan, planner, answers)

    made = build_once(ws, run, "table", "tables", plan.version, write)
    shutil.rmtree(ws.root / "work", ignore_errors=True)  # chunks of inference: the table holds them now
    return made


def verify(ctx: RunContext, made: Artifact) -> None:
    """Check a table before it may be published.

    Raises:
        VerificationError: it breaks a rule; this is a bug or a damaged file, and it is not published.
    """
    with ctx.run.step("verify") as step:
        fresh = table.Table(made.path, len(ctx.log.interests))
        checks = table.verify(fresh, contexts_of(ctx), rules_of(ctx))
        step.details = {"checks": {c.name: c.passed for c in checks}}
        failed = [c for c in checks if not c.passed]
        if failed:
            raise VerificationError(
                f"table {made.version} is not fit to be published: "
                + "; ".join(f"{c.name}: {c.seen}" for c in failed),
                hint="the current release keeps serving; please report this with the run's ledger entry",
            )


def publish(ws: Workspace, run: Run, made: Artifact, companions: Companions) -> Release:
    """Make a table, with what serves beside it, the current release; one that is stays it."""
    current = ws.releases.current()
    if current is not None and _holds(current, made, companions):
        run.record.release = current.number
        return current
    with run.fenced():
        release = _numbered(ws, run, made, companions)
    run.record.release = release.number
    run.say(f"release {release.number} is current")
    return release


def number(ws: Workspace, run: Run, made: Artifact, companions: Companions) -> Release:
    """Number a table, with what serves beside it, without making it current; whoever calls is fenced."""
    return _numbered(ws, run, made, companions, serve=False)


def is_current(ws: Workspace, made: Artifact, companions: Companions) -> bool:
    """Whether the current release is of this table with these companions."""
    current = ws.releases.current()
    return current is not None and _holds(current, made, companions)


def publish_for_arm(
    ctx: RunContext, made: Artifact, beside: Companions, experiment: Experiment, arm: str
) -> Release:
    """Make a table the release of one arm of an isolated experiment; items are ranked as for everybody."""
    ws, current = ctx.ws, ctx.ws.releases.current()
    companions = replace(beside, ranker=current.ranker if current is not None else "")
    serving = ws.releases.get(ws.experiments.pointer(experiment, arm))
    label = f"{experiment.name}/{arm}"
    if serving.arm == label and _holds(serving, made, companions):
        return serving
    with ctx.run.fenced():
        release = _numbered(ws, ctx.run, made, companions, label)
        ws.experiments.point(experiment.name, arm, release.number)
    ctx.run.say(f"release {release.number} is that of {label}")
    return release


def _holds(release: Release, made: Artifact, beside: Companions) -> bool:
    """Whether a release is of this table with these companions."""
    return release.table == made.version and beside == Companions(
        release.overlay, release.ranker, release.feedback, release.users
    )


def _numbered(
    ws: Workspace, run: Run, made: Artifact, beside: Companions, arm: str = "", *, serve: bool = True
) -> Release:
    """Number a table; it becomes current if it is to serve and isn't one arm's alone."""
    table_manifest = TableManifest.of(made)
    return ws.releases.publish(
        table_manifest.as_of,
        made.version,
        table_manifest.inputs.model,
        table_manifest.inputs.interests,
        run.record.id,
        beside.overlay,
        beside.ranker,
        arm,
        beside.feedback,
        beside.users,
        serve,
    )


def _manifest(
    ctx: RunContext, plan: TablePlan, planner: Planner | None, answers: PlannerAnswers | None
) -> TableManifest:
    log = ctx.log
    return TableManifest(
        code=CODE,
        as_of=str(log.as_of),
        k=ctx.config.transitions.k,
        rows=len(plan.contexts),
        window=list(log.window),
        settings=settings_of(ctx.ws),
        inputs=FromModel(
            transitions=log.version,
            interests=log.interests_version,
            model=plan.model,
            previous=plan.previous.version if plan.previous else "",
            sequence=plan.sequence.version if plan.sequence else "",
            content=plan.content.version if plan.content else "",
            prior=log.prior.version if log.prior else "",
        ),
        planner=planner.version if planner else "",
        not_asked=answers.not_asked if answers else 0,
    )


def _weights(fitter: CountFitter, fusion: Fusion | None) -> dict[str, Any]:
    """What drives the log: fitted weights with intervals.

    `counts` are those of users with several recent interests, `by_length` those of users with none, one,
    several; `fused` weighs the count score against the planner's and the sequence model's as far as they pay,
    null where counts win; `planner` is its weight beside all the others; `content` are the weights of all its
    features, and `without_context` those used for users who have items but no recent interest. `unfitted`
    says why nothing could be fitted, '' where it was; `unfounded` names features of contexts that no held-out
    transition had. `prior` is there where a planner was asked beforehand: its share in what sparse counts are
    shrunk to, and what it changes on held-out transitions, null where nothing could be fitted.
    """
    fitted = {} if fusion is None else fusion.fitted.as_dict()
    planner = fitted.get(counts.PLANNER)
    weights = {
        "features": list(fitter.names),
        "unfitted": fitter.fit.unfitted,
        "unfounded": list(fitter.unfounded),
        "counts": fitter.mixtures[-1].as_dict(),
        "by_length": [mixture.as_dict() for mixture in fitter.mixtures],
        "fused": None if fusion is None or fusion.used is None else fusion.used.as_dict(),
        "planner": planner,
        "planner_held_out": [fusion.fitted.examples, fusion.fitted.users] if fusion and planner else None,
        "counts_win": fusion is None or fusion.used is None or counts.PLANNER not in fusion.used.names,
        "strengths": list(fitter.fit.prior_counts),
        "transition_half_life": fitter.fit.half_life,
        "popular": fitter.popular,
        "held_out": fitter.mixtures[0].examples,
        "held_out_users": fitter.mixtures[0].users,
        "scales": fitter.log.scales.as_dict() | {"refreshed_every": fitter.holdout.stretch_days},
    }
    if (prior := fitter.log.prior) is not None:
        weights["prior"] = {
            "planner": prior.planner,
            "interests": len(prior.rows),
            "answered": prior.answered,
            "share": fitter.fit.share,
            "margin": _change(fitter.prior_margin) if fitter.prior_margin else None,
        }
    if fusion is not None:
        weights["planner_margin"] = _change(fusion.margin) if fusion.margin else None
    if fusion is not None and (fusion.content is not None or fusion.without_context is not None):
        all_features = fusion.content.as_dict() if fusion.content else {}
        alone = fusion.without_context
        weights |= {
            "content": {name: line for name, line in all_features.items() if name in CONTENT},
            "content_margin": _change(fusion.content_margin) if fusion.content_margin else None,
            "without_context": alone.as_dict() if alone else None,
        }
    if fusion is not None and counts.SEQUENCE in fitted:
        beside = {name: _change(change) for name, change in fusion.parts.items()}
        weights |= {"sequence": fitted[counts.SEQUENCE], "against_parts": beside}
    return weights


def _change(change: tuple[float, float, float]) -> dict[str, float]:
    """Nats per held-out transition with their interval."""
    return dict(zip(("nll", "low", "high"), change, strict=True))
