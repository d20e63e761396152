"""Step: planner rows + counts -> table -> checks -> release."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.context import LogSnapshot
from freshet.core.errors import VerificationError
from freshet.core.ports import Planner
from freshet.core.types import AsOf, Eligibility, Experiment, Fusion, PlannerRows, context_codes
from freshet.stages import counts, evidence, inference, table
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.events.step import committed
from freshet.stages.inference import step as prompting
from freshet.stages.sequence import read as read_sequence
from freshet.stages.sequence import step as sequencing
from freshet.stages.sequence import write as write_sequence
from freshet.stages.tuning.evaluation import as_judged
from freshet.storage.artifacts import Artifact
from freshet.storage.durable import read_json, write_json
from freshet.storage.ledger import Run
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace, version_of

CODE = 6


@dataclass(frozen=True)
class Job:
    """A table to be made: everything its version depends on, and what it may copy from.

    Attributes:
        version: hash of all that decides the table's bytes.
        model: version of the planner's model; '' = plain counts.
        previous: the table before this one: its evidence steadies prompts, its rows are copied.
        sequence: the sequence model that may enter the mixture, or None.
        rules: eligibility.
        contexts: (C, k) rows of the table.
        evidence_until: prompts say nothing of what came later; None = all that was known.
    """

    version: str
    model: str
    previous: Artifact | None
    sequence: Artifact | None
    rules: table.Rules
    contexts: NDArray[np.int16]
    evidence_until: AsOf | None = None


def rules_of(ws: Workspace, known: LogSnapshot) -> table.Rules:
    """Eligibility rules of the configuration, resolved."""
    config = ws.config.table
    return table.Rules.resolve(
        Eligibility(
            frozenset(config.blocked),
            frozenset(config.allowed),
            frozenset(config.withdrawn),
            frozenset(config.sensitive),
        ),
        known.interests,
    )


def settings_of(ws: Workspace) -> dict[str, Any]:
    """The part of the configuration that decides what is in a table, of a workspace `as_judged`."""
    names = ["transitions", "counts", "evidence", "inference", "table"]
    if ws.config.sequence.use:
        names.append("sequence")
    asked = {"chunk"} if ws.tuner is not None else {"chunk", "beam", "top", "calibration_prompts"}
    unread = {"inference": asked, "table": {"max_churn"}}
    return {
        name: getattr(ws.config, name).model_dump(mode="json", exclude=unread.get(name)) for name in names
    }


def job_of(
    ws: Workspace,
    known: LogSnapshot,
    counting: CountFitter,
    model: str,
    previous: Artifact | None,
    sequence: Artifact | None = None,
    evidence_until: AsOf | None = None,
) -> Job:
    """What there is to make as of a moment, after a table or as the first one."""
    key = version_of(
        **({"sequence": sequence.version} if sequence else {}),
        **({"evidence_until": str(evidence_until)} if evidence_until else {}),
        code=CODE,
        as_of=known.as_of,
        transitions=known.version,
        interests=known.interests_version,
        model=model,
        previous=previous.version if previous else "",
        every=counting.step,
        config=settings_of(ws),
    )
    contexts = _contexts(ws, known, counting)
    return Job(key, model, previous, sequence, rules_of(ws, known), contexts, evidence_until)


def make_table(
    ws: Workspace,
    run: Run,
    known: LogSnapshot,
    counting: CountFitter,
    planner: Planner | None,
    model: str,
    previous: Artifact | None,
    sequence: Artifact | None = None,
    evidence_until: AsOf | None = None,
) -> Artifact:
    """The table of one moment, as an artifact; nothing is inferred that the previous table answers.

    Args:
        planner: asked where a prompt changed; None = plain counts.
        model: version of the planner's model.
        previous: the table before: what it answers is copied, and its evidence steadies prompts.
        sequence: the sequence model whose score may enter the mixture; None = none.
        evidence_until: prompts say nothing of what came later (replay asks what fresh evidence is worth);
            None = all that was known.
    """
    ws = as_judged(ws, model)
    job = job_of(ws, known, counting, model, previous, sequence, evidence_until)
    found = ws.store.find("tables", job.version)
    if found is not None:
        with run.step("table") as step:
            step.artifact, step.cached = f"tables/{found.version}", True
        run.say("table: nothing changed since it was made, 0 rows to infer")
        return found
    asked = _ask(ws, run, known, counting, job, planned=planner is not None)
    answers = None
    if planner is not None:
        answers = prompting.infer(ws, run, asked, planner, _stored(ws, known, job), job.version)
    relative = planner is not None and planner.abilities.relative
    if counting.fit.unfitted:
        run.say(counting.fit.unfitted)
    fusion = _fuse(run, counting, answers, sequence, relative)
    with run.step("table") as step, ws.store.create("tables", job.version) as draft:
        step.artifact = f"tables/{job.version}"
        scores = None
        if answers is not None:
            now = counting.base(known.as_of) if relative else None
            scores = counts.PlannerScores(answers.rows, len(known.interests), now)
        model_now = sequencing.open_model(sequence) if sequence is not None else None
        logits = model_now.logits if model_now is not None else None
        scorer = counting.scorer(scores, fusion.used if fusion is not None else None, logits)
        table.build(job.contexts, scorer, job.rules, ws.config.table.width, draft.path, run.progress("table"))
        counts.write(scorer.model, draft.path / "counts")
        evidence.write(asked.said, draft.path / "evidence.parquet")
        if answers is not None:
            inference.write(answers.rows, draft.path / "planner")
            inference.write(answers.calibration(), draft.path / "calibration")
        if scorer.sequence is not None and model_now is not None:
            write_sequence(model_now, draft.path / "sequence")
        weights = _weights(counting, fusion) | {"relative": relative}
        write_json(draft.path / "mixture.json", weights)
        draft.manifest = _manifest(ws, known, job, planner)
        step.details = {"rows": len(job.contexts), "drives": weights}
    shutil.rmtree(ws.root / "work", ignore_errors=True)  # chunks of inference: the table holds them now
    return committed(ws, "tables", job.version)


def _fuse(
    run: Run,
    counting: CountFitter,
    answers: prompting.Answers | None,
    sequence: Artifact | None,
    relative: bool,
) -> Fusion | None:
    """What planner and sequence model are worth beside the counts; None where there is neither."""
    if answers is None and sequence is None:
        return None
    answered = None if answers is None else answers.windows
    early = sequencing.open_model(sequence, sequencing.EARLY).logits if sequence is not None else None
    with run.step("mixture"):
        return counting.fused(answered, early, relative=relative)


def foresee(
    ws: Workspace,
    run: Run,
    known: LogSnapshot,
    counting: CountFitter,
    planner: Planner | None,
    model: str,
    sequence: Artifact | None = None,
) -> None:
    """Tell what `make_table` would infer and copy, and what that should cost; make nothing."""
    previous, ws = previous_of(ws, known), as_judged(ws, model)
    job = job_of(ws, known, counting, model, previous, sequence)
    made = ws.store.find("tables", job.version) is not None
    if made or planner is None:
        why = "the table is made already" if made else "plain counts infer nothing"
        with run.step("plan") as step:
            step.details = {"rows": len(job.contexts), "changed": 0, "why": why}
        run.say(f"plan: 0 of {len(job.contexts):,} rows to infer, {why}")
        return
    asked = _ask(ws, run, known, counting, job, planned=True)
    with run.step("plan") as step:
        planned = prompting.plan(ws, asked, planner, _stored(ws, known, job))
        cost = prompting.foretell(ws, run, planned)
        step.details = {**prompting.rows_of(planned), "expected": asdict(cost)}


def _ask(
    ws: Workspace, run: Run, known: LogSnapshot, counting: CountFitter, job: Job, *, planned: bool
) -> prompting.Questions:
    """Evidence and prompts; the previous table's evidence steadies them."""
    steady = evidence.read(job.previous.path / "evidence.parquet") if job.previous else None
    contexts = _asked(ws, counting, job.contexts)
    return prompting.questions(
        ws,
        run,
        known,
        counting,
        contexts,
        steady,
        job.rules.withheld(),
        planned=planned,
        until=job.evidence_until,
    )


