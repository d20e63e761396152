"""What other policies would have earned: the log gives serving's own answers again, and estimates hold."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet import operations, pipeline
from freshet.cli.app import run as command
from freshet.core.errors import InputError
from freshet.core.types import AsOf, Experiment, ExperimentArm, Outcomes
from freshet.experiments.measurement.foreign_rows import ColumnNames
from freshet.experiments.measurement.labels import Window
from freshet.experiments.stats.effects import Estimate
from freshet.experiments.stats.off_policy import Support
from freshet.replay.off_policy import Found, Target, estimate, policies, policy_values, reward_model
from freshet.replay.off_policy.logged_decisions import Engaged
from freshet.replay.off_policy.policies import PastRelease
from freshet.serving import Event, Query
from freshet.storage.experiment_registry import parse_serves
from freshet.storage.workspace import Workspace
from freshet.wiring import existing_user_store, open_recommender
from tests.pipeline.world import NOW, approving, copied, refreshed, rewrite, settings, workspace

pytestmark = pytest.mark.slow

MOMENT = AsOf.parse("2024-02-14")
"""A few days after the world changes, so that live signals pay."""
END = MOMENT.plus(4)
WINDOW = Window(MOMENT, END, hours=1, first=True)
SERVING = "[serving]\nexplore = 0.5\ntemperature = 1.0\n[feedback]\nhours = 1\n[schedule]\nrefresh_days = 7\n"
DAY = 86_400_000_000


def before(events: pa.Table) -> pa.Table:
    moment = pa.scalar(MOMENT.moment, events["timestamp"].type)
    return events.filter(pc.less(events["timestamp"], moment))


def liked(interest: int) -> float:
    """Chance that an interest is taken when it is shown."""
    return (0.1, 0.3, 0.6)[interest % 3]


def visits(ws: Workspace, count: int, seed: int = 0, since: AsOf = MOMENT) -> None:
    """People of the log come and are shown one interest, which they take or not; all of it is collected.

    They come on three days from `since` on, nobody twice within an hour: what is taken then would count for
    both answers. A last event ends the log a day later.
    """
    rng, core = np.random.default_rng(seed), open_recommender(ws.root)
    release = core._releases.current
    items: dict[int, list[str]] = {}
    for item, place in release.items.items():
        items.setdefault(int(release.interests.ids[place]), []).append(item)
    start = int(since.moment.timestamp()) * 1_000_000
    times = np.sort(rng.integers(0, 3 * DAY, count)) + start
    came: dict[str, int] = {}
    for time in times.tolist():
        user = next(name for n in rng.permutation(160) if time - came.get(name := f"u{n}", 0) > 3_700_000_000)
        came[user] = time
        answer = core.recommend(Query(user, interests=1, items=0, now=time))
        for offer in answer.interests:
            if rng.random() < liked(offer.id):
                item = str(rng.choice(items[offer.id]))
                core.record([Event(user, item, time + 1000, 9.0, impression=answer.id)])
    core.record([Event("last", next(iter(release.items)), start + 4 * DAY - 1, 9.0)])
    core.close()
    state = existing_user_store(ws.root, ws.config)
    assert state is not None
    operations.collect(ws, state, NOW)
    state.close()


@pytest.fixture(scope="module")
def fresh(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A release of the end of a log, with live signals."""
    folder = tmp_path_factory.mktemp("cut")
    ws = workspace(folder / "ws", settings(rewrite(world, folder / "world", before), extra=SERVING))
    refreshed(ws, MOMENT)
    release = ws.releases.current()
    assert release is not None
    assert release.overlay
    return ws


