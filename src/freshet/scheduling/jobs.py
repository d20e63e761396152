"""What a scheduler runs, at which times, by the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from freshet.core.config import Config
from freshet.core.cron_times import Cron

Name = Literal["slow", "fast", "collect"]


@dataclass(frozen=True, slots=True)
class Job:
    """A command that is run by itself.

    Attributes:
        name: slow (path), fast (path) or collect.
        command: of the command line.
        counted: commands whose runs count as its own, whoever made them.
        cron: its times.
        paid: whether the month's budget holds it back.
    """

    name: Name
    command: str
    counted: tuple[str, ...]
    cron: Cron
    paid: bool = True


def jobs_of(config: Config) -> tuple[Job, ...]:
    """What there is to run, in that order where it is due together: a new model is published at once."""
    schedule, zone = config.schedule, config.schedule.zone
    found = []
    if schedule.tune_cron and tunes(config):
        found.append(Job("slow", "finetune", ("finetune",), Cron(schedule.tune_cron, zone)))
    found.append(Job("fast", "run", ("run",), Cron(schedule.refresh_cron, zone)))
    if schedule.collect_cron:
        cron = Cron(schedule.collect_cron, zone)
        found.append(Job("collect", "collect", ("collect", "run"), cron, paid=False))
    return tuple(found)


def tunes(config: Config) -> bool:
    """Whether there is a planner of tables to tune."""
    return config.planner.kind != "counts" and config.planner.use == "table"
