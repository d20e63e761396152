"""A planner that is asked about each interest before anything is counted, and whose answers counts are shrunk to.

The planners here answer from a hash, or from what the whole log says (SIMULATED knowledge): no model is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from freshet import operations, pipeline, refresh_plan
from freshet.backends.planners.fake import FakePlanner, FakeTuner, ranking_of
from freshet.core.errors import AnswersPending, ConfigError, NotEnoughData, PlannerError, PlannerGone
from freshet.core.ports import Abilities
from freshet.core.types import Interests, Prompt, Ranking
from freshet.inspect import explain
from freshet.inspect.release_view import open_release
from freshet.inspect.workspace_status import status
from freshet.pipeline import snapshot_of
from freshet.serving import Query
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.storage.durable import read_json
from freshet.storage.manifests import PriorManifest
from freshet.storage.workspace import Workspace
from freshet.wiring import open_recommender, open_workspace
from tests.pipeline.world import (
    INTERESTS,
    NOW,
    SECOND,
    copied,
    refreshed,
    rewrite,
    settings,
    step,
    table_of,
    workspace,
)

CHUNKS = "[inference]\nchunk = 4\n"


@dataclass
class Asked:
    """What happened to the planners that a tuner opened, and what should happen.

    Attributes:
        prompts: that were answered.
        calls_left: the process is interrupted once these are used up.
        bad: contexts that can't be read.
        gone: nothing more is answered once so many prompts were.
        pending: answers come another day.
        logp: (N, N) what is answered; None = from a hash.
    """

    prompts: list[Prompt] = field(default_factory=list)
    calls_left: int = 10**9
    bad: set[tuple[int, ...]] = field(default_factory=set)
    gone: int = 10**9
    pending: bool = False
    logp: np.ndarray | None = None


class Answering(FakePlanner):
    """Answers what it is told to, and remembers the questions."""

    def __init__(self, interests: int, told: Asked, recipe: str) -> None:
        super().__init__(interests)
        self.told, self.recipe = told, recipe

    @property
    def version(self) -> str:
        return f"answering-{self.recipe}"

    @property
    def abilities(self) -> Abilities:
        return Abilities(prepares=True)

    def prepare(self, prompts: Sequence[Prompt]) -> None:
        if self.told.pending:
            raise AnswersPending(f"{len(prompts)} requests are out")

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        told = self.told
        if told.calls_left == 0:
            raise KeyboardInterrupt
        told.calls_left -= 1
        if len(told.prompts) >= told.gone:
            raise PlannerGone("the balance is spent")
        if any(prompt.context in told.bad for prompt in prompts):
            raise PlannerError("can't read it")
        told.prompts += prompts
        if told.logp is None:
            return super().rank(prompts, top)
        return ranking_of(told.logp[[prompt.context[-1] for prompt in prompts]], top)


class Untrained(FakeTuner):
    """Opens such planners, and trains nothing."""

    def __init__(self, told: Asked, recipe: str = "untrained") -> None:
        self.told, self._recipe = told, recipe

    @property
    def trains(self) -> bool:
        return False

    @property
    def recipe(self) -> str:
        return self._recipe

    def abilities(self, model: Path, interests: Interests) -> Abilities:
        return Abilities(prepares=True)

    def open(self, model: Path, interests: Interests) -> Answering:
        return Answering(len(interests), self.told, self.recipe)


def asking(ws: Workspace, told: Asked, recipe: str = "untrained") -> Workspace:
    """The workspace of plain counts with a planner that is asked beforehand."""
    return replace(ws, prior_tuner=Untrained(told, recipe))


@pytest.fixture(scope="module")
def small(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world as three people know it: too few to fit anything."""

    def three(events: pa.Table) -> pa.Table:
        users = sorted(set(events["user_id"].to_pylist()))[:3]
        return events.filter(pc.is_in(events["user_id"], pa.array(users)))

    return rewrite(world, tmp_path_factory.mktemp("small"), three)


