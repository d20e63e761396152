"""Step: a table is published: at once, or to some users first where `[canary] share` says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from freshet.core.time import microseconds_of
from freshet.core.types import Experiment, ExperimentArm, MeasurementRules, Serves
from freshet.experiments import lifecycle
from freshet.experiments.canary.trial import CANARY, running, tried
from freshet.experiments.measurement.experiment_metrics import named
from freshet.experiments.measurement.frozen_rules import rules_of
from freshet.stages.table import step as table
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.ledger import Run
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


def publish(
    ws: Workspace,
    run: Run,
    made: Artifact,
    companions: table.Companions,
    now: datetime | None = None,
    *,
    at_once: bool = False,
) -> Release:
    """Publish a table with what serves beside it; a canary that runs gives way to it.

    Args:
        now: when it starts to serve, by the clock of the servers; None = the current time.
        at_once: a person wants it so: it serves everybody, whatever `[canary]` says.

    Raises:
        ConfigError: a metric of `[canary]` can't be measured.
    """
    now = now or datetime.now(UTC)
    before, current = running(ws), ws.releases.current()
    if table.is_current(ws, made, companions):
        return table.publish(ws, run, made, companions)
    if current is None or at_once or not ws.config.canary.share or _taken(ws, run):
        release = table.publish(ws, run, made, companions)
        if before is not None:
            lifecycle.stop(ws, run, before.name, now, f"release {release.number} serves everybody")
        return release
    named(ws.config, ws.config.canary.metrics)
    with run.fenced():
        release = table.number(ws, run, made, companions)
    if before is not None:
        if tried(before) == release.number:
            run.say(f"release {release.number} is being tried already")
            return release
        lifecycle.stop(ws, run, before.name, now, f"release {release.number} is newer")
    share = ws.config.canary.share
    with run.step("canary") as step, run.fenced():
        canary = _experiment(ws, release, current.number, now)
        ws.experiments.start(canary)
        step.details = {"experiment": canary.name, "release": release.number, "share": share}
    run.say(
        f"release {release.number} serves {share:.1%} of the users; the others stay with release "
        f"{current.number} until it was seen to do no harm"
    )
    return release


def publish_ranker(ws: Workspace, run: Run, release: Release, ranker: str, *, at_once: bool = False) -> None:
    """Publish the table of a release again, as `publish` does, beside another ranker of items."""
    made = committed(ws.store, "tables", release.table)
    beside = table.Companions(release.overlay, ranker, release.feedback, release.users)
    publish(ws, run, made, beside, at_once=at_once)


def _taken(ws: Workspace, run: Run) -> bool:
    """Whether an experiment of a person leaves no users to a canary; it has guardrails of its own."""
    full = next((one for one in ws.experiments.running() if not one.canary and one.traffic >= 1), None)
    if full is not None:
        run.say(f"no canary: all users take part in experiment {full.name!r}")
    return full is not None


def _experiment(ws: Workspace, release: Release, current: int, now: datetime) -> Experiment:
    """Control follows `CURRENT`, all the other users."""
    settings = ws.config.canary
    known = {one.name for one in ws.experiments.all()}
    tries = (f"canary-{release.number}{f'-{n}' if n > 1 else ''}" for n in count(1))
    name = next(one for one in tries if one not in known)
    arms = (
        ExperimentArm("control", 1 - settings.share, Serves()),
        ExperimentArm(CANARY, settings.share, Serves(release.number)),
    )
    return Experiment(
        name,
        name,
        arms,
        1.0,
        settings.metrics,
        microseconds_of(now),
        current,
        days=max(1, round(settings.days)),
        rules=_rules(ws),
        canary=True,
    )


def _rules(ws: Workspace) -> MeasurementRules:
    """Intervals are narrowest where harm worth finding would be found: fixed before the first outcome."""
    return replace(rules_of(ws.config), smallest_effect=ws.config.canary.smallest_harm)
