"""How many fake users does it take to move a row, with and without each defence?

    freshet init shop --events E --items I --planner counts && freshet run -w shop
    python benchmarks/poisoning.py --workspace shop --json

SIMULATED campaigns (`campaigns.py`) are added to the log of a workspace in memory. Fake users push an
interest of rank 10 and one of rank 28 to the first place, and to the first five, of the row they aim
at: of users without an interest, or (pairs) of users with one. Numbers of fake users double from 5 to
10,240; the smallest that does it is told, the median over interests and seeds, "none" where none did.
Weights of the mixture are those fitted without the campaign. Defences as configured by default:

refresh   `none`; `screen` holds back what new users alone do; `gate`: the number that gets there and is not
          halted by the crowd gate; `all`
live      fake users of one event each within the last hour, seen at once: `none`, `weight` (a new user counts
          a tenth), and `weight 0`
real      moves of the log as it is that the screen holds back, in percent: mistaken, if the log is honest
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from campaigns import CAMPAIGNS, HOUR, Campaign, Rows, Scene
from freshet import due, pipeline
from freshet.core.time import DAY
from freshet.core.types import TRANSITION, Sums
from freshet.run_context import RunContext
from freshet.stages import counts, live, screen
from freshet.stages.live import step as overlays
from freshet.stages.screen.step import unscreened
from freshet.stages.table.crowd_gate import FIRST
from freshet.stages.transitions.day_files import files, read
from freshet.stages.transitions.established import Established, established
from freshet.stages.transitions.monthly import MOVE
from freshet.wiring import open_workspace
from shared import parse, parser, tell, workspace

NUMBERS = tuple(5 * 2**power for power in range(12))
PLACES = (10, 28)
NONE = "none"


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--workspace", type=Path, help="with a release")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--campaigns", default=",".join(CAMPAIGNS), help="some of them")
    options = parse(made, "workspace", seeds=1, campaigns="one event, 10 days,pairs")
    with workspace(options) as root:
        found = measure(root, options)
    tell(options, found)


@dataclass(frozen=True)
class World:
    """A log in memory, and how its counts are weighed."""

    ctx: RunContext
    moves: Rows
    engaged: Rows
    contexts: NDArray[np.int16]
    clean: NDArray[np.float64]

    @property
    def interests(self) -> int:
        return len(self.ctx.log.interests)

    def scores(self, moves: Rows, share: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """(N + 1, N) scores of users without an interest, then with each, from moves that count so often."""
        ctx, weight = self.ctx, np.ones(len(moves)) if share is None else share
        age = ctx.as_of.day_number - moves["time"] // DAY
        fit, scales = ctx.fitter.fit, ctx.log.scales

        def sums(half_life: float, length: int) -> Sums:
            return summed(moves, weight * 0.5 ** (age / half_life), length, self.interests)

        model = counts.CountModel.build(
            [sums(half_life, 0) for half_life in scales.half_lives],
            [sums(fit.half_life, length) for length in range(1, ctx.fitter.k + 1)],
            self.interests,
            fit.prior_counts,
            scales.steady,
        )
        excluded = np.zeros((len(self.contexts), self.interests), bool)
        excluded[np.arange(1, len(excluded)), np.arange(self.interests)] = True
        return np.asarray(replace(ctx.fitter.scorer(), model=model)(self.contexts, excluded).fused)


def measure(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The figures; see the module."""
    ws = unscreened(open_workspace(root))
    chosen = [name for name in CAMPAIGNS if name in options.campaigns]
    with ws.run("poisoning") as run:
        ctx = pipeline.context_of(ws, run, due.moment(ws, run, None, due.end_of_log(ws)))
        world = world_of(ctx)
        _, mistaken = screened(world, world.moves, world.engaged)
        found: dict[str, Any] = {
            "log": {"moves": len(world.moves), "users": len(np.unique(world.engaged["user"]))},
            "real": {"held_back_percent": round(100 * mistaken / len(world.moves), 3)},
            "refresh": {
                name: campaign(world, CAMPAIGNS[name], name, options.seeds, options.quick) for name in chosen
            },
            "live": lively(ctx, world, options.seeds),
        }
    return found


def world_of(ctx: RunContext) -> World:
    """The log of a context."""
    log, size = ctx.log.transitions, len(ctx.log.interests)
    moves = np.concatenate([read(path) for path in files(log._pool, log._index)])
    engaged = np.concatenate([read(path) for path in files(log._pool, log._engaged)])
    contexts = np.full((size + 1, ctx.fitter.k), -1, np.int16)
    contexts[1:, -1] = np.arange(size)
    engaged = engaged[np.lexsort((engaged["time"], engaged["user"]))]
    world = World(ctx, moves, engaged, contexts, np.zeros(0))
    return replace(world, clean=world.scores(moves))


