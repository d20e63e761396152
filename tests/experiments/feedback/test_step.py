"""Feedback is made beside a table from what people did with what was shown, and only where it is wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet import operations, pipeline
from freshet.core.types import AsOf, Experiment, ExperimentArm, Serves, user_number
from freshet.experiments.assignment import arms_of
from freshet.experiments.feedback.format import read_feedback
from freshet.stages import interests
from freshet.storage.artifacts import Artifact
from freshet.storage.workspace import Workspace
from tests.experiments.showing import HOUR, assigned, at, by_interest, record_events, show, shown
from tests.pipeline.world import FIRST, content, copied, workspace

SECOND = AsOf.parse("2024-02-17")
USE = "[feedback]\nuse = true\n"


@pytest.fixture(scope="module")
def published(counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = copied(counted, tmp_path_factory.mktemp("published") / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    return ws


def reacted(ws: Workspace, folder: Path, size: int = 900, liked: bool = True) -> tuple[int, int, int]:
    """Two interests shown after a third, one of which is taken, the other not; both are taken after a fourth.

    Returns:
        Stable ids of the context, of what is taken after it, and of what isn't.
    """
    release = ws.releases.current()
    assert release is not None
    _, items = assigned(ws, interests.load(ws.root / "interests" / release.interests))
    taken, refused, here, there = by_interest(items, 1)[:4]
    rows, recorded = [], []
    rng = np.random.default_rng(0)
    for n in range(size):
        last, offered = (here, there)[n % 2], (taken, refused)[n // 2 % 2]
        chance = 0.5 if last == there or not liked else 0.9 if offered == taken else 0.1
        time = at("2024-02-13", 0) + n * 3 * 24 * HOUR // size
        rows.append(shown(f"s{n}", time, offered, context=[last], score=float(rng.normal(-2, 0.1))))
        if rng.random() < chance:
            recorded.append((f"user of s{n}", items[offered][0], time + 1_000_000, 9.0, f"s{n}"))
    show(ws, rows)
    record_events(ws, recorded, folder)
    return here, taken, refused


def feedback_of(ws: Workspace) -> Artifact | None:
    release = ws.releases.current()
    assert release is not None
    return ws.store.find("feedback", release.feedback) if release.feedback else None


def with_arm(ws: Workspace, strategy: str, isolated: bool = False) -> Experiment:
    arms = (
        ExperimentArm("control", 0.5, Serves(None, "hybrid")),
        ExperimentArm("treatment", 0.5, Serves(None, strategy)),  # type: ignore[arg-type]
    )
    start = at("2024-02-13", 0)
    return Experiment("one", "salt", arms, 1.0, ("satisfied",), start, 1, isolated=isolated)


def test_a_release_carries_feedback_where_it_is_wanted(published: Workspace, tmp_path: Path) -> None:
    text = (published.root / "freshet.toml").read_text()
    ws = copied(published, tmp_path / "ws", text + USE)
    here, taken, refused = reacted(ws, tmp_path)
    record = pipeline.refresh(ws, SECOND, publish=True)
    made = feedback_of(ws)
    assert made is not None
    assert made.manifest["pays"]
    assert made.manifest["judged"]["lift"]["low"] > 0
    assert made.manifest["weights"]["lift"] > 0
    known = interests.load(ws.root / "interests" / ws.releases.get(2).interests)
    index = {int(id): place for place, id in enumerate(known.ids)}
    read = read_feedback(made.path)
    assert read is not None
    scores = np.full(len(known), -3.0)
    bonus = replace(read, own=0.0, proposals=len(known)).bonus(scores, np.array([-1, index[here]], np.int16))
    assert bonus[index[taken]] > 0 > bonus[index[refused]]
    assert np.count_nonzero(bonus) == 2
    again = pipeline.refresh(ws, SECOND, publish=True)
    assert again.release == record.release
    assert next(step for step in again.steps if step.name == "feedback").cached


def test_without_wanting_it_there_is_none(published: Workspace, tmp_path: Path) -> None:
    ws = copied(published, tmp_path / "ws")
    reacted(ws, tmp_path)
    operations.start_experiment(ws, with_arm(ws, "hybrid-live"))
    pipeline.refresh(ws, SECOND, publish=True)
    assert feedback_of(ws) is None
    assert not ws.store.versions("feedback")


def test_an_arm_that_wants_it_gets_it(published: Workspace, tmp_path: Path) -> None:
    ws = copied(published, tmp_path / "ws")
    reacted(ws, tmp_path)
    operations.start_experiment(ws, with_arm(ws, "hybrid-feedback"))
    pipeline.refresh(ws, SECOND, publish=True)
    assert feedback_of(ws) is not None


def test_it_says_so_where_it_does_not_pay_or_nobody_reacted(published: Workspace, tmp_path: Path) -> None:
    text = (published.root / "freshet.toml").read_text() + USE
    indifferent, unseen = (copied(published, tmp_path / name, text) for name in ("indifferent", "unseen"))
    reacted(indifferent, tmp_path, liked=False)
    for ws, why in ((indifferent, "no weight lies significantly above zero"), (unseen, "0 outcomes")):
        pipeline.refresh(ws, SECOND, publish=True)
        made = feedback_of(ws)
        assert made is not None
        assert not made.manifest["pays"]
        assert why in made.manifest["why"]
        assert read_feedback(made.path) is None


def test_what_comes_later_changes_nothing(published: Workspace, tmp_path: Path) -> None:
    text = (published.root / "freshet.toml").read_text() + USE
    one, other = (copied(published, tmp_path / name, text) for name in ("one", "other"))
    for ws in (one, other):
        _, taken, _ = reacted(ws, tmp_path)
    show(other, [shown(f"later{n}", at(str(SECOND), 1) + n, taken) for n in range(50)], "later")
    record_events(other, [("later", "i1", at(str(SECOND), 2), 9.0, "s899")], tmp_path)
    for ws in (one, other):
        pipeline.refresh(ws, SECOND, publish=True)
    assert content(one, ["feedback"]) == content(other, ["feedback"])
    assert content(one, ["feedback"])


def test_a_separated_arm_learns_from_its_own_users(published: Workspace, tmp_path: Path) -> None:
    ws = copied(published, tmp_path / "ws")
    reacted(ws, tmp_path)
    one = with_arm(ws, "hybrid-feedback", isolated=True)
    operations.start_experiment(ws, one)
    pipeline.refresh(ws, SECOND, publish=True)
    users = np.array([user_number(f"user of s{n}") for n in range(900)], np.uint64)
    treated = int((arms_of(one, users) == 1).sum())
    release = ws.releases.get(ws.experiments.pointer(one, "treatment"))
    own, everybody = ws.store.find("feedback", release.feedback), feedback_of(ws)
    assert own is not None
    assert everybody is not None
    late = [made.manifest["held_out"] for made in (own, everybody)]
    assert late[1] == 600
    assert late[0] == pytest.approx(treated * 2 / 3, abs=2)


def test_what_was_lost_is_missed_but_not_needed(published: Workspace, tmp_path: Path) -> None:
    from freshet.storage.release_parts import missing_of, parts_of

    text = (published.root / "freshet.toml").read_text() + USE
    ws = copied(published, tmp_path / "ws", text)
    pipeline.refresh(ws, SECOND, publish=True)
    release = ws.releases.current()
    assert release is not None
    (ws.root / "feedback" / release.feedback / "feedback.json").unlink()
    ws = workspace(ws.root, text)
    assert missing_of(ws.store, release) == (f"feedback/{release.feedback}",)
    assert parts_of(ws.store, release)
