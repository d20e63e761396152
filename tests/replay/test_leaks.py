"""With real training, nothing that happens from an origin on changes a byte of what was made for it.

Planner, sequence model, live overlays and the ranker of items are trained for real, for a few steps, in two
worlds that part at a moment; every artifact and every arm's scores as of that moment are compared. The same
comparison a little later, when training has seen what differs, must fail everywhere: else it could not have
noticed a leak.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from freshet import operations
from freshet.backends.sequences.recipes import ItemRecipe, Recipe
from freshet.backends.sequences.trainers import TorchRankingTrainer, TorchSequenceTrainer
from freshet.core.types import AsOf, Transitions
from freshet.pipeline import snapshot_of
from freshet.replay import Able, live_arms, make_plan, roll
from freshet.replay.arm_scores import ArmScorers
from freshet.replay.arm_state import ArmState, Checkpoint
from freshet.replay.evaluate import ArmScores
from freshet.replay.live_arms import with_live
from freshet.run_context import RunContext
from freshet.simulator import World, generate
from freshet.stages import events, live
from freshet.stages import items as ranking
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.stages.items import step as rankers
from freshet.stages.items.format import open_ranker
from freshet.stages.items.training_data import gather
from freshet.stages.transitions import TransitionLog
from freshet.storage.workspace import Workspace
from freshet.wiring import open_sandbox
from tests.pipeline.world import NOW, settings, workspace
from tests.replay.future import another, files

pytest.importorskip("torch")
pytestmark = pytest.mark.slow
AT, LATER, END = (AsOf.parse(f"2024-02-{day}") for day in ("05", "09", "13"))
"""When the worlds part, and a moment at which training has seen the difference."""
WORLD = World(themes=16, items=120, users=400, days=44, sessions=12, trends=4.0, contrast=0.3)
"""In which live signals pay."""
TRAINING = """
[tuning]
max_steps = 6
every_days = 4
[sequence]
use = true
max_steps = 30
[ranker]
use = true
max_steps = 30
[inference]
calibration_prompts = 120
[gates]
sample = 30
"""
ARTIFACTS = ("tables", "models", "sequences", "overlays", "content", "itemmodels")


@dataclass(frozen=True)
class Made:
    """What was made in one world: artifacts, scores and overlays that pay, by origin and name."""

    artifacts: dict[AsOf, dict[str, dict[str, bytes]]]
    scores: dict[AsOf, dict[str, NDArray[np.float64]]]
    overlays: dict[AsOf, dict[str, live.Overlay]]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made, Questions]:
    root = tmp_path_factory.mktemp("leaks")
    generate(WORLD, root / "world")
    another(root / "world", root / "other", AT)
    rooms = [_room(root / name, root / f"{name}-ws") for name in ("world", "other")]
    questions = _questions(rooms[0])
    return _made(rooms[0], questions), _made(rooms[1], questions), questions


def _room(world: Path, root: Path) -> Workspace:
    ws = workspace(root, settings(world, "scratch", TRAINING))
    operations.import_log(ws, NOW)
    small = {"width": 16, "inner": 16, "batch_size": 64, "learning_rate": 1e-2}
    ws = replace(
        ws, sequencer=TorchSequenceTrainer(Recipe(**small)), ranker=TorchRankingTrainer(ItemRecipe(**small))
    )
    return open_sandbox(ws, AT)


@dataclass(frozen=True)
class Questions:
    """Transitions of the first world's days from AT to LATER, everybody's moves on these days, the log of
    these, and ids of the items met before AT; of what is not met yet, a ranker says what the catalogue's words say."""

    test: Transitions
    asked: NDArray[np.void]
    moves: NDArray[np.void]
    log: TransitionLog
    items: list[str]


def _questions(sandbox: Workspace) -> Questions:
    with sandbox.run("look") as run:
        met = gather(
            sandbox, snapshot_of(sandbox, run, AT), met=True
        )  # interests are those of the first origin
        log = snapshot_of(sandbox, run, END).transitions
    test, asked = log.between(AT, LATER, 300), log.records(AT, LATER, 300)
    assert len(test) > 100
    return Questions(test, asked, log.records(AT, LATER), log, sorted(met.about.ids))


