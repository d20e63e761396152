"""The end of a canary: the new release serves everybody, or nobody.

What moves `CURRENT`, or keeps it, is written first, and the experiment is stopped last: a run that is killed
in between leaves a canary that runs, which the next one ends.
"""

from __future__ import annotations

from datetime import datetime

from freshet.core.errors import ArtifactError
from freshet.core.time import microseconds_of
from freshet.core.types import Experiment
from freshet.experiments import lifecycle
from freshet.experiments.canary.trial import tried, until
from freshet.experiments.guardrails.harm import Findings
from freshet.experiments.measurement.impression_files import shown_since
from freshet.storage import rollback
from freshet.storage.decisions import GUARDRAIL, Decision, Rollback
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace

MANY = 200
"""Answers of others after which a release that was shown to nobody is taken for one that can't be opened."""


def take_back(
    ws: Workspace, run: Run, canary: Experiment, now: datetime, reason: str, by: str
) -> tuple[int, int]:
    """End a canary: its release serves nobody, and what `CURRENT` names goes on.

    Its table is not published again by itself. Returns the numbers of the release and of the one that serves.
    """
    new, old = tried(canary), canary.began
    with run.step("rollback") as step, run.fenced():
        ws.decisions.record(Decision(run.record.id, Rollback(old, new), by, reason))
        step.details = {"from": new, "reason": reason}
        run.record.release = old
    lifecycle.stop(ws, run, canary.name, now, reason, by)
    run.say(f"release {new} is taken back, release {old} goes on serving everybody: {reason}")
    return new, old


def promote(ws: Workspace, run: Run, canary: Experiment, now: datetime, reason: str) -> int:
    """End a canary: its release, which can be opened, serves everybody. Returns its number."""
    new = ws.releases.get(tried(canary))
    with run.step("promote") as step, run.fenced():
        ws.releases.point_to(new.number)
        step.details = {"from": canary.began, "reason": reason}
        run.record.release = new.number
    lifecycle.stop(ws, run, canary.name, now, reason, GUARDRAIL)
    run.say(f"release {new.number} is current: {reason}")
    return new.number


def void(ws: Workspace, canary: Experiment) -> str:
    """Why nothing is left to compare, '' where a canary goes on as it began."""
    current = ws.releases.pointer()
    if current == tried(canary):
        return f"release {current} serves everybody"
    return "" if current == canary.began else f"release {current} serves instead of {canary.began} by now"


def passed(ws: Workspace, canary: Experiment, found: Findings, now: datetime) -> str:
    """Why its release may serve everybody now, '' where it may not yet; harm was looked for before."""
    settings = ws.config.canary
    signed = [(one, *_harm(one.low, one.high, one.sign)) for one in found.judged]
    if signed and not found.problems and all(worst < settings.margin for _, _, worst in signed):
        worst = max(worst for *_, worst in signed)
        return f"it does less harm than {settings.margin:.0%} (at most {worst:.1%}, at every look)"
    if microseconds_of(now) < until(canary, settings):
        return ""
    if not signed:
        return f"nothing speaks against it after {settings.days:g} days, and nothing could be judged"
    shown = ", ".join(
        f"{one.metric} {one.effect:+.1%} [{one.low:+.1%}, {one.high:+.1%}]" for one in found.judged
    )
    return f"no harm was found in {settings.days:g} days ({shown}, at every look)"


def broken(ws: Workspace, canary: Experiment, found: Findings, now: datetime) -> str:
    """Why a release can't serve anybody, or is taken not to, as nobody was shown it; '' where it can."""
    try:
        rollback.check(ws, ws.releases.get(tried(canary)))
    except ArtifactError as error:
        return error.message
    if not found.unseen or microseconds_of(now) < until(canary, ws.config.canary):
        return ""
    others = shown_since(ws.source, canary.start)
    if others < MANY:
        return ""
    return f"{others:,} answers were shown since it was published, and none of them by it: it may not open"


def _harm(low: float, high: float, sign: int) -> tuple[float, float]:
    """The interval of an effect as one of harm."""
    return (-high, -low) if sign > 0 else (low, high)
