"""Rows of single users: who is asked again, how many at most, what stays where the planner doesn't answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet import operations, pipeline
from freshet.backends.planners.fake import FakePlanner, FakeTuner, ranking_of
from freshet.core.errors import PlannerGone
from freshet.core.types import AsOf, Context, Interests, Prompt, Ranking, UserRows
from freshet.doctor.workspace_check import findings
from freshet.stages import counts, users
from freshet.stages.table.format import open_scorer
from freshet.stages.users import step as user_rows
from freshet.stages.users.format import open_user_part
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.ledger import Record
from freshet.storage.manifests import UserRowsManifest
from freshet.storage.workspace import Workspace
from tests.pipeline.world import (
    FAKE,
    FIRST,
    INTERESTS,
    NOW,
    SECOND,
    approving,
    copied,
    settings,
    step,
    with_tuner,
    workspace,
)

BETWEEN = AsOf.parse("2024-02-16")
LEVEL = '[evidence]\nlevel = "none"\n'
"""Without evidence a prompt changes with its user alone."""


def text(world: Path, rows: int, more: str = "") -> str:
    return settings(world, "fake", FAKE + LEVEL + f"[users]\nrows = {rows}\n{more}")


@pytest.fixture(scope="module")
def base(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a release, and rows of everybody."""
    ws = workspace(tmp_path_factory.mktemp("users") / "ws", text(world, 1000))
    operations.import_log(ws, NOW)
    refresh(ws, FIRST)
    return ws


def refresh(ws: Workspace, moment: AsOf) -> Record:
    return approving(lambda: pipeline.refresh(ws, moment, publish=True), ws)


def made(ws: Workspace) -> Artifact:
    release = ws.releases.current()
    assert release is not None
    assert release.users != ""
    return committed(ws.store, "user_rows", release.users)


def by_user(artifact: Artifact) -> dict[int, tuple[list[int], list[int], str]]:
    """User -> what they were asked about with, the answer, and when."""
    rows = users.read(artifact.path)
    found = zip(
        rows.user.tolist(),
        rows.rows.contexts.tolist(),
        rows.rows.successors.tolist(),
        [rows.rows.origins[i] for i in rows.rows.origin.tolist()],
        strict=True,
    )
    return {user: (context, answer, day) for user, context, answer, day in found}


class Counting(FakePlanner):
    """Remembers whom it was asked about; refuses everybody but the first `most` prompts of users."""

    def __init__(self, interests: int, asked: list[Prompt], most: int | None) -> None:
        super().__init__(interests)
        self.asked, self.most = asked, most

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        of_users = [prompt for prompt in prompts if len(prompt.context) > 2]
        if self.most is not None and len(self.asked) + len(of_users) > self.most:
            raise PlannerGone("the balance is spent")
        self.asked += of_users
        return super().rank(prompts, top)


class CountingTuner(FakeTuner):
    def __init__(self, most: int | None = None) -> None:
        self.asked: list[Prompt] = []
        self.most = most

    def open(self, model: Path, interests: Interests) -> Counting:
        return Counting(len(interests), self.asked, self.most)


def test_rows_are_part_of_a_release_and_hold_what_users_engaged_last(base: Workspace) -> None:
    manifest = UserRowsManifest.of(made(base))
    assert manifest.rows == manifest.asked == manifest.active > 30
    assert manifest.copied == manifest.kept == manifest.unanswered == 0
    with base.run("test") as run:
        ctx = pipeline.context_of(base, run, FIRST)
    known = ctx.log.transitions.recent_at(FIRST, 30, 0)
    now = {int(user): recent.tolist() for user, recent in zip(known.user, known.recent, strict=True)}
    for user, (context, answer, day) in by_user(made(base)).items():
        assert context == now[user]
        assert sum(interest >= 0 for interest in context) > 2  # two are in the table
        assert answer[0] >= 0
        assert day == str(FIRST)