def _made(sandbox: Workspace, questions: Questions) -> Made:
    days = [day.day for day in events.EventLog(sandbox.source).snapshot().days]
    able = Able(True, trains=True, mixes=True, lives=True)
    plan = make_plan(days, able=able, refresh_days=4, tune_every=4, every=4, start=AT, end=END)
    assert {"hybrid", "counts-sequence", "hybrid-live", "counts-live", "sequence"} <= {
        a.name for a in plan.arms
    }
    found = Made({}, {}, {})
    for at, origin in zip((AT, LATER), roll(sandbox, plan), strict=True):
        standings = dict(Checkpoint.of(origin.manifest["position"]).arms)
        with sandbox.run("look") as run:
            known = snapshot_of(sandbox, run, at)
            counting = fitter_for(sandbox.config, known, 4)
            trained = rankers.train(sandbox, run, known)
            ranker = rankers.up_to_date(sandbox, run, known, trained)
        named = {"items/itemmodels": files(sandbox, trained.kind, trained.version)}
        for arm, standing in standings.items():
            for kind, version, new in (
                ("tables", standing.table, standing.refreshed),
                ("models", standing.model, standing.tuned),
                ("sequences", standing.sequence, standing.tuned),
                ("overlays", standing.overlay, standing.refreshed),
            ):
                if version and new:
                    named[f"{arm}/{kind}"] = files(sandbox, kind, version)
            if standing.content and standing.refreshed:
                made = files(sandbox, "content", standing.content)
                named[f"{arm}/content"] = {  # items of the catalogue that nobody has met yet are in the rest
                    name: data for name, data in made.items() if "centroids" in name
                }
        found.artifacts[at] = named
        found.overlays[at] = {
            arm: overlay
            for arm, standing in standings.items()
            if standing.overlay and (overlay := _overlay(sandbox, standing))
        }
        ctx = RunContext(sandbox, run, known, counting)
        judges = ArmScorers(ctx, standings, plan.arms, known, questions.test)
        scores = {}
        for arm in plan.arms:
            if standings[arm.name].made == str(at):
                ranked = judges.rank(arm, standings[arm.name], counting)
                if arm.scores == "popularity" and arm.live:
                    ranked = ArmScores(_popularity_live(counting, questions))
                said = [ranked.logp] if ranked.planner is None else [ranked.logp, ranked.planner]
                if overlay := found.overlays[at].get(arm.name):
                    said.append(_live(overlay, ranked.logp, questions))
                scores[arm.name] = np.concatenate(said)
        found.scores[at] = scores | {"items": _item_scores(open_ranker(ranker), questions.items)}
    return found


def _overlay(sandbox: Workspace, standing: ArmState) -> live.Overlay | None:
    """None where live signals don't pay."""
    made = sandbox.store.find("overlays", standing.overlay)
    assert made is not None
    return live.read(made.path)


def _live(overlay: live.Overlay, logp: NDArray[np.float64], questions: Questions) -> NDArray[np.float64]:
    """(n, N) scores once the overlay has taken in what happened before each question."""
    return with_live(logp, questions.test.known, deepcopy(overlay), questions.moves, questions.asked)


def _popularity_live(counting: CountFitter, questions: Questions) -> NDArray[np.float64]:
    """(n, N) popularity once it has taken in what happened before each question."""
    return live_arms.popularity_live(counting, questions.log, LATER, questions.test, questions.asked)


def _item_scores(ranker: ranking.Ranker, items: list[str]) -> NDArray[np.float64]:
    """What is said of each item after each pair of the first ones."""
    numbers = np.array([ranker.index[item] for item in items])
    states = np.array([ranker.state(numbers[first : first + 2]) for first in range(20)])
    return states @ ranker.embedding[numbers].T + ranker.item_index.prior[numbers]


def test_what_was_made_before_is_the_same_byte_for_byte(worlds: tuple[Made, Made, Questions]) -> None:
    one, two = (world.artifacts[AT] for world in worlds[:2])
    assert one.keys() == two.keys()
    assert {name.split("/")[1] for name in one} == set(ARTIFACTS)
    assert all(one.values())
    assert [name for name in one if one[name] != two[name]] == []


def test_every_arm_says_the_same(worlds: tuple[Made, Made, Questions]) -> None:
    one, two = (world.scores[AT] for world in worlds[:2])
    assert one.keys() == two.keys()
    assert len(one) > 14
    assert {"hybrid-live", "counts-live"} <= worlds[0].overlays[AT].keys()  # live signals are among it
    assert [name for name in one if not np.array_equal(one[name], two[name])] == []


def test_a_leak_would_be_noticed_in_every_artifact_and_every_arm(
    worlds: tuple[Made, Made, Questions],
) -> None:
    """Four days later training has seen what differs."""
    one, two = (world.artifacts[LATER] for world in worlds[:2])
    assert {name.split("/")[1] for name in one} == set(ARTIFACTS)
    assert [name for name in one if one[name] == two[name]] == []
    scores, others = (world.scores[LATER] for world in worlds[:2])
    assert {"hybrid", "hybrid-live", "counts", "sequence", "popularity", "items"} <= scores.keys()
    # popularity by every event reads the questions' own days, which are given to both alike
    assert {name for name in scores if np.array_equal(scores[name], others[name])} <= {"popularity-live"}


def test_live_signals_of_later_say_nothing_about_earlier_questions(
    worlds: tuple[Made, Made, Questions],
) -> None:
    made, _, questions = worlds
    overlay, logp = made.overlays[AT]["hybrid-live"], np.zeros(questions.test.known.shape)
    cut = int(np.median(questions.asked["time"]))
    moves = questions.moves.copy()
    late = moves["time"] >= cut
    moves["successor"][late] = np.random.default_rng(0).permutation(moves["successor"][late])
    one = _live(overlay, logp, questions)
    two = _live(overlay, logp, replace(questions, moves=moves[~late | (np.arange(len(moves)) % 3 > 0)]))
    early = questions.asked["time"] <= cut
    np.testing.assert_array_equal(one[early], two[early])
    assert not np.array_equal(one[~early], two[~early])
