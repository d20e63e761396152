"""`freshet simulate`: an experiment in a SIMULATED world, in which the truth is known."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document, plain_mapping
from freshet.cli.options import AsJson, Seed, answer, names, opened, remember_workspace
from freshet.core.errors import ConfigError
from freshet.core.safe_names import number

if TYPE_CHECKING:
    from freshet.simulator.loop_plan import Plan, Preset

CALIBRATING, CHECKING = (1000, 1001), (1010, 1011, 1012, 1013)
"""Seeds of worlds that a log is compared with, while searching and afterwards; those of arms are others."""


def simulate(
    preset: Annotated[
        str,
        typer.Option("--preset", "--world", metavar="NAME", help="The world: shorts or transitions."),
    ] = "shorts",
    days: Annotated[int, typer.Option("--days", min=1, help="Days of the experiment.")] = 14,
    users: Annotated[int, typer.Option("--users", min=10, help="People of the world.")] = 5000,
    arms: Annotated[
        str,
        typer.Option("--arms", metavar="A,B", help="The first is the control; static = the first release."),
    ] = "static,popularity,hybrid,hybrid-live",
    refreshes: Annotated[
        str, typer.Option("--refresh-days", metavar="D,D", help="Days that begin with a refresh.")
    ] = "1,4",
    seed: Seed = 0,
    drift: Annotated[
        str, typer.Option("--drift", help="static, gradual, abrupt or seasonal, instead of the world's own.")
    ] = "",
    planner: Annotated[str, typer.Option("--planner", help="scratch or counts.")] = "scratch",
    max_steps: Annotated[
        int, typer.Option("--max-steps", min=0, help="Of each training; 0 = about a minute's on two cores.")
    ] = 0,
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="The workspace to make.", callback=remember_workspace)
    ] = Path("sim"),
    calibrate_on: Annotated[
        Path | None,
        typer.Option("--calibrate-on", metavar="DIR", help="Instead: find the world that drifts like a log."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """An experiment on SIMULATED people: real pipeline, real serving, a truth that is known.

    Everything but the people is as in production: one experiment assigns them to arms, the exploration slot
    of their feed is filled by the recommender, what becomes of it is recorded, collected, and learned from.
    """
    from freshet.cli import show_simulation
    from freshet.simulator import loop_plan as presets

    chosen = presets.preset(preset)
    if calibrate_on is not None:
        found = calibrated(calibrate_on, preset, chosen)
        answer(
            document("simulate", found),
            as_json,
            lambda console: console.print(show_simulation.compared_worlds(found)),
        )
        return
    plan = _plan(chosen, preset, days, users, arms, refreshes, seed, drift)
    found = simulated(plan, folder, planner, max_steps)
    content = document("simulate", {**found, "folder": folder})
    answer(content, as_json, lambda console: console.print(show_simulation.experiment(found)))


def _plan(
    chosen: Preset, world: str, days: int, users: int, arms: str, refreshes: str, seed: int, drift: str
) -> Plan:
    from freshet.simulator.loop_plan import Plan
    from freshet.simulator.world import DRIFTS

    kind = next((one for one in DRIFTS if one == drift), None)
    if drift and kind is None:
        raise ConfigError(f"--drift '{drift}' is none", hint=f"one of {', '.join(DRIFTS)}")
    on = names([refreshes])
    if not all(1 <= (number(day) or 0) <= days for day in on):
        raise ConfigError(
            f"--refresh-days '{refreshes}' are not days of the experiment", hint=f"such as 1,4, up to {days}"
        )
    made = chosen.of(days, users, seed, kind)
    return Plan(world, chosen, made, days, tuple(names([arms])), tuple(sorted({int(day) for day in on})))


def simulated(plan: Plan, folder: Path, planner: str, max_steps: int) -> dict[str, Any]:
    """Live through an experiment; `figures.json` in its folder holds what is returned.

    Raises:
        ConfigError: the folder is there already.
    """
    from freshet import wiring
    from freshet.cli import settings_file
    from freshet.cli.screen import Screen
    from freshet.simulator import SIMULATED
    from freshet.simulator import closed_loop as loop
    from freshet.simulator.loop_figures import figures, oracle_figures, sessions_before
    from freshet.simulator.loop_plan import workspace_settings
    from freshet.storage.durable import write_json

    if folder.exists():
        raise ConfigError(f"{folder} is there already", hint="choose another folder with --dir")
    plan.check()
    with Screen() as screen:
        begun = loop.begin(plan, folder)
        settings_file.write(folder, workspace_settings(plan, planner, max_steps))
        offers = loop.run(plan, begun, folder, wiring, screen, screen.progress("simulated hours"))
        found = {
            "simulated": SIMULATED,
            "world": {"name": plan.name, **asdict(plan.world), "start": str(plan.world.start)},
            "habits": asdict(plan.preset.habits),
            "planner": planner,
            "days": plan.days,
            "refreshes": list(plan.refreshes),
            "order": list(plan.arms),
            **loop.trained(wiring.open_workspace(folder)),
            "oracles": oracle_figures(offers, plan.arms, plan.days),
            "arms": figures(offers, plan.arms, plan.days, sessions_before(begun.people, plan.preset.history)),
        }
    content = plain_mapping(found)
    write_json(folder / "figures.json", content)
    return content


def calibrated(log: Path, world: str, chosen: Preset) -> dict[str, Any]:
    """How the log's successors change beside those of the nearest world and of the preset."""
    from freshet.cli.options import with_events
    from freshet.simulator import SIMULATED
    from freshet.simulator import world_calibration as calibration

    with opened(log) as ws:
        measured = calibration.of_log(with_events(ws), 200)
        progress, own = ws.reporter.progress("worlds"), chosen.of(14, 800, 0)
        nearest = calibration.calibrate(measured, own, chosen.habits, CALIBRATING, progress=progress)
        sides = {"nearest": nearest.set(own), world: own}
        found: dict[str, Any] = {"simulated": SIMULATED, "log": asdict(measured)}
        for name, one in sides.items():
            seeds = [replace(one, seed=seed) for seed in CHECKING]
            decays = [calibration.simulated(each, chosen.habits, measured.support, 200) for each in seeds]
            found[name] = {
                "world": calibration.Rates.of(one)._asdict(),
                "decays": [asdict(decay) for decay in decays],
            }
    return plain_mapping(found)
