"""Step: guardrails. Where an arm harms what is guarded, its experiment stops and its release is rolled back.

Harm is judged by intervals that hold at every look, so looking after every collection costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from freshet.config import GuardrailConfig
from freshet.errors import ArtifactError, ConfigError, NotEnoughData
from freshet.steps import experimenting, rolling
from freshet.steps.comparing import Compared, compare, ratio_of_users
from freshet.steps.measures import Metric, metric
from freshet.steps.measuring import Measured, measure
from freshet.types import Experiment, ExperimentArm
from freshet.workspace import Run, Workspace


@dataclass(frozen=True, slots=True)
class Judged:
    """One arm by one guardrail.

    Attributes:
        effect, low, high: relative, with the interval that holds at every look.
        harm: whether all of the interval is harm beyond the tolerance.
    """

    experiment: str
    arm: str
    metric: str
    effect: float
    low: float
    high: float
    tolerance: float
    harm: bool


@dataclass(frozen=True, slots=True)
class Guarded:
    """What guarding found and did.

    Attributes:
        stopped: reason by name of experiment.
        rolled_back: (from, to) numbers of releases, None if CURRENT was not moved.
    """

    judged: tuple[Judged, ...]
    stopped: dict[str, str]
    rolled_back: tuple[int, int] | None


def guard(ws: Workspace, run: Run, now: datetime, name: str | None = None) -> Guarded:
    """Judge the arms of running experiments, and act on harm.

    Raises:
        ConfigError: `name` is no experiment that runs.
    """
    guardrails = ws.config.experiments.guardrails
    running = _running(ws, name)
    judged: list[Judged] = []
    stopped: dict[str, str] = {}
    rolled_back = None
    if not guardrails or not running:
        return Guarded((), stopped, rolled_back)
    with run.step("guard") as step:
        for experiment in running:
            judged += _judged(ws, run, experiment, guardrails)
        step.details = {"judged": [asdict(one) for one in judged]}
    for experiment in running:
        harm = next((one for one in judged if one.harm and one.experiment == experiment.name), None)
        if harm is not None:
            reason, arm = _reason(harm), experiment.arm(harm.arm)
            # a run killed in between leaves an experiment that runs, which the next one judges again
            rolled_back = _rolled_back(ws, run, experiment, arm, reason) or rolled_back
            experimenting.stop(ws, run, experiment.name, now, reason)
            stopped[experiment.name] = reason
    return Guarded(tuple(judged), stopped, rolled_back)


def _running(ws: Workspace, name: str | None) -> Sequence[Experiment]:
    if name is None:
        return ws.experiments.running()
    found = ws.experiments.get(name)
    if not found.running:
        raise ConfigError(f"experiment {name!r} was stopped: {found.reason}", hint="nothing is left to guard")
    return (found,)


def _judged(
    ws: Workspace, run: Run, experiment: Experiment, guardrails: Sequence[GuardrailConfig]
) -> list[Judged]:
    """Every arm but control by every guardrail that can be measured by now."""
    found = []
    for guardrail in guardrails:
        try:
            one = metric(ws.config, guardrail.metric)
            measured = measure(ws, experiment, [one], run.progress)
        except (NotEnoughData, ConfigError) as error:
            run.say(f"{experiment.name}: guardrail {guardrail.metric!r} can't be judged: {error.message}")
            continue
        if ratio_of_users(measured).alarm:
            run.say(f"{experiment.name}: not judged, users are not split among the arms as was meant")
            continue
        found += _of_arms(ws, measured, guardrail, one)
    return found


def _of_arms(ws: Workspace, measured: Measured, guardrail: GuardrailConfig, one: Metric) -> list[Judged]:
    """Arms share the chance of a false alarm."""
    level = 1 - guardrail.alpha / (len(measured.experiment.arms) - 1)
    return [
        Judged(
            measured.experiment.name,
            arm.arm,
            one.name,
            arm.effect,
            *arm.always,
            guardrail.tolerance,
            _harms(arm, one.sign, guardrail.tolerance),
        )
        for arm in compare(measured, ws.config.experiments.smallest_effect, level)
    ]


def _harms(arm: Compared, sign: int, tolerance: float) -> bool:
    low, high = arm.always
    return high < -tolerance if sign > 0 else low > tolerance


def _reason(harm: Judged) -> str:
    more = f" (tolerated: {harm.tolerance:.2%})" if harm.tolerance else ""
    return (
        f"guardrail: {harm.arm} changes {harm.metric} by {harm.effect:+.2%}, "
        f"{harm.low:+.2%} to {harm.high:+.2%} at every look{more}"
    )


def _rolled_back(
    ws: Workspace, run: Run, experiment: Experiment, arm: ExperimentArm, reason: str
) -> tuple[int, int] | None:
    """Roll back where the release that everybody is served did the harm; (from, to), or None.

    A fixed release, or a strategy that is not published, serves nobody once the experiment is stopped. Where
    control has the same strategy on a fixed release, it is the release that makes the difference.
    """
    control = experiment.control.serves
    by_release = arm.serves.strategy == "published" or (
        control.release is not None and control.strategy == arm.serves.strategy
    )
    if arm.serves.release is not None or not by_release:
        return None
    target, current = experiment.control.serves.release or experiment.began, ws.releases.pointer()
    if current is None or target >= current:
        run.say(f"nothing to roll back: release {current} served when {experiment.name!r} started")
        return None
    try:
        release = ws.releases.get(target)
        rolling.check(ws, release)
    except ArtifactError as error:
        run.say(f"release {current} still serves: {error.message}")
        return None
    rolling.roll_back(ws, run, release, f"experiment {experiment.name}: {reason}")
    run.say(f"release {target} serves again instead of {current}: {reason}")
    return current, target