def previous_of(ws: Workspace, known: LogSnapshot) -> Artifact | None:
    """The newest table of an earlier as_of with the same interests and context length.

    Of several with one as_of: the one that served last before this moment, else one of these settings.
    """
    found = [
        artifact
        for version in ws.store.versions("tables")
        if (artifact := ws.store.find("tables", version)) is not None and _precedes(ws, known, artifact)
    ]
    day = max((artifact.manifest["as_of"] for artifact in found), default="")
    newest = [artifact for artifact in found if artifact.manifest["as_of"] == day]
    by_version = {artifact.version: artifact for artifact in newest}
    served = next((by_version[version] for version in _served(ws) if version in by_version), None)
    now = settings_of(ws)
    return served or max(newest, key=lambda one: (one.manifest["settings"] == now, one.version), default=None)


def previous_for(ws: Workspace, known: LogSnapshot, release: Release) -> Artifact | None:
    """The table of a release, or of the one before it, that one as of `known` can follow."""
    found = ws.store.find("tables", release.table)
    if found is not None and found.manifest["as_of"] == str(known.as_of):  # made anew: as it was made then
        found = ws.store.find("tables", found.manifest["inputs"]["previous"])
    return found if found is not None and _precedes(ws, known, found) else None


def _precedes(ws: Workspace, known: LogSnapshot, table: Artifact) -> bool:
    """Whether a table of an earlier as_of has the same interests and context length."""
    told = table.manifest
    return bool(
        told["as_of"] < str(known.as_of)
        and told["inputs"]["interests"] == known.interests_version
        and told["k"] == ws.config.transitions.k
        and told.get("code") == CODE
    )


