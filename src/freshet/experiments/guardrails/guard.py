"""Step: guardrails. Where an arm harms what is guarded, its experiment stops and its release is rolled back.

A canary is guarded by metrics of its own, and ends here either way: taken back, or serving everybody.

Harm is evaluated by intervals that hold at every look, so looking after every collection costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from freshet.core.errors import ArtifactError, ConfigError, FreshetError, LeaseLost
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.experiments import lifecycle
from freshet.experiments.canary import ending, trial
from freshet.experiments.guardrails.harm import Findings, GuardrailResult, SplitResult, evaluate
from freshet.storage import rollback
from freshet.storage.decisions import GUARDRAIL
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What guarding found and did.

    Attributes:
        stopped: reason by name of experiment.
        rolled_back: (from, to) numbers of releases, None if none was rolled back, or taken back as a canary.
        promoted: number of the canary that serves everybody from now on, None if there is none.
        problems: what could not be evaluated or done, and why.
    """

    judged: tuple[GuardrailResult, ...]
    splits: tuple[SplitResult, ...]
    stopped: dict[str, str]
    rolled_back: tuple[int, int] | None
    problems: tuple[str, ...]
    promoted: int | None = None


def rolled_back(ws: Workspace, run: Run, now: datetime) -> bool:
    """Guard; whether `CURRENT` was rolled back, so that nothing may be made in the same way now."""
    if not guard(ws, run, now).rolled_back:
        return False
    run.say("nothing is refreshed in this run: somebody should look at what did harm")
    return True


def guard(ws: Workspace, run: Run, now: datetime, name: str | None = None) -> GuardReport:
    """Evaluate the arms of running experiments, and act on harm.

    What fails in it is reported, and holds up neither other experiments nor the run.

    Raises:
        ConfigError: `name` is no experiment that runs.
        LeaseLost: another run took over.
    """
    running = [one for one in _running(ws, name) if one.canary or ws.config.experiments.guardrails]
    running = [one for one in running if not _is_void(ws, run, one, now)]
    if not running:
        return GuardReport((), (), {}, None, ())
    with run.step("guard") as step:
        found = [(experiment, _findings(ws, run, experiment)) for experiment in running]
        judged = tuple(one for _, some in found for one in some.judged)
        splits = tuple(some.split for _, some in found if some.split is not None)
        problems = [problem for _, some in found for problem in some.problems]
        step.details = {
            "judged": [asdict(one) for one in judged],
            "splits": [asdict(one) for one in splits],
            "problems": problems,
        }
    for problem in problems:
        run.say(problem)
    stopped: dict[str, str] = {}
    rolled_back = promoted = None
    for experiment, some in found:
        reason, harm = _grounds(some)
        try:
            if experiment.canary:
                if _is_void(ws, run, experiment, now):  # what came before it may have rolled back
                    continue
                reason = reason or ending.broken(ws, experiment, some, now)
                if reason:
                    rolled_back = ending.take_back(ws, run, experiment, now, reason, GUARDRAIL)
                    stopped[experiment.name] = reason
                elif reason := ending.passed(ws, experiment, some, now):
                    promoted = ending.promote(ws, run, experiment, now, reason)
                continue
            if not reason:
                continue
            # a run killed in between leaves an experiment that runs, which the next one evaluates again
            if harm is None:
                run.say(_split_warning(ws, experiment))
            else:
                arm = experiment.arm(harm.arm)
                rolled_back = _rolled_back(ws, run, experiment, arm, reason) or rolled_back
            lifecycle.stop(ws, run, experiment.name, now, reason, GUARDRAIL)
            stopped[experiment.name] = reason
        except LeaseLost:
            raise
        except FreshetError as error:
            problems.append(f"{experiment.name}: should stop ({reason}), and can't: {error.message}")
            run.say(problems[-1])
    return GuardReport(judged, splits, stopped, rolled_back, tuple(problems), promoted)


def _running(ws: Workspace, name: str | None) -> Sequence[Experiment]:
    if name is None:
        return ws.experiments.running()
    found = ws.experiments.get(name)
    if not found.running:
        raise ConfigError(f"experiment {name!r} was stopped: {found.reason}", hint="nothing is left to guard")
    return (found,)


def _is_void(ws: Workspace, run: Run, experiment: Experiment, now: datetime) -> bool:
    """Whether an experiment is a canary with nothing left to compare; it ends then."""
    reason = ending.void(ws, experiment) if experiment.canary else ""
    if reason:
        lifecycle.stop(ws, run, experiment.name, now, reason, GUARDRAIL)
    return bool(reason)


def _findings(ws: Workspace, run: Run, experiment: Experiment) -> Findings:
    own = trial.guardrails(ws.config.canary) if experiment.canary else ws.config.experiments.guardrails
    try:
        return evaluate(ws, run, experiment, own)
    except LeaseLost:
        raise
    except FreshetError as error:
        return Findings(None, (), (f"{experiment.name} can't be judged: {error}",))


def _grounds(found: Findings) -> tuple[str, GuardrailResult | None]:
    """Why an experiment must stop, '' if it needn't; and the harm, if that is why."""
    harm = next((one for one in found.judged if one.harm), None)
    if harm is not None:
        return _reason(harm), harm
    if found.split is not None and found.split.failed:
        return _split_reason(found.split), None
    return "", None


def _reason(harm: GuardrailResult) -> str:
    more = f" (tolerated: {harm.tolerance:.2%})" if harm.tolerance else ""
    by = f"by {harm.effect:+.2%}" if math.isfinite(harm.effect) else "from nothing in control"
    return (
        f"guardrail: {harm.arm} changes {harm.metric} {by}, "
        f"{harm.low:+.2%} to {harm.high:+.2%} at every look{more}"
    )


def _split_reason(split: SplitResult) -> str:
    users = ", ".join(
        f"{arm} {users:,} of {meant:,.0f}"
        for arm, users, meant in zip(split.arms, split.users, split.meant, strict=True)
    )
    return (
        f"sample ratio: users are not split as meant ({users}; p = {split.p:.1g} at every look), "
        "so an arm may fail before its users are counted, and no effect can be believed"
    )


def _split_warning(ws: Workspace, experiment: Experiment) -> str:
    return (
        f"{experiment.name}: an arm seems to lose users. Release {ws.releases.pointer()} goes on serving "
        "everybody: if that arm's errors come with it, `freshet rollback`"
    )


def _rolled_back(
    ws: Workspace, run: Run, experiment: Experiment, arm: ExperimentArm, reason: str
) -> tuple[int, int] | None:
    """Roll back where the release that everybody is served made the difference; (from, to), or None.

    That is so where the arm is served `CURRENT` as published, and control a fixed release as published. Any
    other arm serves nobody once the experiment is stopped, and arms of an isolated one have releases of their
    own.
    """
    target, current = experiment.control.serves.release, ws.releases.pointer()
    published = experiment.control.serves.strategy == "published" and arm.serves == Serves()
    if target is None or current is None or not published or experiment.isolated:
        return None
    if target >= current:
        run.say(f"nothing to roll back: {experiment.name!r} compares release {current} with {target}")
        return None
    try:
        release = ws.releases.get(target)
        rollback.check(ws, release)
    except ArtifactError as error:
        run.say(f"release {current} still serves: {error.message}")
        return None
    rollback.roll_back(ws, run, release, f"experiment {experiment.name}: {reason}", GUARDRAIL)
    run.say(f"release {target} serves again instead of {current}: {reason}")
    return current, target
