"""The canary that runs: the release that it tries, until when, and what that must not harm."""

from __future__ import annotations

from datetime import timedelta

from freshet.core.config import GuardrailConfig
from freshet.core.config.canary_section import CanaryConfig
from freshet.core.errors import ArtifactError
from freshet.core.types import Experiment
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace

CANARY = "canary"
"""Name of the arm that serves the new release."""


def running(ws: Workspace) -> Experiment | None:
    """The canary that runs; None = there is none."""
    return next((one for one in ws.experiments.running() if one.canary), None)


def waits(ws: Workspace, run: Run) -> bool:
    """Whether nothing is refreshed by itself, as a canary runs; the run says so."""
    one = running(ws)
    if one is not None:
        run.say(f"nothing is refreshed while release {tried(one)} serves some users first")
    return one is not None


def tried(canary: Experiment) -> int:
    """Number of the release that a canary tries.

    Raises:
        ArtifactError: its file was changed: no arm of that name serves a release by number.
    """
    numbers = [arm.serves.release for arm in canary.arms if arm.name == CANARY]
    if len(numbers) != 1 or numbers[0] is None:
        raise ArtifactError(
            f"experiment {canary.name!r} tries no release", hint=f"`freshet experiment stop {canary.name}`"
        )
    return numbers[0]


def guardrails(settings: CanaryConfig) -> tuple[GuardrailConfig, ...]:
    """What the release must not harm, as guardrails of its experiment."""
    return tuple(GuardrailConfig(metric=name, alpha=settings.alpha) for name in settings.metrics)


def until(canary: Experiment, settings: CanaryConfig) -> int:
    """When it ends at the latest, in microseconds since 1970."""
    return canary.start + round(timedelta(days=settings.days) / timedelta(microseconds=1))
