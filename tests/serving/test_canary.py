"""A canary that fails to answer: the release of everybody else answers, and soon it is asked no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from freshet.core.time import microseconds_of
from freshet.core.types import Experiment, ExperimentArm, Serves
from freshet.core.types.ids import user_number
from freshet.experiments.assignment import arm_of
from freshet.experiments.canary.trial import CANARY
from freshet.serving import Query, Recommender
from freshet.serving.canary_failures import MOST
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, SECOND, copied, settings
from tests.serving.world import PLAIN, published, serve

ARMS = (ExperimentArm("control", 0.5, Serves()), ExperimentArm(CANARY, 0.5, Serves(2)))
TRIED = Experiment(
    "canary-2", "canary-2", ARMS, 1.0, ("satisfied",), microseconds_of(SECOND.moment), 1, canary=True
)


def on(arm: str) -> list[str]:
    names = [f"u{n}" for n in range(60)]
    return [name for name in names if (found := arm_of(TRIED, user_number(name))) and found.name == arm]


@pytest.fixture
def served(counted: Workspace, world: Path, tmp_path: Path) -> Iterator[Recommender]:
    """Two releases, the first current, the second a canary for half of the users."""
    ws = copied(counted, tmp_path / "shop", settings(world, extra=PLAIN))
    published(ws, FIRST)
    published(ws, SECOND)
    ws.releases.point_to(1)
    ws.experiments.start(TRIED)
    recommender, _ = serve(ws, tmp_path / "state")
    yield recommender
    recommender.close()


def test_users_of_the_canary_get_the_new_release(served: Recommender) -> None:
    for arm, release in ((CANARY, 2), ("control", 1)):
        for user in on(arm):
            answer = served.recommend(Query(user=user))
            assert (answer.arm, answer.release) == (arm, release)
    assert served.canary_failures == 0


def test_what_it_fails_is_answered_by_the_other(served: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    new = next(one for one in served._releases.running[0].releases.values() if one.release.number == 2)
    monkeypatch.setattr(new, "table", None)
    for user in on(CANARY):
        answer = served.recommend(Query(user=user))
        assert (answer.release, answer.experiment, answer.arm) == (1, "", "")
        assert answer.interests
    assert served.canary_failures == MOST  # then it was asked no more
    assert {served.recommend(Query(user=user)).arm for user in on("control")} == {"control"}


def test_what_everybodys_release_fails_is_no_canarys_failure(
    served: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served._releases.current, "table", None)
    with pytest.raises(AttributeError):
        served.recommend(Query(user=on("control")[0]))
    assert served.canary_failures == 0


def test_older_experiments_read_as_none(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    ws.experiments.start(
        replace(TRIED, name="mine", canary=False, arms=(ARMS[0], replace(ARMS[1], name="b")))
    )
    [path] = (ws.root / "experiments").glob("*/started.json")
    assert '"canary":' not in path.read_text()
    assert not ws.experiments.get("mine").canary
