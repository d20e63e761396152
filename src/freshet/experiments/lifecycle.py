"""Step: an experiment begins and ends; both are in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from freshet.core.errors import ConfigError
from freshet.core.time import microseconds_of
from freshet.core.types import LIVE, Experiment, Serves
from freshet.experiments.measurement.experiment_metrics import named
from freshet.experiments.measurement.frozen_rules import rules_of
from freshet.storage.decisions import Decision, Stop
from freshet.storage.ledger import Run
from freshet.storage.release_parts import parts_of
from freshet.storage.workspace import Workspace


def start(ws: Workspace, run: Run, experiment: Experiment) -> None:
    """Begin an experiment whose arms can all be served; metrics stay measured by today's settings.

    Raises:
        ConfigError: it is not sound, a metric is none, or an earlier one has all users.
        ArtifactError: a release that an arm serves can't be opened.
    """
    with run.step("experiment") as step:
        named(ws.config, experiment.metrics)
        for number in sorted({arm.serves.release or experiment.began for arm in experiment.arms}):
            parts_of(ws.store, ws.releases.get(number))
        running = ws.experiments.running()
        everybody = next((one.name for one in running if one.traffic >= 1 and not one.canary), None)
        if everybody is not None:
            raise ConfigError(
                f"all users take part in experiment {everybody!r}, which runs",
                hint=f"`freshet experiment stop {everybody}`, or start experiments with less --traffic",
            )
        with run.fenced():
            ws.experiments.start(replace(experiment, rules=rules_of(ws.config)))
        step.details = {
            "experiment": experiment.name,
            "arms": {arm.name: {"serves": str(arm.serves), "share": arm.share} for arm in experiment.arms},
            "traffic": experiment.traffic,
            "separated": experiment.isolated,
        }
    for warning in _alike(ws, experiment):
        run.say(warning)
    for one in (one for one in running if not one.canary):
        run.say(f"users who take part in {one.name!r} ({one.traffic:.0%}) are left out: it started first")


def _alike(ws: Workspace, experiment: Experiment) -> Iterator[str]:
    """What makes arms answer as others do, as things stand at the start."""
    seen: dict[Serves, str] = {}
    for arm in experiment.arms:
        if arm.serves in seen:
            yield f"arms {seen[arm.serves]!r} and {arm.name!r} serve the same: nothing but chance can differ"
        seen.setdefault(arm.serves, arm.name)
        release = ws.releases.get(arm.serves.release or experiment.began)
        if arm.serves.strategy in LIVE and not _pays(ws, "overlays", release.overlay):
            yield f"arm {arm.name!r}: release {release.number} has no live signals that pay: none count"
        if arm.serves.strategy == "hybrid-feedback" and not _pays(ws, "feedback", release.feedback):
            yield f"arm {arm.name!r} answers as hybrid-live until a refresh finds that feedback pays"


def _pays(ws: Workspace, kind: str, version: str) -> bool:
    made = ws.store.find(kind, version) if version else None
    return made is not None and bool(made.manifest["pays"])


def stop(ws: Workspace, run: Run, name: str, now: datetime, reason: str, by: str = "") -> Experiment:
    """End an experiment; its users are served the current release again.

    Args:
        by: who decided, as `Decision.by`.

    Raises:
        ConfigError: there is none of that name, or it was stopped before.
    """
    with run.step("experiment") as step, run.fenced():
        ws.experiments.check_running(name)
        ws.decisions.record(Decision(run.record.id, Stop(name), by, reason))
        stopped = ws.experiments.stop(name, microseconds_of(now), reason)
        step.details = {"experiment": name, "stopped": reason}
    run.say(f"experiment {name!r} is stopped: {reason}")
    return stopped