def _served(ws: Workspace) -> Iterator[str]:
    """Tables that served, from the current release back through those it replaced."""
    release, known = ws.releases.current(), set(ws.releases.numbers())
    while release is not None:
        yield release.table
        before = release.previous
        # one that was damaged has been set aside
        release = ws.releases.get(before) if before is not None and before in known else None


def _stored(ws: Workspace, known: LogSnapshot, job: Job) -> PlannerRows | None:
    """Rows of the previous table that may be copied, if it has any of the same width."""
    if job.previous is None or not (job.previous.path / "planner").exists():
        return None
    parts = [inference.read(job.previous.path / name) for name in ("planner", "calibration")]
    wide = parts[0].successors.shape[1] == min(ws.config.inference.top, len(known.interests))
    return prompting.joined(parts) if wide else None


def _manifest(ws: Workspace, known: LogSnapshot, job: Job, planner: Planner | None) -> dict[str, Any]:
    return {
        "code": CODE,
        "as_of": str(known.as_of),
        "k": ws.config.transitions.k,
        "rows": len(job.contexts),
        "window": list(known.window),
        "settings": settings_of(ws),
        "inputs": {
            "transitions": known.version,
            "interests": known.interests_version,
            "model": job.model,
            "previous": job.previous.version if job.previous else "",
            **({"sequence": job.sequence.version} if job.sequence else {}),
        },
        "planner": planner.version if planner else "",
    }


def open_scorer(made: Artifact, interests: int) -> counts.Scorer:
    """The per-user mixture of a table: the same scores that ranked its rows."""
    stored = read_json(made.path / "mixture.json")
    model = counts.read(made.path / "counts")
    by_length = np.array(
        [[fitted[name]["weight"] for name in stored["features"]] for fitted in stored["by_length"]]
    )
    fused = stored["fused"]
    if fused is None:
        return counts.Scorer(model, by_length)
    planner = sequence = None
    if counts.PLANNER in fused:
        planner = open_planner(made, interests)
    if counts.SEQUENCE in fused:
        sequence = read_sequence(made.path / "sequence").logits
    weights = np.array([fused[name]["weight"] for name in counts.FUSED if name in fused])
    return counts.Scorer(model, by_length, planner, weights, sequence)


def open_popularity(made: Artifact, scorer: counts.Scorer) -> NDArray[np.float64]:
    """(N,) shares of recent popularity at the half-life that does best by itself, as of a table."""
    best = read_json(made.path / "mixture.json").get("popular")
    return scorer.model.base if best is None else np.exp(scorer.model.popularity[best])


def is_fitted(made: Artifact) -> bool:
    """Whether weights were fitted on what follows what; where they could not be, popularity alone ranks."""
    stored = read_json(made.path / "mixture.json")
    return not stored.get("unfitted") and "last" not in stored.get("unfounded", ())


def open_one_user(made: Artifact, scorer: counts.Scorer) -> counts.OneUser:
    """The same scores for one user at a time, quickly."""
    if scorer.sequence is None:
        return counts.OneUser(scorer)
    model = read_sequence(made.path / "sequence")
    return counts.OneUser(scorer, model.reader(scorer.model.popularity))


def open_planner(made: Artifact, interests: int) -> counts.PlannerScores | None:
    """The planner's score in a table, even where its weight was fitted to nothing; None without a planner."""
    if not (made.path / "planner").exists():
        return None
    relative = read_json(made.path / "mixture.json").get("relative", False)
    popularity = counts.read(made.path / "counts").base if relative else None
    return counts.PlannerScores(inference.read(made.path / "planner"), interests, popularity)


def check(ws: Workspace, run: Run, known: LogSnapshot, counting: CountFitter, made: Artifact) -> None:
    """Verify a table before it may be published.

    Raises:
        VerificationError: it breaks a rule; this is a bug or a damaged file, and it is not published.
    """
    with run.step("verify") as step:
        fresh = table.Table(made.path, len(known.interests))
        checks = table.verify(fresh, _contexts(ws, known, counting), rules_of(ws, known))
        step.details = {"checks": {c.name: c.passed for c in checks}}
        failed = [c for c in checks if not c.passed]
        if failed:
            raise VerificationError(
                f"table {made.version} is not fit to be published: "
                + "; ".join(f"{c.name}: {c.seen}" for c in failed),
                hint="the current release keeps serving; please report this with the run's ledger entry",
            )