def test_only_users_whose_prompt_changed_are_asked_again(base: Workspace, tmp_path: Path) -> None:
    tuner = CountingTuner()
    ws = with_tuner(copied(base, tmp_path / "ws"), tuner)
    before, calibrated = by_user(made(ws)), users.read_calibration(made(ws).path)
    refresh(ws, BETWEEN)
    after = by_user(made(ws))
    # whatever was asked before, about whomever, is not asked again
    old = {tuple(context) for context, _, _ in before.values()} | set(
        map(tuple, calibrated.contexts.tolist())
    )
    same = {user for user in after if tuple(after[user][0]) in old}
    assert 5 < len(same) < len(after)
    for user, (_, _, day) in after.items():
        assert day == str(FIRST if user in same else BETWEEN)
    assert any(user in before and after[user] == before[user] for user in same)
    asked = {prompt.context for prompt in tuner.asked}
    new = {tuple(i for i in after[user][0] if i >= 0) for user in set(after) - same}
    assert new <= asked
    assert not asked & {tuple(i for i in context if i >= 0) for context in old}
    counted = UserRowsManifest.of(made(ws))
    assert (counted.copied, counted.asked, counted.rows) == (len(same), len(after) - len(same), len(after))


def test_the_same_moment_asks_nobody_again(base: Workspace, tmp_path: Path) -> None:
    tuner = CountingTuner()
    ws = with_tuner(copied(base, tmp_path / "ws"), tuner)
    first = made(ws).version
    record = refresh(ws, FIRST)
    assert (made(ws).version, tuner.asked) == (first, [])
    assert next(one for one in record.steps if one.name == "users").cached


def test_a_budget_bounds_who_is_asked(base: Workspace, world: Path, tmp_path: Path) -> None:
    ws = copied(base, tmp_path / "ws", text(world, 7))
    tuner = CountingTuner()
    before, first = by_user(made(ws)), made(ws).version
    refresh(with_tuner(ws, tuner), BETWEEN)
    counted, after = UserRowsManifest.of(made(ws)), by_user(made(ws))
    new = {user for user, row in after.items() if row[2] == str(BETWEEN)}
    assert len(new) == counted.asked == 7
    assert counted.rows < counted.active
    old = {tuple(context) for context, _, _ in before.values()}
    old |= set(
        map(tuple, users.read_calibration(committed(ws.store, "user_rows", first).path).contexts.tolist())
    )
    assert all(tuple(after[user][0]) in old for user in set(after) - new)


def test_a_planner_that_stops_answering_leaves_earlier_rows_in_place(
    base: Workspace, world: Path, tmp_path: Path
) -> None:
    """With evidence all prompts change: whoever is not answered keeps a row that still speaks of them."""
    told = text(world, 1000).replace('level = "none"', 'level = "instance"')
    ws = copied(base, tmp_path / "ws", told)
    before = by_user(made(ws))
    record = refresh(with_tuner(ws, CountingTuner(most=8)), BETWEEN)
    counted, after = UserRowsManifest.of(made(ws)), by_user(made(ws))
    assert step(record, "users")["not_asked"] > 0
    assert counted.unanswered > 0
    assert counted.kept > 5
    kept = {user for user, row in after.items() if row[2] == str(FIRST)}
    assert len(kept) == counted.kept
    assert all(after[user] == before[user] for user in kept)
    assert all(answer[0] >= 0 for _, answer, _ in after.values())


def test_without_rows_a_release_has_none(base: Workspace, world: Path, tmp_path: Path) -> None:
    ws = copied(base, tmp_path / "ws", text(world, 0))
    refresh(ws, BETWEEN)
    release = ws.releases.current()
    assert release is not None
    assert release.users == ""


