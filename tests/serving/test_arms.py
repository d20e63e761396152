"""Experiments in serving: users get their arm, answers say so, isolated arms don't see each other's events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet import operations, pipeline
from freshet.core.errors import ConfigError
from freshet.core.ports import UserStore
from freshet.core.types import AsOf, Experiment, ExperimentArm, Serves
from freshet.core.types.ids import user_number
from freshet.experiments.assignment import arm_of
from freshet.experiments.isolated_arms import own_log
from freshet.pipeline import snapshot_of
from freshet.run_context import RunContext
from freshet.serving import Event, Query, Recommender
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.storage.artifacts import committed
from freshet.storage.experiment_registry import parse_serves
from freshet.storage.ledger import Quiet
from freshet.storage.release_parts import content_of
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FAKE, FIRST, SECOND, approving, copied, settings
from tests.serving.world import PLAIN, published, serve

MOMENT = int(SECOND.moment.timestamp()) * 1_000_000
NAMES = [f"visitor{n}" for n in range(60)]


def experiment(control: str, treatment: str, **more: object) -> Experiment:
    arms = (
        ExperimentArm("control", 0.5, parse_serves(control)),
        ExperimentArm("treatment", 0.5, parse_serves(treatment)),
    )
    return replace(Experiment("one", "salt", arms, 1.0, ("satisfied",), MOMENT, 1), **more)  # type: ignore[arg-type]


def arm(one: Experiment, user: str) -> str:
    found = arm_of(one, user_number(user))
    return "" if found is None else found.name


@pytest.fixture
def shop(planned: Workspace, world: Path, tmp_path: Path) -> Workspace:
    """Two releases, a week apart; the second is current."""
    text = settings(world, "fake", FAKE + PLAIN + "[schedule]\nrefresh_days = 7\n")
    ws = copied(planned, tmp_path / "shop", text)
    published(ws, FIRST)
    published(ws, SECOND)
    return ws


@pytest.fixture
def served(shop: Workspace, tmp_path: Path) -> Iterator[tuple[Recommender, UserStore]]:
    recommender, state = serve(shop, tmp_path / "state")
    yield recommender, state
    recommender.close()


def told(recommender: Recommender, users: list[str]) -> None:
    """Each user engages two interests."""
    items = list(recommender._releases.current.items)
    for n, user in enumerate(users):
        for step in range(2):
            recommender.record(
                [Event(user, items[(7 * n + 3 * step) % len(items)], MOMENT + n * 1000 + step, 9.0)]
            )


def shown(recommender: Recommender, user: str, **ask: object) -> list[tuple[int, float]]:
    answer = recommender.recommend(Query(user, items=0, interests=4, now=MOMENT + 10**9, **ask))  # type: ignore[arg-type]
    return [(offer.id, round(offer.score, 9)) for offer in answer.interests]


def test_a_user_is_answered_by_the_release_of_their_arm(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, state = served
    told(recommender, NAMES)
    one = experiment("release:1", "follow")
    operations.start_experiment(shop, one)
    assert recommender.recommend(Query(NAMES[0])).experiment == ""  # not looked yet
    assert recommender.reload()
    assert not recommender.reload()
    for user in NAMES[:20]:
        answer = recommender.recommend(Query(user, items=0))
        assert (answer.experiment, answer.arm) == ("one", arm(one, user))
        assert answer.release == (1 if answer.arm == "control" else 2)
        named = recommender.recommend(Query(user, release=1, items=0))
        assert (named.release, named.experiment) == (1, "")
    assert recommender.recommend(Query(None)).experiment == ""
    recommender.flush()
    kept = [json.loads(entry.body) for entry in state.impressions.read(0, 1000)]
    noted = {
        (row["user"], row["experiment"], row["arm"], row["release"]) for row in kept if row["experiment"]
    }
    assert noted == {
        (user, "one", arm(one, user), 1 if arm(one, user) == "control" else 2) for user in NAMES[:20]
    }
    operations.stop_experiment(shop, "one", SECOND.moment, "done")
    recommender.reload()
    assert recommender.recommend(Query(NAMES[0])).experiment == ""


def test_a_strategy_answers_by_a_part_of_the_release(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    told(recommender, NAMES)
    release = recommender._releases.current
    assert release.overlay is not None
    before = {user: shown(recommender, user) for user in NAMES[:10]}
    different = set()
    for strategy in ("hybrid", "hybrid-live", "counts", "counts-live", "popularity"):
        one = replace(experiment(strategy, "follow"), name=strategy, salt=strategy)
        operations.start_experiment(shop, one)
        recommender.reload()
        for user in NAMES[:10]:
            same = shown(recommender, user) == before[user]
            if arm(one, user) == "treatment" or strategy == "hybrid-live":
                assert same
            elif not same:
                different.add(strategy)
        operations.stop_experiment(shop, strategy, SECOND.moment, "done")
    planner = {"counts-live"} if release.scorer.weights is not None else set()  # else counts won
    assert different == {"hybrid", "counts", "popularity"} | planner
    recommender.reload()
    assert {user: shown(recommender, user) for user in NAMES[:10]} == before


def test_the_arms_of_a_fixed_release_stay_open_through_swaps(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    one = experiment("release:1", "follow")
    operations.start_experiment(shop, one)
    recommender.reload()
    user = next(user for user in NAMES if arm(one, user) == "control")
    for number in (1, 2, 1, 2):
        shop.releases.point_to(number)
        recommender.reload()
        assert recommender.recommend(Query(user)).release == 1


def test_separated_arms_do_not_see_each_others_events(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    one = experiment("hybrid-live", "follow", isolated=True, began=2)
    operations.start_experiment(shop, one)
    recommender.reload()
    by_arm = {name: [user for user in NAMES if arm(one, user) == name] for name in ("control", "treatment")}
    watched, other = by_arm["control"][0], by_arm["treatment"][0]
    told(recommender, [watched, other])
    quiet = shown(recommender, watched)
    heard = shown(recommender, other)
    told(recommender, by_arm["treatment"][1:])
    assert shown(recommender, watched) == quiet
    assert shown(recommender, other) != heard


def test_a_separated_arm_gets_tables_without_the_others_transitions(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    start = int(FIRST.moment.timestamp()) * 1_000_000
    one = experiment("counts", "follow", isolated=True, began=1, start=start)
    operations.start_experiment(shop, one)
    with shop.run("test") as run:
        known = snapshot_of(shop, run, SECOND)
        ctx = RunContext(shop, run, known, fitter_for(shop.config, known))
        parts = {arm.name: own_log(ctx, one, arm) for arm in one.arms}
    whole = known.transitions.between(AsOf.parse("2000-01-01"), SECOND)
    for name, part in parts.items():
        left = part.transitions.between(AsOf.parse("2000-01-01"), SECOND)
        theirs = np.array([_arm(one, int(user)) not in ("", name) for user in whole.user])
        since = whole.day >= start // 86_400_000_000
        expected = whole.take(~(theirs & since))
        assert (theirs & since).sum() > 0
        assert (left.user == expected.user).all()
        assert (left.successor == expected.successor).all()
        assert CountFitter(part, 2, 1000, 3).counts.base(SECOND).sum() == pytest.approx(1)
    published(shop, SECOND)
    numbers = {name: shop.experiments.pointer(one, name) for name in ("control", "treatment")}
    assert len({shop.releases.get(number).table for number in numbers.values()}) == 2
    made = [content_of(shop.store, shop.releases.get(number)) for number in numbers.values()]
    engaged = [np.load(committed(shop.store, "content", one).path / "full_engaged.npy") for one in made]
    assert not np.array_equal(*engaged)  # who engages what is learned from the arm's own people, too
    current = shop.releases.current()
    assert current is not None
    assert current.arm == ""
    assert current.number not in numbers.values()
    recommender.reload()
    for user in NAMES[:10]:
        assert recommender.recommend(Query(user)).release == numbers[arm(one, user)]
    again = approving(lambda: pipeline.refresh(shop, SECOND, publish=True), shop)
    assert again.outcome == "done"
    assert {name: shop.experiments.pointer(one, name) for name in numbers} == numbers


def _arm(one: Experiment, user: int) -> str:
    found = arm_of(one, user)
    return "" if found is None else found.name


def test_arms_that_would_answer_alike_are_told(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(
        counted, tmp_path / "plain", (counted.root / "freshet.toml").read_text() + "[live]\nuse = false\n"
    )
    published(ws, FIRST)
    said: list[str] = []
    telling = replace(ws, reporter=Telling(said))
    operations.start_experiment(telling, experiment("hybrid-live", "hybrid-feedback", began=1))
    operations.stop_experiment(telling, "one", SECOND.moment, "next")
    operations.start_experiment(telling, replace(experiment("counts", "counts", began=1), name="two"))
    whole = " ".join(said)
    assert "arm 'control': release 1 has no live signals that pay" in whole
    assert "arm 'treatment' answers as hybrid-live until" in whole
    assert "arms 'control' and 'treatment' serve the same" in whole


class Telling(Quiet):
    """Keeps what is said."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def say(self, text: str) -> None:
        self._said.append(text)