@pytest.fixture
def young(small: Path, tmp_path: Path) -> Workspace:
    """A workspace on its first day, whose log is imported."""
    ws = workspace(tmp_path / "young", settings(small, extra=CHUNKS, interests='formed_on = "catalogue"'))
    operations.import_log(ws, NOW)
    return ws


def mixture(ws: Workspace) -> dict:
    """Weights of the table that serves."""
    release = ws.releases.current()
    assert release is not None
    made = ws.store.find("tables", release.table)
    assert made is not None
    return read_json(made.path / "mixture.json")


def test_on_the_first_day_the_planner_is_asked_once_per_interest_and_stands_in(young: Workspace) -> None:
    with pytest.raises(NotEnoughData, match="at least 20"):
        pipeline.run(young, NOW)
    told = Asked()
    ws = asking(young, told)
    record = pipeline.run(ws, NOW)
    assert record.release == 1
    interests = len(told.prompts)
    assert sorted(prompt.context for prompt in told.prompts) == [(index,) for index in range(interests)]
    assert not any("recently" in prompt.text for prompt in told.prompts)
    assert step(record, "prior")["answered"] == interests
    fitted = mixture(ws)
    assert fitted["prior"] | {"planner": ""} == {
        "planner": "", "interests": interests, "answered": interests, "share": 0.5, "margin": None,
    }  # fmt: skip
    assert "the planner's prior" in fitted["unfitted"]
    drives = status(ws, NOW.date()).drives
    assert drives is not None
    assert "a prior stands in" in drives.prior
    told.prompts.clear()
    pipeline.refresh(ws)
    assert told.prompts == []


def test_what_stands_in_follows_the_planner_where_nothing_was_counted(young: Workspace) -> None:
    ws = asking(young, Asked())
    pipeline.run(ws, NOW)
    names = open_release(ws).interests.descriptions
    size = len(names)
    assert size > 4
    told = Asked(logp=np.log(np.roll(np.eye(size), 1, axis=1) * 0.9 + 0.1 / size))
    other = asking(young, told, "another")
    pipeline.run(other, NOW)
    firsts = [explain(other, [name]).successors for name in names]
    assert np.mean([one[0].description == names[(i + 1) % size] for i, one in enumerate(firsts)]) > 0.8
    assert firsts[0][0].prior == pytest.approx(0.9 + 0.1 / size, rel=1e-3)
    recommender = open_recommender(other.root)
    assert recommender.recommend(Query(history=(), log=False)).interests
    recommender.close()


def test_a_killed_run_asks_for_the_rest_alone(young: Workspace) -> None:
    told = Asked(calls_left=1)
    ws = asking(young, told)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(ws, NOW)
    before = [prompt.context for prompt in told.prompts]
    assert len(before) == 4
    told.calls_left, told.prompts = 10**9, []
    pipeline.run(ws, NOW)
    after = [prompt.context for prompt in told.prompts]
    assert not set(before) & set(after)
    assert len({*before, *after}) == mixture(ws)["prior"]["answered"]


def test_an_interest_without_an_answer_goes_by_popularity_and_is_asked_about_again(young: Workspace) -> None:
    told = Asked(bad={(1,)})
    ws = asking(young, told)
    pipeline.run(ws, NOW)
    prior = mixture(ws)["prior"]
    assert prior["answered"] == prior["interests"] - 1
    told.bad, told.prompts = set(), []
    pipeline.refresh(ws)
    assert [prompt.context for prompt in told.prompts] == [(1,)]
    assert mixture(ws)["prior"]["answered"] == prior["interests"]
    kept = [
        PriorManifest.of(found) for v in ws.store.versions("priors") if (found := ws.store.find("priors", v))
    ]
    assert [one.generation for one in kept] == [1, 2]


def test_a_planner_that_is_gone_leaves_what_it_answered(young: Workspace) -> None:
    told = Asked(gone=4)
    ws = asking(young, told)
    record = pipeline.run(ws, NOW)
    assert step(record, "prior")["not_asked"] == mixture(ws)["prior"]["interests"] - 4
    assert mixture(ws)["prior"]["answered"] == 4
    pipeline.refresh(ws)  # still gone: nothing is kept that is there already
    assert len(ws.store.versions("priors")) == 1


