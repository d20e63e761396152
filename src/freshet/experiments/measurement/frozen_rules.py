"""How an experiment is measured: by the settings of its start, whatever the file says by now.

Rules that change under a running experiment would count the days before by another measure, and whoever
changes them has seen those days.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from freshet.core.config import Config, MetricConfig
from freshet.core.types import Experiment, MeasurementRules, MetricRule
from freshet.experiments.measurement.experiment_metrics import columns_read
from freshet.storage.workspace import Workspace


def rules_of(config: Config) -> MeasurementRules:
    """How these settings measure."""
    one = config.experiments
    own = tuple(
        MetricRule(each.name, each.counts, each.of, each.better, each.attributed) for each in one.metrics
    )
    return MeasurementRules(
        config.events.positive,
        config.transitions.novelty_days,
        one.satisfied,
        one.dissatisfied,
        one.negative,
        one.smallest_effect,
        own,
        one.attribution_hours,
    )


def as_started(config: Config, experiment: Experiment) -> Config:
    """The settings, with those that the experiment started with in their place.

    A metric that was not defined then is measured as it is defined now: the experiment wasn't started with
    it. Experiments from before rules were kept are measured by today's.
    """
    then = experiment.rules
    if then is None:
        return config
    own = [MetricConfig(**asdict(one)) for one in then.metrics]
    kept = {one.name for one in own}
    later = [one for one in config.experiments.metrics if one.name not in kept]
    rules = {
        "satisfied": then.satisfied,
        "dissatisfied": then.dissatisfied,
        "negative": then.negative or config.experiments.negative,
        "smallest_effect": then.smallest_effect,
        "metrics": (*own, *later),
        "attribution_hours": then.attribution_hours,
    }
    return config.model_copy(
        update={
            "events": config.events.model_copy(update={"positive": then.positive}),
            "transitions": config.transitions.model_copy(update={"novelty_days": then.novelty_days}),
            "experiments": config.experiments.model_copy(update=rules),
        }
    )


def changed(config: Config, experiment: Experiment) -> dict[str, tuple[Any, Any]]:
    """By setting, what it was at the start and what it is now, where the two differ."""
    if experiment.rules is None:
        return {}
    then, now = _flat(experiment.rules), _flat(rules_of(config))
    return {name: (then.get(name), now.get(name)) for name in then | now if then.get(name) != now.get(name)}


def kept_columns(ws: Workspace) -> tuple[str, ...]:
    """Columns of events that imports keep: those that metrics read, of today and of every experiment."""
    known = [ws.config, *(as_started(ws.config, one) for one in ws.experiments.found()[0])]
    return tuple(sorted(set().union(*(columns_read(one) for one in known))))


def _flat(one: MeasurementRules) -> dict[str, Any]:
    found = {f"[experiments] {name}": value for name, value in asdict(replace(one, metrics=())).items()}
    del found["[experiments] metrics"]
    found["[events] positive"] = found.pop("[experiments] positive")
    found["[transitions] novelty_days"] = found.pop("[experiments] novelty_days")
    return found | {f"[[experiments.metrics]] {each.name}": asdict(each) for each in one.metrics}