def test_an_experiment_that_cannot_be_served_is_refused(shop: Workspace) -> None:
    with pytest.raises(Exception, match="no release 9"):
        operations.start_experiment(shop, experiment("release:9", "follow"))
    operations.start_experiment(shop, experiment("release:1", "follow"))
    with pytest.raises(ConfigError, match="all users take part in experiment 'one'"):
        operations.start_experiment(shop, replace(experiment("release:1", "follow"), name="two"))
    assert Serves() == shop.experiments.get("one").arm("treatment").serves


def test_one_broken_experiment_does_not_hold_up_another(
    shop: Workspace, served: tuple[Recommender, UserStore]
) -> None:
    recommender, _ = served
    bad = experiment("release:1", "follow", traffic=0.5)
    other = replace(bad, name="other", salt="pepper", isolated=True, began=2)
    for one in (bad, other):
        operations.start_experiment(shop, one)
    recommender.reload()
    user = next(user for user in NAMES if arm(bad, user))
    beside = next(user for user in NAMES if not arm(bad, user) and arm(other, user))
    shop.experiments.point("other", "treatment", 77)
    operations.stop_experiment(shop, "one", SECOND.moment, "harm")
    for _ in range(2):
        with pytest.raises(Exception, match="no release 77"):
            recommender.reload()
        assert recommender.recommend(Query(user)).experiment in ("", "other")  # the stop is heard
        assert recommender.recommend(Query(beside)).experiment == "other"  # and the other goes on as it was
    (shop.root / "experiments" / "other" / "started.json").write_text("{")
    with pytest.raises(Exception, match=r"started\.json"):
        recommender.reload()
    assert recommender.recommend(Query(beside)).experiment == "other"
    (shop.root / "experiments" / "other" / "stopped.json").write_text("{}")
    with pytest.raises(Exception, match=r"started\.json"):
        recommender.reload()
    assert recommender.recommend(Query(beside)).experiment == ""


