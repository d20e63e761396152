"""Step: ask a planner about each interest alone, and keep its answers."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.ports import Budget, Planner, Tuner, TuningJob, TuningPlan
from freshet.core.prompts import NEXT, Prompts, names
from freshet.core.types import Evidence, Interests, PlannerPrior, PlannerRows, Usage
from freshet.stages import inference
from freshet.stages.inference.cost import cost_of
from freshet.stages.prior import ROWS
from freshet.stages.prompts import workspace_wording as prompts
from freshet.storage.artifacts import Artifact, newest, newest_first
from freshet.storage.build_once import reuse
from freshet.storage.durable import make_folder
from freshet.storage.ledger import Run, StepRecord
from freshet.storage.manifests import PriorManifest
from freshet.storage.workspace import Workspace, version_of

CODE = 1


@dataclass(frozen=True, slots=True)
class Expected:
    """What asking should cost: prompts that have no answer yet, and what the planner expects of them."""

    prompts: int
    usage: Usage


def ask(ws: Workspace, run: Run, interests: Interests, interests_version: str) -> PlannerPrior | None:
    """The planner's answers about each interest alone; only prompts without an answer are asked.

    Interests whose prompt failed have none; they are asked about again by the next run.

    Returns:
        None where no planner is to be asked, or it answered nothing.

    Raises:
        ConfigError: the planner can't be used as configured.
        AnswersPending: the answers come later; the same command goes on then.
    """
    if ws.prior_tuner is None:
        return None
    settings = _settings(ws, interests_version)
    if (found := _whole(ws, settings)) is not None:
        return _opened(reuse(run, "prior", found))
    with run.step("prior") as step, _opened_planner(ws, ws.prior_tuner, interests) as planner:
        plan = _plan(ws, planner, interests, interests_version)
        cost = cost_of(run, inference.expected(plan, planner, ws.config.inference.chunk), None)
        run.say(f"prior: {len(plan.changed):,} prompts to ask, about {cost.told(run.record.currency)}")
        rows = _asked(ws, run, step, plan, planner, _top(ws, interests))
        prior = PlannerPrior("", planner.version, rows, planner.abilities.relative)
        step.details["answered"] = prior.answered
        if not prior.answered:
            run.say("prior: WARNING: the planner answered nothing, so that counts alone are used")
            return None
        made = _kept(ws, prior, settings)
        step.artifact = f"priors/{made.version}"
    return _opened(made)


def expected(ws: Workspace, interests: Interests, interests_version: str) -> Expected:
    """What `ask` would ask and what that should cost; nothing is asked where a planner can tell before."""
    tuner = ws.prior_tuner
    if tuner is None or _whole(ws, _settings(ws, interests_version)) is not None:
        return Expected(0, Usage())

    def planned(planner: Planner) -> Expected:
        plan = _plan(ws, planner, interests, interests_version)
        return Expected(len(plan.changed), inference.expected(plan, planner, ws.config.inference.chunk))

    preview = tuner.preview(interests)
    if preview is not None:
        return planned(preview)
    with _opened_planner(ws, tuner, interests) as planner:
        return planned(planner)


def identity(ws: Workspace) -> dict[str, Any] | None:
    """Which planner is asked, and how; None where none is asked beforehand."""
    if ws.prior_tuner is None:
        return None
    return {
        "planner": prompts.settings_of(ws),
        "shortlist": ws.config.planner.shortlist,
        "recipe": ws.prior_tuner.recipe,
        "inference": ws.config.inference.model_dump(mode="json", include={"beam", "top"}),
    }


def _settings(ws: Workspace, interests_version: str) -> dict[str, Any]:
    """What answers must agree with to be used."""
    return {"code": CODE, "interests": interests_version, **(identity(ws) or {})}


def _whole(ws: Workspace, settings: dict[str, Any]) -> Artifact | None:
    """Answers made with these settings to which no prompt is missing."""

    def fits(one: Artifact) -> bool:
        manifest = PriorManifest.of(one)
        return manifest.settings == settings and manifest.answered == manifest.asked

    return newest(ws.store, "priors", fits)


def _top(ws: Workspace, interests: Interests) -> int:
    return min(ws.config.inference.top, len(interests))


@contextmanager
def _opened_planner(ws: Workspace, tuner: Tuner, interests: Interests) -> Iterator[Planner]:
    """The planner, on a model folder that says what it is and holds nothing learned from the log."""
    config, mode = ws.config.tuning, ws.config.planner.mode
    tuner.check(TuningPlan(interests.descriptions, mode, 1, 0, config.lora_rank))
    folder = ws.root / "work" / "prior"
    make_folder(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    job = TuningJob(
        interests=interests,
        examples=(),
        corpus=[*names(interests.descriptions, mode), NEXT],
        mode=mode,
        epochs=0.0,
        learning_rate=0.0,
        batch_size=0,
        lora_rank=config.lora_rank,
        budget=Budget(1, config.max_seconds),
        seed=config.seed,
    )
    try:
        tuner.tune(job, folder)
        yield tuner.open(folder, interests)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _plan(ws: Workspace, planner: Planner, interests: Interests, version: str) -> inference.Plan:
    """A prompt for each interest; what was answered before to the same prompt is copied."""
    wording = prompts.wording_for(ws, prompts.settings_of(ws), interests, version)
    each = np.arange(len(interests), dtype=np.int16)[:, None]
    top = _top(ws, interests)
    before = (inference.read(one.path / ROWS) for one in newest_first(ws.store, "priors"))
    stored = next((rows for rows in before if rows.successors.shape[1] == top), None)
    asked = Prompts.of(each, wording, Evidence.none(1), _options(interests, ws.config.planner.shortlist))
    return inference.make_plan(asked, planner.version, top, stored)


def _options(interests: Interests, most: int) -> NDArray[np.int16] | None:
    """(N, most) the interests nearest to each, which may come after it; None = all others may.

    Nothing is counted that could tell which are likely, and a prompt has room for so many.
    """
    if not most or most >= len(interests):
        return None
    near = interests.vectors @ interests.vectors.T
    np.fill_diagonal(near, -np.inf)
    best = np.argsort(-near, axis=1, kind="stable")[:, :most]
    return np.sort(best, axis=1).astype(np.int16)  # in no order that says anything


def _asked(
    ws: Workspace, run: Run, step: StepRecord, plan: inference.Plan, planner: Planner, top: int
) -> PlannerRows:
    """Answers to all prompts, those that were answered before included."""
    chunk = ws.config.inference.chunk
    if planner.note:
        run.say(f"planner: {planner.note}")
    if planner.abilities.prepares and len(plan.changed):
        for part in inference.chunks(plan, chunk):
            planner.prepare(part)
        planner.ready()
    outcome = inference.run(
        plan,
        planner,
        top=top,
        chunk=chunk,
        origin=planner.version,
        work=ws.root / "work",
        progress=run.progress("prior"),
    )
    step.add(outcome.usage)
    step.details = {
        "rows": len(plan.prompts),
        "changed": len(plan.changed),
        "resumed": outcome.resumed,
        "failed": len(outcome.failures),
        "not_asked": outcome.skipped,
        "requests": outcome.usage.requests,
        "invalid": outcome.usage.invalid,
    }
    for row, reason in outcome.failures[:3]:
        [prompt] = plan.prompts.take([row])
        run.say(f"  the planner failed on {prompt.context}: {reason}")
    if outcome.gone:
        run.say(f"  WARNING: {outcome.skipped:,} prompts of the prior were not asked: {outcome.gone}")
    return outcome.rows


def _kept(ws: Workspace, prior: PlannerPrior, settings: dict[str, Any]) -> Artifact:
    """The answers as an artifact, whose version they decide: a model may answer otherwise another time."""
    answers = hashlib.blake2b(prior.rows.fingerprints.tobytes(), digest_size=16)
    answers.update(prior.rows.successors.tobytes())
    answers.update(prior.rows.logp.tobytes())
    version = version_of(settings=settings, answers=answers.hexdigest())
    if (found := ws.store.find("priors", version)) is not None:
        return found
    last = next(newest_first(ws.store, "priors"), None)
    with ws.store.create("priors", version) as draft:
        inference.write(prior.rows, draft.path / ROWS)
        draft.manifest = PriorManifest(
            generation=1 + (PriorManifest.of(last).generation if last is not None else 0),
            settings=settings,
            planner=prior.planner,
            relative=prior.relative,
            asked=len(prior.rows),
            answered=prior.answered,
        ).as_dict()
    made = ws.store.find("priors", version)
    assert made is not None
    return made


def _opened(made: Artifact) -> PlannerPrior:
    manifest = PriorManifest.of(made)
    return PlannerPrior(made.version, manifest.planner, inference.read(made.path / ROWS), manifest.relative)