def test_a_planner_that_answers_nothing_leaves_counts_alone(young: Workspace, counted: Workspace) -> None:
    with pytest.raises(NotEnoughData):
        pipeline.run(asking(young, Asked(gone=0)), NOW)
    assert young.store.versions("priors") == []


def test_answers_that_come_later_stop_the_run_which_goes_on_then(young: Workspace) -> None:
    told = Asked(pending=True)
    ws = asking(young, told)
    with pytest.raises(AnswersPending):
        pipeline.run(ws, NOW)
    assert ws.releases.current() is None
    told.pending = False
    assert pipeline.run(ws, NOW).release == 1


def test_a_plan_asks_nothing_and_says_how_many_prompts_there_are(young: Workspace) -> None:
    told = Asked()
    ws = asking(young, told)
    planned = step(refresh_plan.plan(ws), "plan")
    assert told.prompts == []
    assert planned["changed"] == planned["rows"]
    pipeline.run(ws, NOW)
    assert step(refresh_plan.plan(ws), "plan")["changed"] == 0


def test_another_planner_is_another_release(young: Workspace) -> None:
    pipeline.run(asking(young, Asked()), NOW)
    told = Asked(logp=np.log(np.full((INTERESTS, INTERESTS), 1 / INTERESTS)))
    assert pipeline.run(asking(young, told, "another"), NOW).release == 2
    assert len(young.store.versions("priors")) == 2


def fitted(ws: Workspace, told: Asked) -> CountFitter:
    """Counts of a log on which weights can be fitted."""
    asks = asking(ws, told)
    with asks.run("look") as run:
        return fitter_for(asks.config, snapshot_of(asks, run, SECOND))


def test_a_prior_that_does_not_help_has_no_share_and_changes_nothing(
    counted: Workspace, tmp_path: Path
) -> None:
    ws = copied(counted, tmp_path / "ws")
    refreshed(ws, SECOND)
    plain = table_of(ws, SECOND)
    wrong = np.random.default_rng(4).permuted(np.log(np.eye(INTERESTS) * 0.9 + 0.01), axis=1)
    told = Asked(logp=wrong - np.log(np.exp(wrong).sum(axis=1, keepdims=True)))
    counting = fitted(ws, told)
    assert counting.fit.share == 0
    asks = asking(ws, told)
    pipeline.refresh(asks, SECOND)
    [made] = [one for v in ws.store.versions("tables") if (one := ws.store.find("tables", v)) and v != plain.version
              and one.manifest["as_of"] == str(SECOND)]  # fmt: skip
    for name in ("fused.npy", "successors.npy", "counts/last.npy"):
        np.testing.assert_array_equal(np.load(made.path / name), np.load(plain.path / name))
    drives = read_json(made.path / "mixture.json")["prior"]
    assert drives["share"] == 0


def test_a_prior_that_knows_the_log_gets_a_share_and_lowers_the_loss(
    counted: Workspace, tmp_path: Path
) -> None:
    """SIMULATED knowledge: the planner answers what the whole log says, held-out windows included."""
    ws = copied(counted, tmp_path / "ws")
    with ws.run("look") as run:
        whole = fitter_for(ws.config, snapshot_of(ws, run, SECOND))
    told = Asked(logp=np.log(whole.model(SECOND).last))
    counting = fitted(ws, told)
    assert counting.fit.share > 0
    assert counting.prior_margin is not None
    assert counting.prior_margin[0] < 0


def test_a_planner_that_would_be_trained_on_the_log_is_refused(tmp_path: Path) -> None:
    for kind in ("scratch", "counts"):
        (tmp_path / "freshet.toml").write_text(f'[planner]\nkind = "{kind}"\nuse = "prior"\n')
        with pytest.raises(ConfigError, match=f'kind = "{kind}"'):
            open_workspace(tmp_path)