def test_wrong_settings_do_not_hold_up_a_stop(shop: Workspace, served: tuple[Recommender, UserStore]) -> None:
    recommender, _ = served
    operations.start_experiment(shop, experiment("release:1", "follow"))
    recommender.reload()
    operations.stop_experiment(shop, "one", SECOND.moment, "harm")
    (shop.root / "freshet.toml").write_text("[serving")
    with pytest.raises(ConfigError):
        recommender.reload()
    assert recommender.recommend(Query(NAMES[0])).experiment == ""


def test_an_arms_own_release_never_serves_everybody(shop: Workspace) -> None:
    start = int(FIRST.moment.timestamp()) * 1_000_000
    one = experiment("counts", "follow", isolated=True, began=1, start=start)
    operations.start_experiment(shop, one)
    published(shop, SECOND)
    number = shop.experiments.pointer(one, "control")
    with pytest.raises(Exception, match="made for one/control alone"):
        operations.roll_back(shop, number)
    current = shop.releases.current()
    assert current is not None
    assert current.arm == ""


def test_a_damaged_experiment_does_not_keep_serving_from_starting(shop: Workspace, tmp_path: Path) -> None:
    operations.start_experiment(shop, experiment("release:1", "follow"))
    (shop.root / "experiments" / "one" / "started.json").write_text("{}")
    recommender, _ = serve(shop, tmp_path / "state")
    assert recommender.recommend(Query(NAMES[0])).experiment == ""
    with pytest.raises(Exception, match=r"started\.json"):
        recommender.reload()
    recommender.close()