def test_users_who_are_not_active_have_no_row(base: Workspace, world: Path, tmp_path: Path) -> None:
    ws = copied(base, tmp_path / "ws", text(world, 1000, "active_days = 2\n"))
    refresh(ws, BETWEEN)
    with ws.run("test") as run:
        ctx = pipeline.context_of(ws, run, BETWEEN)
    known = ctx.log.transitions.recent_at(BETWEEN, 30, 0)
    found = users.read(made(ws).path)
    ago = dict(zip(known.user.tolist(), known.days_ago.tolist(), strict=True))
    assert len(found) > 5
    assert max(ago[user] for user in found.user.tolist()) <= 2
    assert max(ago.values()) > 2


def test_fewer_interests_in_a_prompt(base: Workspace, world: Path, tmp_path: Path) -> None:
    ws = copied(base, tmp_path / "ws", text(world, 1000, "k = 4\n"))
    refresh(ws, BETWEEN)
    rows: UserRows = users.read(made(ws).path)
    assert rows.rows.contexts.shape[1] == 4
    assert UserRowsManifest.of(made(ws)).copied == 0  # none was asked with four


def test_doctor_knows_rows_and_a_release_goes_without_lost_ones(base: Workspace, tmp_path: Path) -> None:
    ws = copied(base, tmp_path / "ws")
    file = made(ws).folder / "user.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = [
        finding for finding in findings(ws) if "user_rows" in finding.what or "user_rows" in finding.where
    ]
    assert any("damaged user_rows" in finding.what for finding in found)
    assert any("serves without it" in finding.what for finding in found)


def test_settings_of_rows_are_due(base: Workspace, world: Path, tmp_path: Path) -> None:
    """A release made with other settings of [users] is made anew by the next run."""
    assert user_rows.configured(base) == UserRowsManifest.of(made(base)).settings
    ws = copied(base, tmp_path / "ws", text(world, 5))
    assert user_rows.configured(ws) != UserRowsManifest.of(made(ws)).settings


class KnowingPlanner(FakePlanner):
    """Says of each context what its user took up next, whenever that was; a planner can't know better."""

    def __init__(self, interests: int, after: dict[Context, set[int]]) -> None:
        super().__init__(interests)
        self.after = after

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        logp = np.full((len(prompts), self.interests), -np.inf)
        for row, prompt in zip(logp, prompts, strict=True):
            taken = sorted(self.after.get(prompt.context, set())) or list(range(self.interests))
            row[taken] = -np.log(len(taken))
        return ranking_of(logp, top, self.size(prompts))


class KnowingTuner(FakeTuner):
    def __init__(self, after: dict[Context, set[int]]) -> None:
        self.after = after

    def open(self, model: Path, interests: Interests) -> KnowingPlanner:
        return KnowingPlanner(len(interests), self.after)


def knowing(ws: Workspace) -> KnowingTuner:
    """Of contexts of more than two interests alone: about pairs it knows nothing."""
    with ws.run("test") as run:
        pipeline.context_of(ws, run, SECOND)  # interests are those of then
        ctx = pipeline.context_of(ws, run, AsOf.parse("2024-02-26"))
    log = ctx.log.transitions.between(AsOf.parse("2024-01-01"), AsOf.parse("2024-02-26"))
    after: dict[Context, set[int]] = {}
    for context, successor in zip(log.contexts(10), log.successor.tolist(), strict=True):
        if len(context) > 2:
            after.setdefault(context, set()).add(successor)
    return KnowingTuner(after)


