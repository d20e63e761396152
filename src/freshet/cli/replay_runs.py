"""A replay as the command line asks for it: its options, its plan, and the plan carried out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freshet.cli.options import names, parse_days, parse_moment, with_events
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from freshet.core.types import AsOf
    from freshet.replay import Plan
    from freshet.replay.figures.scarcity import Share
    from freshet.replay.frames import Results
    from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay, lengths of time in days; None and () are as the log and the workspace suggest.

    Attributes:
        shares: of the users, in per cent, that is learned from in turn, ascending; () = from all, once.
    """

    every: int | None
    tune_every: int | None
    start: AsOf | None
    end: AsOf | None
    limit: int
    seed: int
    horizon: int | None
    arms: tuple[str, ...]
    shares: tuple[float, ...] = ()

    @classmethod
    def parse(
        cls,
        every: str | None,
        tune_every: str | None,
        start: str | None,
        end: str | None,
        limit: int,
        seed: int,
        horizon: str | None = None,
        arms: str = "",
        shares: str = "",
    ) -> ReplayOptions:
        """From the texts of a command line.

        Raises:
            ConfigError: one of them is no date, no number of days, or no share.
        """
        return cls(
            every=parse_days(every),
            tune_every=parse_days(tune_every),
            start=parse_moment(start, "--from"),
            end=parse_moment(end, "--to"),
            limit=limit,
            seed=seed,
            horizon=parse_days(horizon),
            arms=tuple(names([arms])),
            shares=parse_shares(shares),
        )


@dataclass(frozen=True, slots=True)
class Rolled:
    """A plan carried out: what its arms were measured to do, what it was of, and the sandbox it ran in.

    Attributes:
        share: of the users that arms learned from.
    """

    results: Results
    log: dict[str, Any]
    sandbox: Workspace
    share: Share


def planned(ws: Workspace, options: ReplayOptions) -> Plan:
    """The plan of a replay; the log is imported first if it is empty.

    A replay by shares of the users costs as many replays as there are shares: it compares fewer arms by
    default, those that differ by a source of knowledge.
    """
    from freshet.replay import Able, make_plan
    from freshet.replay.replay_plan import by_source
    from freshet.stages import events
    from freshet.stages.events.step import latest

    latest(with_events(ws))  # raises where the log is empty
    able = Able(
        ws.tuner is not None,
        find_spec("torch") is not None,
        ws.config.sequence.use,
        ws.config.live.use,
        ws.config.evidence.level != "none",
        ws.config.content.use,
        ws.config.users.rows > 0,
    )
    return make_plan(
        [day.day for day in events.body(events.EventLog(ws.root).snapshot().days)],
        able=able,
        refresh_days=ws.config.schedule.refresh_days,
        tune_every=options.tune_every or ws.config.tuning.every_days,
        arms=options.arms or (by_source(able) if options.shares else ()),
        start=options.start,
        end=options.end,
        every=options.every,
        horizon=options.horizon,
        limit=options.limit,
        seed=options.seed,
    )


def rolled(ws: Workspace, plan: Plan, frames: Path) -> Rolled:
    """Carry a plan out in a sandbox beside the workspace's own artifacts; its frames go to a folder."""
    from freshet.replay import roll
    from freshet.replay.figures.scarcity import Share
    from freshet.replay.frames import Results
    from freshet.replay.learned_from import learned_over
    from freshet.report.subject import simulated
    from freshet.wiring import open_sandbox

    sandbox = open_sandbox(ws, plan.start)
    origins = roll(sandbox, plan)
    with sandbox.hold("replay"):  # what is read is written before anybody is forgotten
        results = Results.of(origins)
        results.write(frames)
    percent = 100.0 if plan.learners is None else plan.learners.percent
    learned = learned_over(origins)
    share = Share(percent, results.judged, **learned)
    log = {
        "name": ws.root.resolve().name,
        "simulated": simulated(ws),
        "mixed": ws.config.sequence.use,
        "content": ws.config.content.use,
        "planner": ws.config.planner.called,
        "interests": int(origins[-1].manifest["interests"]),
        "from": str(plan.start),
        "to": str(plan.end),
        "every_days": plan.every,
        "tune_days": plan.tune_every,
        "horizon_days": plan.horizon,
        "currency": ws.config.prices.currency,
        "learned": {"percent": percent, **learned},
    }
    return Rolled(results, log, sandbox, share)


def dry(ws: Workspace, plan: Plan) -> dict[str, Any]:
    """What a replay would go through, and the most that its planner may cost; nothing is asked."""
    from dataclasses import asdict

    from freshet.replay import replay_cost
    from freshet.wiring import open_sandbox

    cost = replay_cost.most(open_sandbox(ws, plan.start), plan)
    return {
        "from": str(plan.start),
        "to": str(plan.end),
        "origins": len(plan.origins),
        "arms": [arm.name for arm in plan.arms],
        "currency": ws.config.prices.currency,
        "most": asdict(cost) if cost is not None else None,
    }


def parse_shares(text: str) -> tuple[float, ...]:
    """`1,3,10,30,100` as per cent of the users, ascending, each once.

    Raises:
        ConfigError: one of them is no number above 0 and up to 100.
    """
    found = set()
    for name in names([text]):
        try:
            percent = float(name)
        except ValueError:
            percent = 0.0
        if not 0 < percent <= 100:  # false for NaN too
            raise ConfigError(
                f"--shares '{name}' is no share of the users in per cent", hint="write them as 1,3,10,30,100"
            )
        found.add(percent)
    return tuple(sorted(found))
