"""Step: the live overlay of a table: its counts as of then, weighed on held-out windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from freshet.core.config import Config
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Artifact
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import counts, live
from freshet.stages.counts.holdout_windows import Stretch
from freshet.stages.events.step import committed
from freshet.stages.live.calibration import PSEUDO, Weighed, weigh
from freshet.stages.sequence import step as sequencing
from freshet.storage.durable import read_json
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
    with ctx.run.step("overlay") as step:
        step.artifact = f"overlays/{key}"
        found = ws.store.find("overlays", key)
        if found is not None:
            step.cached = True
            return found
        with ws.store.create("overlays", key) as draft:
            weighed, why = _weighed(ctx, table)
            live.write(weighed.overlay if weighed else None, draft.path)
            told = _told(weighed, why)
            said = {"code": CODE, "as_of": str(log.as_of), "settings": config, "inputs": inputs}
            draft.manifest = said | told
            step.details = told
        if not told["pays"]:
            ctx.run.say(f"overlay: live signals don't pay here: {told['why']}")
    return committed(ws, "overlays", key)


def configured(ws: Workspace) -> dict[str, Any]:
    """The part of the configuration that decides what is in an overlay, beside the table's."""
    return {
        "live": ws.config.live.model_dump(mode="json", exclude={"use"}),
        "counts": ws.config.counts.model_dump(mode="json"),
    }


def version_of_table(ws: Workspace, table: str) -> str:
    """Version of an overlay of a table; '' without one."""
    made = [ws.store.find("overlays", version) for version in ws.store.versions("overlays")]
    found = (one.version for one in reversed(made) if one and one.manifest["inputs"]["table"] == table)
    return next(found, "")


def settings_of(config: Config, log: LogSnapshot) -> live.Settings:
    """What the configuration says, with `auto` filled in; pseudo-counts are the first that are tried."""
    live_config, window = config.live, float(log.scales.window_days)
    half_lives = (window / 2,) if live_config.half_lives == "auto" else live_config.half_lives
    return live.Settings(
        half_lives, live_config.burst_hours / 24, live_config.user_cap, live_config.most_lift, PSEUDO[0]
    )


def _weighed(ctx: RunContext, table: Artifact | None) -> tuple[Weighed | None, str]:
    """What live signals are worth, and why nothing where that is so."""
    try:
        weighed = weigh(ctx.fitter, settings_of(ctx.config, ctx.log), _early(ctx, table))
    except NotEnoughData as error:
        return None, error.message
    return weighed, "" if weighed.overlay else "no weight lies significantly above zero on held-out windows"


def _early(ctx: RunContext, table: Artifact | None) -> Callable[[Stretch], counts.Scorer]:
    """The release's score as it would have been at the start of a stretch of the held-out windows.

    It is without the planner, which answered for a sample of the windows alone: what is looked for is how far
    live signals go beyond what was known then, and all held-out transitions tell more of that than a few.
    """
    early = mixture = None
    if table is not None and counts.SEQUENCE in (read_json(table.path / "mixture.json")["fused"] or {}):
        made = committed(ctx.ws, "sequences", table.manifest["inputs"]["sequence"])
        early = sequencing.open_model(made, sequencing.EARLY).logits
        fusion = ctx.fitter.fused(None, early)
        mixture = fusion.used if fusion is not None else None
    return lambda part: ctx.fitter.scorer_of(part, mixture, early)


def _told(weighed: Weighed | None, why: str) -> dict[str, Any]:
    """What the ledger and the manifest say."""
    told: dict[str, Any] = {"pays": weighed is not None and weighed.overlay is not None, "why": why}
    if weighed is None:
        return told
    told |= {
        "judged": weighed.judged.as_dict(),
        "held_out": weighed.judged.examples,
        "held_out_users": weighed.judged.users,
        "gain": dict(zip(("nll", "low", "high"), weighed.gain, strict=True)),
    }
    overlay = weighed.overlay
    if overlay is not None:
        named = zip(overlay.settings.names, overlay.weights.tolist(), strict=True)
        told |= {"weights": dict(named), "pseudo": overlay.settings.pseudo}
    return told