def publish_for(
    ws: Workspace, run: Run, made: Artifact, overlay: str, feedback: str, experiment: Experiment, arm: str
) -> Release:
    """Make a table the release of one arm of a separated experiment; items are ranked as for everybody."""
    current = ws.releases.current()
    beside = overlay, current.ranker if current is not None else "", feedback
    serving = ws.releases.get(ws.experiments.pointer(experiment, arm))
    label = f"{experiment.name}/{arm}"
    if serving.arm == label and _holds(serving, made, beside):
        return serving
    with run.fenced():
        release = _number(ws, run, made, beside, label)
        ws.experiments.point(experiment.name, arm, release.number)
    run.say(f"release {release.number} is that of {label}")
    return release


def publish(
    ws: Workspace, run: Run, made: Artifact, overlay: str = "", ranker: str = "", feedback: str = ""
) -> Release:
    """Make a table, with versions of what serves beside it, the current release; one that is stays it."""
    current, beside = ws.releases.current(), (overlay, ranker, feedback)
    if current is not None and _holds(current, made, beside):
        run.record.release = current.number
        return current
    with run.fenced():
        release = _number(ws, run, made, beside)
    run.record.release = release.number
    run.say(f"release {release.number} is current")
    return release


def _holds(release: Release, made: Artifact, beside: tuple[str, str, str]) -> bool:
    """Whether a release is of this table with these versions of overlay, ranker and feedback."""
    return release.table == made.version and (release.overlay, release.ranker, release.feedback) == beside


def _number(ws: Workspace, run: Run, made: Artifact, beside: tuple[str, str, str], arm: str = "") -> Release:
    """Number a table; it becomes current unless it is one arm's alone."""
    overlay, ranker, feedback = beside
    inputs = made.manifest["inputs"]
    return ws.releases.publish(
        made.manifest["as_of"],
        made.version,
        inputs["model"],
        inputs["interests"],
        run.record.id,
        overlay,
        ranker,
        arm,
        feedback,
    )


def _contexts(ws: Workspace, known: LogSnapshot, counting: CountFitter) -> NDArray[np.int16]:
    k = ws.config.transitions.k
    triples = counting.suffixes(3).contexts if k == 3 else None
    return table.enumerate_contexts(len(known.interests), k, triples)


def _asked(ws: Workspace, counting: CountFitter, packed: NDArray[np.int16]) -> NDArray[np.int16]:
    """Contexts the planner is asked about; the others are answered by counts.

    The empty context is one of those: it holds no interest to plan from.
    """
    contexts = packed[packed[:, -1] >= 0]
    if ws.config.inference.contexts == "all":
        return contexts
    seen = np.isin(context_codes(contexts), context_codes(counting.observed()))
    return contexts[seen]


def _weights(counting: CountFitter, fusion: Fusion | None) -> dict[str, Any]:
    """What drives the log: fitted weights with intervals.

    `counts` are those of users with several recent interests, `by_length` those of users with none, one,
    several; `fused` weighs the count score against the planner's and the sequence model's as far as they pay,
    null where counts win; `planner` is its weight beside all the others. `unfitted` says why nothing could be
    fitted, '' where it was; `unfounded` names features of contexts that no held-out transition had.
    """
    judged = {} if fusion is None else fusion.judged.as_dict()
    planner = judged.get(counts.PLANNER)
    weights = {
        "features": list(counting.names),
        "unfitted": counting.fit.unfitted,
        "unfounded": list(counting.unfounded),
        "counts": counting.mixtures[-1].as_dict(),
        "by_length": [mixture.as_dict() for mixture in counting.mixtures],
        "fused": None if fusion is None or fusion.used is None else fusion.used.as_dict(),
        "planner": planner,
        "planner_held_out": [fusion.judged.examples, fusion.judged.users] if fusion and planner else None,
        "counts_win": fusion is None or fusion.used is None or counts.PLANNER not in fusion.used.names,
        "strengths": list(counting.strengths),
        "transition_half_life": counting.fit.half_life,
        "popular": counting.popular,
        "held_out": counting.mixtures[0].examples,
        "held_out_users": counting.mixtures[0].users,
        "scales": counting.known.scales.as_dict() | {"refreshed_every": counting.step},
    }
    if fusion is not None:
        weights["planner_margin"] = _change(fusion.margin) if fusion.margin else None
    if fusion is not None and counts.SEQUENCE in judged:
        beside = {name: _change(change) for name, change in fusion.parts.items()}
        weights |= {"sequence": judged[counts.SEQUENCE], "against_parts": beside}
    return weights


def _change(change: tuple[float, float, float]) -> dict[str, float]:
    """Nats per held-out transition with their interval."""
    return dict(zip(("nll", "low", "high"), change, strict=True))