def test_rows_that_tell_something_are_weighed_and_used(base: Workspace, world: Path, tmp_path: Path) -> None:
    """And those of a planner that says by hash what comes next are not."""
    assert not UserRowsManifest.of(made(base)).pays
    many = text(world, 1000).replace("calibration_prompts = 120", "calibration_prompts = 4000")
    ws = workspace(tmp_path / "ws", many.replace("fit_windows = 2", "fit_windows = 3"))
    operations.import_log(ws, NOW)
    ws = with_tuner(ws, knowing(ws))
    refresh(ws, SECOND)
    manifest = UserRowsManifest.of(made(ws))
    assert manifest.pays, manifest.why
    assert manifest.gain is not None
    assert manifest.gain["high"] < 0
    release = ws.releases.current()
    assert release is not None
    scorer = open_scorer(committed(ws.store, "tables", release.table), INTERESTS)
    part = open_user_part(made(ws), scorer)
    assert part is not None
    assert part.weights[1] > 0.1
    with ws.run("test") as run:
        ctx = pipeline.context_of(ws, run, AsOf.parse("2024-02-26"))
    test = ctx.log.transitions.between(SECOND, AsOf.parse("2024-02-26"))
    speaks = part.rows.of(test.user, test.recent) >= 0
    plain, own = scorer.rows(test).fused, replace(scorer, users=part).rows(test).fused
    np.testing.assert_array_equal(plain[~speaks], own[~speaks])
    rows = np.flatnonzero(speaks)
    gain = own[rows, test.successor[rows]] - plain[rows, test.successor[rows]]
    assert len(rows) > 20
    assert gain.mean() > 0.2


def test_prompts_show_titles_and_a_planner_chooses_among_a_short_list(world: Path, tmp_path: Path) -> None:
    """By the configured template; each user's list is made for what that user engaged."""
    told = 'template = "knowledge"\nshortlist = 4\n' + FAKE.replace("= 120", "= 4000")
    users_section = "[users]\nrows = 1000\ntitles = 3\n"
    ws = workspace(tmp_path / "ws", settings(world, "fake", told + LEVEL + users_section))
    operations.import_log(ws, NOW)
    tuner = CountingTuner()
    refresh(with_tuner(ws, tuner), SECOND)
    assert len(tuner.asked) > 30
    titles = set(pq.read_table(world / "items.parquet")["title"].to_pylist())
    for prompt in tuner.asked:
        [_, shown] = prompt.text.split("Items that the person engaged with, the most recent last:\n")
        listed = [line[2:] for line in shown.split("\n\n")[0].splitlines()]
        assert 1 <= len(listed) <= 3
        assert set(listed) <= titles
        assert len(prompt.options) == min(4, INTERESTS - len(prompt.context))
        assert not set(prompt.options) & set(prompt.context)
    found = users.read(made(ws).path)
    lists = found.rows.lists
    assert lists is not None
    for row in range(len(found)):
        answered = [i for i in found.rows.successors[row].tolist() if i >= 0]
        assert sorted(answered) == sorted(i for i in lists.options[row].tolist() if i >= 0)
    assert (np.asarray(lists.mass) > 0).all()
    assert (np.asarray(lists.mass) < 1.001).all()
    model = _model(ws)
    scorer = counts.Scorer(model, np.ones(len(model.popularity) + len(model.tables) + 2))
    part = counts.UserPart(found, np.array([0.8, 0.5]))
    mixture = replace(scorer, users=part)
    one = counts.SingleUserScorer(mixture)
    recent, nothing = found.rows.contexts[:5], np.zeros((5, INTERESTS), bool)
    expected = mixture(np.asarray(recent), nothing, user=found.user[:5]).fused
    for row in range(5):
        own = one(np.asarray(recent[row]), nothing[row], user=int(found.user[row]))
        assert own.row == row
        np.testing.assert_allclose(own.fused, expected[row], atol=1e-5)
    again = CountingTuner()
    refresh(with_tuner(ws, again), AsOf.parse("2024-02-21"))
    counted = UserRowsManifest.of(made(ws))
    assert counted.copied > 5  # lists and titles of users who did nothing stay as they are
    assert len(again.asked) < len(tuner.asked)


def _model(ws: Workspace) -> counts.CountModel:
    """Counts of the table that serves."""
    release = ws.releases.current()
    assert release is not None
    return counts.read(committed(ws.store, "tables", release.table).path / "counts")
