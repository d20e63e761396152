"""Feedback in serving: the first proposals change places for those who are to see it, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet import operations
from freshet.core.types import Experiment, ExperimentArm, Serves, Strategy
from freshet.experiments.feedback.format import Feedback
from freshet.experiments.feedback.lifts import BITS, Lifts
from freshet.serving import Query, Recommender
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, copied, settings, workspace
from tests.serving.world import PLAIN, published, serve

USERS = [f"visitor{n}" for n in range(40)]
NOW = int(FIRST.moment.timestamp()) * 1_000_000


@pytest.fixture
def shop(counted: Workspace, world: Path, tmp_path: Path) -> Workspace:
    ws = copied(counted, tmp_path / "shop", settings(world, extra=PLAIN))
    published(ws, FIRST)
    return ws


@pytest.fixture
def served(shop: Workspace, tmp_path: Path) -> Iterator[Recommender]:
    recommender, _ = serve(shop, tmp_path / "state")
    yield recommender
    recommender.close()


def asked(recommender: Recommender, user: str, count: int = 4) -> list[tuple[int, float, str]]:
    """Somebody whose last interest is that of the first item."""
    item = next(iter(recommender._releases.current.items))
    answer = recommender.recommend(Query(user, history=(item,), items=0, interests=count, now=NOW))
    return [(offer.id, round(offer.score, 9), offer.reason) for offer in answer.interests]


def give_feedback(recommender: Recommender, better: int, proposals: int = 3) -> None:
    """After the interest that `asked` comes from, one (by id) is taken four times as well as usual."""
    release = recommender._releases.current
    last = release.items[next(iter(release.items))]
    key = ((last + 1) << BITS) + int(release.index[better])
    release.feedback = Feedback(Lifts(np.array([key]), np.array([np.log(4.0)]), 2), 0.0, 1.5, proposals)


def start(shop: Workspace, recommender: Recommender, strategy: Strategy) -> None:
    arms = (
        ExperimentArm("control", 0.5, Serves(None, "hybrid")),
        ExperimentArm("treatment", 0.5, Serves(None, strategy)),
    )
    operations.start_experiment(shop, Experiment("one", "salt", arms, 1.0, ("satisfied",), NOW, 1))
    assert recommender.reload()


def test_what_people_liked_comes_first_where_feedback_is_used(shop: Workspace, served: Recommender) -> None:
    before = asked(served, "Ada")
    give_feedback(served, before[2][0])
    assert asked(served, "Ada") == before, "[feedback] use is false"
    workspace(shop.root, (shop.root / "freshet.toml").read_text() + "[feedback]\nuse = true\n")
    served.reload()
    after = asked(served, "Ada")
    assert [id for id, *_ in after] == [before[place][0] for place in (2, 0, 1, 3)]
    assert [score for _, score, _ in after] == [before[place][1] for place in (2, 0, 1, 3)], "as before"
    assert asked(served, "Ada", 1)[0][2] == "feedback"
    assert after[0][2] != "feedback", "it would be among the first four anyway"


def test_what_is_not_among_the_proposals_stays(shop: Workspace, served: Recommender) -> None:
    workspace(shop.root, (shop.root / "freshet.toml").read_text() + "[feedback]\nuse = true\n")
    served.reload()
    before = asked(served, "Ada")
    give_feedback(served, before[3][0])
    assert asked(served, "Ada") == before
    give_feedback(served, before[3][0], proposals=4)
    assert asked(served, "Ada")[0][0] == before[3][0]


def test_an_arm_with_feedback_has_it_whatever_the_settings_say(shop: Workspace, served: Recommender) -> None:
    before = asked(served, "Ada")
    give_feedback(served, before[2][0])
    start(shop, served, "hybrid-feedback")
    seen = set()
    for user in USERS:
        item = next(iter(served._releases.current.items))
        answer = served.recommend(Query(user, history=(item,), items=0, interests=4, now=NOW))
        first = before[2][0] if answer.arm == "treatment" else before[0][0]
        assert answer.interests[0].id == first
        seen.add(answer.arm)
    assert seen == {"control", "treatment"}


def test_propensities_are_those_of_the_changed_order(shop: Workspace, served: Recommender) -> None:
    text = (shop.root / "freshet.toml").read_text().replace("explore = 0.0", "explore = 0.5")
    workspace(shop.root, text + "[feedback]\nuse = true\n")
    served.reload()
    give_feedback(served, asked(served, "Ada")[2][0])
    item = next(iter(served._releases.current.items))
    drawn: dict[int, int] = {}
    told: dict[int, float] = {}
    for _ in range(4000):
        [offer] = served.recommend(
            Query("Ada", history=(item,), items=0, interests=1, now=NOW, log=False)
        ).interests
        drawn[offer.id] = drawn.get(offer.id, 0) + 1
        told[offer.id] = offer.propensity
    for id, propensity in told.items():
        assert drawn[id] / 4000 == pytest.approx(propensity, abs=4 * np.sqrt(propensity / 4000) + 1e-3)


def test_a_release_without_feedback_serves_such_an_arm_as_any(shop: Workspace, served: Recommender) -> None:
    before = asked(served, "Ada")
    start(shop, served, "hybrid-feedback")
    assert served._releases.current.feedback is None
    assert {tuple(asked(served, user)) for user in USERS} == {tuple(before)}


def test_feedback_of_another_context_changes_nothing(served: Recommender) -> None:
    before = asked(served, "Ada")
    give_feedback(served, before[2][0])
    release = served._releases.current
    made = release.feedback
    assert made is not None
    elsewhere = replace(made, lifts=replace(made.lifts, keys=made.lifts.keys + (1 << BITS)))
    scores = np.linspace(-1, -2, len(release.interests))
    context = np.array([-1, release.items[next(iter(release.items))]], np.int16)
    assert not elsewhere.bonus(scores, context).any()
