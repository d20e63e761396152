"""Step: the live overlay of a table: its counts as of then, weighed on held-out windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from freshet.core.config import Config, ScreenConfig
from freshet.core.errors import NotEnoughData
from freshet.core.types import ContentView
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import counts, live
from freshet.stages.counts.holdout_windows import Stretch
from freshet.stages.counts.step import early_of
from freshet.stages.live.calibration import PSEUDO, Calibrated, calibrate
from freshet.storage.artifacts import Artifact, committed, newest
from freshet.storage.build_once import build_once
from freshet.storage.durable import read_json
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import FromTable, OverlayManifest, TableManifest
from freshet.storage.workspace import Workspace, version_of

CODE = 2


def make(ctx: RunContext, table: Artifact | None) -> Artifact | None:
    """The overlay of a table, or of plain counts; None where the configuration wants none.

    The artifact says so where live signals don't pay; see `freshet.stages.live.read`.
    """
    ws, log, fitter = ctx.ws, ctx.log, ctx.fitter
    if not ws.config.live.use:
        return None
    inputs = {
        "transitions": log.version,
        "interests": log.interests_version,
        "table": table.version if table else "",
    }
    config = configured(ws)
    key = version_of(
        code=CODE,
        as_of=log.as_of,
        k=fitter.k,
        scales=log.scales.as_dict(),
        config=config,
        every=fitter.holdout.stretch_days,
        **inputs,
    )

    def build(folder: Path, step: StepRecord) -> OverlayManifest:
        calibrated, why = _calibrated(ctx, table)
        live.write(calibrated.overlay if calibrated else None, folder)
        summary = _summary(calibrated, why)
        step.details = summary
        if not summary["pays"]:
            ctx.run.say(f"overlay: live signals don't pay here: {why}")
        return OverlayManifest(
            code=CODE, as_of=str(log.as_of), settings=config, inputs=FromTable(**inputs), **summary
        )

    return build_once(ws, ctx.run, "overlay", "overlays", key, build)


def configured(ws: Workspace) -> dict[str, Any]:
    """The part of the configuration that decides what is in an overlay, beside the table's."""
    config = ws.config.screen
    return {
        "live": ws.config.live.model_dump(mode="json", exclude={"use"}),
        "counts": ws.config.counts.model_dump(mode="json"),
        **({"new_user": config.live_weight} if _lightens(config) else {}),
    }


def version_of_table(ws: Workspace, table: str) -> str:
    """Version of an overlay of a table; '' without one."""
    found = newest(ws.store, "overlays", lambda one: OverlayManifest.of(one).inputs.table == table)
    return found.version if found else ""


def _lightens(config: ScreenConfig) -> bool:
    """Whether new users count for less."""
    return config.use and config.live_weight < 1


def settings_of(config: Config, log: LogSnapshot) -> live.Settings:
    """What the configuration says, with `auto` filled in; pseudo-counts are the first that are tried."""
    live_config, window = config.live, float(log.scales.window_days)
    half_lives = (window / 2,) if live_config.half_lives == "auto" else live_config.half_lives
    return live.Settings(
        half_lives,
        live_config.burst_hours / 24,
        live_config.user_cap,
        live_config.most_lift,
        PSEUDO[0],
        config.screen.live_weight if _lightens(config.screen) else 1.0,
    )


def _calibrated(ctx: RunContext, table: Artifact | None) -> tuple[Calibrated | None, str]:
    """What live signals are worth, and why nothing where that is so."""
    try:
        scorer_of, view = _early(ctx, table)
        known = None
        if _lightens(ctx.config.screen):  # who is in the log by then counts in full
            known = ctx.log.transitions.established(active_days=1, age_days=1)
        calibrated = calibrate(ctx.fitter, settings_of(ctx.config, ctx.log), scorer_of, view, known)
    except NotEnoughData as error:
        return None, error.message
    return (
        calibrated,
        "" if calibrated.overlay else "no weight lies significantly above zero on held-out windows",
    )


def _early(
    ctx: RunContext, table: Artifact | None
) -> tuple[Callable[[Stretch], counts.Scorer], ContentView | None]:
    """The release's score as it would have been at the start of a stretch of the held-out windows.

    It is without the planner, which answered for a sample of the windows alone: what is looked for is how far
    live signals go beyond what was known then, and all held-out transitions tell more of that than a few.
    """
    if table is None:
        return ctx.fitter.scorer_of, None
    inputs, sequence = TableManifest.of(table).inputs, None
    if counts.SEQUENCE in (read_json(table.path / "mixture.json")["fused"] or {}):
        sequence = committed(ctx.ws.store, "sequences", inputs.sequence)
    content = committed(ctx.ws.store, "content", inputs.content) if inputs.content else None
    early = early_of(ctx, sequence, content)
    fusion, view = ctx.fitter.fuse(None, early), early.content
    centroids = view.centroids if view is not None else None
    return lambda part: ctx.fitter.scorer_of(part, fusion, early.sequence, centroids), view


def _summary(calibrated: Calibrated | None, why: str) -> dict[str, Any]:
    """What the ledger and the manifest say."""
    summary: dict[str, Any] = {"pays": calibrated is not None and calibrated.overlay is not None, "why": why}
    if calibrated is None:
        return summary
    summary |= {
        "judged": calibrated.fitted.as_dict(),
        "held_out": calibrated.fitted.examples,
        "held_out_users": calibrated.fitted.users,
        "gain": dict(zip(("nll", "low", "high"), calibrated.gain, strict=True)),
    }
    overlay = calibrated.overlay
    if overlay is not None:
        named = zip(overlay.settings.names, overlay.weights.tolist(), strict=True)
        summary |= {"weights": dict(named), "pseudo": overlay.settings.pseudo}
    return summary