@pytest.fixture(scope="module")
def visited(fresh: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = copied(fresh, tmp_path_factory.mktemp("visited") / "ws")
    visits(ws, 1500)
    return ws


def looked(
    ws: Workspace, *policies: str, explore: float = 0.5, limit: int = 100_000, window: Window = WINDOW
) -> Found:
    targets = tuple(Target(parse_serves(policy), explore, 1.0) for policy in policies)
    with ws.run("estimate") as run:
        return estimate(ws, run, targets, window, limit)


def test_the_log_gives_every_answer_again_and_the_logging_policy_its_own_rate(visited: Workspace) -> None:
    found = looked(visited, "follow")
    assert found.rows > 1000
    assert found.elsewhere == 0
    [told] = found.reproduced
    assert (told.experiment, told.strategy, told.exact) == ("", "published", 1.0)
    assert told.rows == found.rows
    assert not found.conditional
    [own] = found.policies
    assert own.refused == own.caution == ""
    assert own.earlier == 0
    for result in (own.results["ips"], own.results["self_normalised"]):
        assert result.value.value == pytest.approx(found.logged[0], abs=1e-6)
        assert abs(result.lift.value) < 1e-6
    robust = own.results["doubly_robust"]
    assert robust.support.effective == pytest.approx(found.rows, rel=1e-6)
    assert robust.support.unseen == 0
    assert robust.value.value == pytest.approx(found.logged[0], abs=0.02)


def test_another_release_or_strategy_is_estimated_within_its_interval(visited: Workspace) -> None:
    policies = ("hybrid", "popularity", "release:1/counts-live", "follow")
    found = looked(visited, *policies, explore=0.9)
    truth = _truth(visited, policies)
    for one, rate in zip(found.policies, truth, strict=True):
        for result in one.results.values():
            error = np.sqrt(result.value.variance)
            assert abs(result.value.value - rate) < 3.5 * error, str(one.target.serves)
            assert error < 0.05
    assert not any(one.refused for one in found.policies)


def _truth(ws: Workspace, policies: tuple[str, ...]) -> list[float]:
    """Mean chance that what each policy shows first is taken, over the same visits."""
    kept = {}
    actual = policy_values.answer_again

    def known(decisions, engaged, behaviour, others, setup, progress):
        rewards = np.array([liked(int(id)) for id in setup.ids])
        model = reward_model.RewardModel(rewards, np.zeros(0, np.int64), np.zeros(0))
        setup = replace(setup, models=(model, model))
        kept["answers"] = actual(decisions, engaged, behaviour, others, setup, progress)
        return kept["answers"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy_values, "answer_again", known)
        looked(ws, *policies, explore=0.9)
    return [float(row.mean()) for row in kept["answers"].expected]


def test_what_was_shown_elsewhere_is_estimated_from_its_own_propensities(
    visited: Workspace, tmp_path: Path
) -> None:
    """The same showings as if another system had logged them: the same estimates, but for what it never shows."""
    ws = copied(visited, tmp_path / "ws")
    days = [*(ws.root / "impressions").glob("*/*.parquet")]
    shown = pa.concat_tables([pq.read_table(path) for path in days])
    for path in days:
        path.unlink()
    shown = shown.filter(pc.equal(shown["place"], 0))
    pq.write_table(
        shown.select(["id", "time", "user", "context", "interest", "propensity", "place"]),
        tmp_path / "x.parquet",
    )
    names = ColumnNames.of(["user=user", "time=time"])
    _, (report,) = operations.import_impressions(ws, [tmp_path / "x.parquet"], names, NOW)
    assert (report.added, report.quarantined) == (shown.num_rows, {})
    own, found = (
        looked(visited, "release:1", "release:1/counts-live"),
        looked(ws, "release:1", "release:1/counts-live"),
    )
    assert (found.rows, found.logged) == (own.rows, own.logged)
    assert found.reproduced == ()
    for mine, foreign in zip(own.policies, found.policies, strict=True):
        for name in ("ips", "self_normalised"):
            assert foreign.results[name].value.value == pytest.approx(mine.results[name].value.value)
        assert foreign.refused == ""
        assert "were shown elsewhere" in foreign.caution


def test_what_was_never_explored_is_refused(fresh: Workspace, tmp_path: Path) -> None:
    text = (fresh.root / "freshet.toml").read_text().replace("explore = 0.5", "explore = 0.0")
    ws = copied(fresh, tmp_path / "ws", text)
    visits(ws, 400)
    same, other = looked(ws, "follow", "popularity", explore=0.0).policies
    assert same.refused == ""
    assert "could have been logged" in other.refused
    unseen = other.results["doubly_robust"].support.unseen
    assert unseen is not None
    assert unseen > 0.3


def test_a_sample_of_users_is_looked_at_where_there_are_many(visited: Workspace) -> None:
    everything, some = looked(visited, "follow"), looked(visited, "follow", limit=400)
    assert 100 < some.rows < 800 < everything.rows
    assert some.users < everything.users
    assert some.reproduced[0].exact == 1.0


@pytest.fixture(scope="module")
def twice(visited: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A second release, made while people went on coming; more of them came to the second one."""
    ws = copied(visited, tmp_path_factory.mktemp("twice") / "ws")
    approving(lambda: pipeline.refresh(ws, LATER, publish=True), ws)
    assert (ws.releases.pointer(), ws.releases.get(2).as_of) == (2, str(LATER))
    visits(ws, 300, seed=1, since=END)
    return ws


LATER = MOMENT.plus(2)
BOTH = replace(WINDOW, until=END.plus(4))


def test_a_release_is_not_judged_by_what_it_was_made_from(
    twice: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has memorised what was taken before its moment earns nothing by it."""
    [honest] = looked(twice, "release:2", window=BOTH).policies
    actual, known = PastRelease.chances, _taken(twice)

    def memorised(self: PastRelease, strategy, policy, seen, now, user):
        chances = actual(self, strategy, policy, seen, now, user)
        if self.release.release.number == 2 and now in known:
            chances = np.where(self.release.interests.ids == known[now], 0.98, 0.02 / (len(chances) - 1))
        return chances

    monkeypatch.setattr(PastRelease, "chances", memorised)
    [one] = looked(twice, "release:2", window=BOTH).policies
    since = looked(twice, "release:2", window=replace(BOTH, since=LATER))
    assert one.rows == since.policies[0].rows
    assert one.earlier > 500
    assert one.results["ips"].value.value == honest.results["ips"].value.value
    assert one.results["ips"].value.value == since.policies[0].results["ips"].value.value


def _taken(ws: Workspace) -> dict[int, int]:
    """Moments of first places before the second release, and the interest where it was taken."""
    from freshet.experiments.measurement.labels import assignment_of
    from freshet.pipeline import snapshot_of
    from freshet.replay.off_policy import logged_decisions as decisions

    with ws.run("estimate") as run:
        known = snapshot_of(ws, run, BOTH.until)
    assignment = assignment_of(ws, known.version)
    asked, _, _ = decisions.read(ws, BOTH, assignment, known.interests, "value >= 7", 100_000)
    before = (asked.reward > 0) & (asked.time < int(LATER.moment.timestamp()) * 1_000_000)
    assert before.sum() > 100
    return dict(zip(asked.time[before].tolist(), asked.shown[before].tolist(), strict=True))


def test_a_release_that_was_made_after_all_of_it_is_refused(visited: Workspace, tmp_path: Path) -> None:
    ws = copied(visited, tmp_path / "ws")
    approving(lambda: pipeline.refresh(ws, END), ws)
    found = looked(ws, "release:2", "release:1")
    late, early = found.policies
    assert (late.rows, late.earlier) == (0, found.rows)
    assert "too few" in late.refused
    assert not late.results
    assert early.rows == found.rows


def test_feedback_made_later_than_its_release_moves_the_moment(
    visited: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = replace(visited.releases.get(1), feedback="late")
    monkeypatch.setattr(type(visited.releases), "get", lambda self, number: release)
    made = SimpleNamespace(manifest={"as_of": str(LATER)})
    monkeypatch.setattr(policies, "committed", lambda ws, kind, version: made)
    assert policies.known_from(visited, 1) == int(LATER.moment.timestamp()) * 1_000_000


def test_who_follows_current_is_answered_by_the_release_of_then(twice: Workspace) -> None:
    found = looked(twice, "follow", window=BOTH)
    [own] = found.policies
    assert (own.rows, own.earlier) == (found.rows, 0)
    assert own.results["ips"].value.value == pytest.approx(found.logged[0], abs=1e-6)
    assert own.results["ips"].support.largest == pytest.approx(1, abs=1e-3)


def test_a_separated_arm_is_answered_again_from_its_own_evidence(fresh: Workspace, tmp_path: Path) -> None:
    ws = copied(fresh, tmp_path / "ws")
    arms = tuple(ExperimentArm(name, 0.5, parse_serves("hybrid-live")) for name in ("a", "b"))
    start = int(MOMENT.moment.timestamp()) * 1_000_000
    ws.experiments.start(Experiment("one", "salt", arms, 1.0, ("satisfied",), start, 1, isolated=True))
    visits(ws, 600)
    found = looked(ws, "hybrid-live")
    assert [(one.arm, one.strategy) for one in found.reproduced] == [
        ("a", "hybrid-live"),
        ("b", "hybrid-live"),
    ]
    assert [one.exact for one in found.reproduced] == [1.0, 1.0]
    [follow] = found.policies
    assert follow.rows == 0, "nobody was answered by CURRENT"


def test_settings_that_have_changed_are_told_and_their_estimates_refused(
    visited: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (visited.root / "freshet.toml").read_text()
    ws = copied(visited, tmp_path / "ws", text.replace("explore = 0.5", "explore = 0.05"))
    found = looked(ws, "follow")
    [told] = found.reproduced
    assert told.poor
    assert told.apart > 0.2
    assert "have settings changed" in found.policies[0].refused
    assert command(["experiment", "estimate", "-w", str(ws.root), "--policy", "follow", "--days", "4"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "WARNING: no experiment (published)" in shown
    assert "refused: only" in shown


def test_rules_that_depend_on_a_request_are_told(visited: Workspace, tmp_path: Path) -> None:
    text = (visited.root / "freshet.toml").read_text()
    names = json.dumps(_an_interest(visited))
    rule = f'[[serving.rules]]\nattribute = "region"\nvalues = ["de"]\nblocked = [{names}]\n[feedback]'
    ws = copied(visited, tmp_path / "ws", text.replace("[feedback]", rule))
    found = looked(ws, "follow")
    assert found.conditional
    assert found.reproduced[0].exact == 1.0, "no request had attributes"


def _an_interest(ws: Workspace) -> str:
    core = open_recommender(ws.root)
    name = str(core._releases.current.interests.descriptions[0])
    core.close()
    return name


def test_large_weights_make_an_estimate_a_screen_only() -> None:
    def support(**more: float) -> Support:
        whole = Estimate(1.0, 0.98, 1.02, 1e-4)
        return replace(Support(10_000, 3000, 4000.0, 5.0, whole, 0.0, 0.0, 0.0), **more)

    assert policy_values._caution(support(), 1.0) == ""
    assert "largest weight is 21" in policy_values._caution(support(largest=21.0), 1.0)
    assert "worth 499" in policy_values._caution(support(effective=499.0), 1.0)
    assert "only 94.0%" in policy_values._caution(support(), 0.94)


def test_outcomes_of_which_none_passes_the_rule_are_said(visited: Workspace, tmp_path: Path) -> None:
    text = (visited.root / "freshet.toml").read_text()
    ws = copied(visited, tmp_path / "ws", text + """[experiments]\nsatisfied = "outcome = 'liked'"\n""")
    with pytest.raises(InputError, match=r"no outcome of .* passes \"outcome = 'liked'\""):
        looked(ws, "follow")


def test_nothing_shown_is_said(fresh: Workspace) -> None:
    with pytest.raises(InputError, match="nothing was shown to named users"):
        looked(fresh, "follow")


def test_the_command_tells_all_of_it(visited: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["experiment", "estimate", "-w", str(visited.root), "--policy", "follow", "--policy", "popularity"]
    assert command([*call, "--json", "--days", "4"]) == 0
    told = json.loads(capsys.readouterr().out)
    follow, popularity = told["policies"]
    assert [one["exact"] for one in told["reproduced"]] == [1.0]
    assert follow["ips"]["rate"]["value"] == pytest.approx(told["logged"]["value"], abs=1e-6)
    assert popularity["policy"] == "popularity"
    since = str((MOMENT.moment + timedelta(days=1)).date())
    assert command([*call, "--since", since, "--explore", "0.0"]) == 0
    shown = capsys.readouterr().out
    assert f"since {since}" in shown
    assert "doubly robust" in shown or "refused" in shown


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 20)), max_size=40),
    st.integers(0, 3),
    st.integers(0, 21),
)
def test_engagements_are_those_strictly_before(
    rows: list[tuple[int, int, int]], user: int, moment: int
) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 3)
    made = Engaged.of(columns[:, 0].astype(np.uint64), columns[:, 1].astype(np.int32), columns[:, 2])
    ids, times = made.before(user, moment)
    expected = sorted((when, what) for who, what, when in rows if who == user and when < moment)
    assert sorted(zip(times.tolist(), ids.tolist(), strict=True)) == expected


def rewards(size: int, seed: int = 0) -> Outcomes:
    rng = np.random.default_rng(seed)
    shown = rng.integers(0, 3, size).astype(np.int16)
    last = rng.integers(-1, 3, size).astype(np.int16)
    chance = 0.2 + 0.2 * shown + 0.1 * (shown == last)
    return Outcomes(
        last[:, None],
        shown,
        np.zeros(size, np.int32),
        np.zeros(size),
        rng.random(size) < chance,
        np.arange(size),
        rng.integers(0, 2**60, size).astype(np.uint64),
    )


def test_the_model_of_rewards_finds_the_rates() -> None:
    model = reward_model.fit(rewards(30_000), 4)
    assert model.of(-1)[:3] == pytest.approx([0.2, 0.4, 0.6], abs=0.03)
    assert model.of(2)[:3] == pytest.approx([0.2, 0.4, 0.7], abs=0.03)
    assert model.of(1)[3] == pytest.approx(0.41, abs=0.03), "never shown: the rate of all"


def test_users_rewards_do_not_enter_the_model_that_speaks_of_them() -> None:
    rows = rewards(2000)
    fold = reward_model.fold_of(rows.user)
    other = replace(rows, reward=np.where(fold == 0, ~rows.reward, rows.reward))
    for one in range(reward_model.FOLDS):
        same = np.array_equal(
            reward_model.cross_fitted(rows, 3)[one].base, reward_model.cross_fitted(other, 3)[one].base
        )
        assert same == (one == 0)