def summed(moves: Rows, weight: NDArray[np.float64], length: int, interests: int) -> Sums:
    """Weights by context and successor."""
    keep = moves["recent"][:, -length] >= 0 if length else np.ones(len(moves), bool)
    code = np.zeros(int(keep.sum()), np.int64)
    for place in range(length, 0, -1):
        code = code * interests + moves["recent"][keep, -place]
    found, place = np.unique(code * interests + moves["successor"][keep], return_inverse=True)
    digits = np.stack([found // interests**power % interests for power in range(length, -1, -1)], axis=1)
    total = np.bincount(place, weights=weight[keep], minlength=len(found))
    return Sums(digits[:, :-1].astype(np.int16), digits[:, -1].astype(np.int16), total)


def known_of(world: World, engaged: Rows) -> Established:
    """Since when users are established."""
    config = world.ctx.config.screen
    days = [(engaged["user"], engaged["time"] // DAY)]
    return established(days, config.active_days, config.age_days)


def screened(world: World, moves: Rows, engaged: Rows) -> tuple[Rows, int]:
    """The moves that count, and how many are held back."""
    config, known = world.ctx.config.screen, known_of(world, engaged)
    moves = moves[np.argsort(moves["time"] // DAY, kind="stable")]
    rows = np.empty(len(moves), MOVE)
    for name in ("time", "user", "successor"):
        rows[name] = moves[name]
    rows["last"] = moves["recent"][:, -1]
    rows["known"] = np.bitwise_count(moves["known"]).sum(axis=1)
    new = ~known.on(moves["user"], moves["time"] // DAY)
    window = world.ctx.log.scales.window_days
    limits = screen.Limits(config.most_growth, config.chance, config.few, window)
    held = screen.scan([(rows, new)], world.interests, limits, np.zeros(0, np.int64))
    kept = held.kept(moves["user"], moves["time"])
    return moves[kept], int((~kept).sum())


def campaign(world: World, attack: Campaign, name: str, seeds: int, quick: bool) -> dict[str, Any]:
    """Numbers of fake users by defence, for the first place and the first five."""
    aims: list[dict[str, dict[str, float]]] = []
    busiest = int(np.bincount(world.moves["recent"][:, -1][world.moves["recent"][:, -1] >= 0]).argmax())
    row = busiest + 1 if name == "pairs" else 0
    order = np.argsort(-world.clean[row], kind="stable")
    for rank in (1,) if name == "demotion" else PLACES:
        pushed = int(order[min(rank, world.interests - 2) - 1])
        horizon = world.ctx.config.transitions.novelty_days
        scene = Scene(
            world.engaged,
            world.interests,
            pushed,
            busiest,
            world.ctx.as_of.microseconds,
            None if horizon == "ever" else horizon,
        )
        demoted = name == "demotion"
        aims += [needed(world, attack, scene, row, demoted, seed, quick) for seed in range(seeds)]
    defences = {
        one: {place: middle([aim[one][place] for aim in aims]) for place in aims[0][one]} for one in aims[0]
    }
    return {"runs": len(aims), **defences}


def needed(
    world: World, attack: Campaign, scene: Scene, row: int, demoted: bool, seed: int, quick: bool
) -> dict[str, dict[str, float]]:
    """The smallest number that gets there, by defence; infinite where none does."""
    found = {one: {"first": np.inf, "first_five": np.inf} for one in ("none", "screen", "gate", "all")}
    before = int((world.clean[row] > world.clean[row, scene.pushed]).sum())
    for users in NUMBERS[::4] if quick else NUMBERS:
        rng = np.random.default_rng([seed, users])
        fake = attack(scene, users, rng)
        engaged = np.concatenate([world.engaged, fake])
        moves = np.concatenate([world.moves, scene.moves(fake)])
        kept, _ = screened(world, moves, engaged)
        known = known_of(world, engaged)
        for defence, counted in (("none", moves), ("screen", kept)):
            place = _place(world.scores(counted)[row], scene.pushed)
            old = known.on(counted["user"], world.ctx.as_of.day_number).astype(float)
            alone = _place(world.scores(counted, old)[row], scene.pushed)
            halted = not demoted and before >= FIRST and place == 0 and alone >= FIRST
            for level, bound in (("first", 0), ("first_five", FIRST - 1)):
                there = place > bound if demoted else place <= bound
                if there:
                    found[defence][level] = min(found[defence][level], users)
                if there and not halted:
                    gated = "gate" if defence == "none" else "all"
                    found[gated][level] = min(found[gated][level], users)
    return found


def lively(ctx: RunContext, world: World, seeds: int) -> dict[str, Any]:
    """Numbers of fake users of one event each that live signals need, by the weight of new users."""
    config, base, found = ctx.config, world.clean[0], {}
    order = np.argsort(-base, kind="stable")
    for name, use, weight in (
        ("none", False, 1.0),
        ("weight", True, config.screen.live_weight),
        ("weight 0", True, 0.0),
    ):
        own = config.screen.model_copy(update={"use": use, "live_weight": weight})
        changed = replace(ctx.ws, config=config.model_copy(update={"screen": own}))
        made = overlays.make(replace(ctx, ws=changed), None)
        overlay = live.read(made.path) if made is not None else None
        if overlay is None:
            found[name] = "live signals don't pay here"
            continue
        aims = {"first": [], "first_five": []}
        for rank in PLACES:
            pushed = int(order[min(rank, world.interests - 2) - 1])
            for seed in range(seeds):
                places = [(n, _live(overlay, base, pushed, n, ctx.as_of.microseconds, seed)) for n in NUMBERS]
                for level, bound in (("first", 0), ("first_five", FIRST - 1)):
                    aims[level].append(min((n for n, place in places if place <= bound), default=np.inf))
        found[name] = {level: middle(values) for level, values in aims.items()}
    return found


def _live(
    overlay: live.Overlay, base: NDArray[np.float64], pushed: int, users: int, now: int, seed: int
) -> int:
    rng, crowd = np.random.default_rng([seed, users]), np.zeros(users, TRANSITION)
    crowd["user"] = rng.integers(1, 2**63, users)
    crowd["time"], crowd["last"], crowd["successor"] = now + rng.integers(0, HOUR, users), -1, pushed
    seen = overlay.copy()
    seen.apply(crowd)
    return _place(base + seen.bonus(-1, now + HOUR), pushed)


def _place(scores: NDArray[np.float64], interest: int) -> int:
    """How many are ahead of an interest."""
    return int((scores > scores[interest]).sum())


def middle(values: list[float]) -> int | str:
    """The median; "none" where half of the runs or more never got there."""
    found = statistics.median_high(values)
    return NONE if np.isinf(found) else int(found)


if __name__ == "__main__":
    main()
