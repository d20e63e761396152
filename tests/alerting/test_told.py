"""Who was told of what: once, again after hours, of the end once; whatever dies in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.alerting.catalogue import KINDS, alert
from freshet.alerting.told import LONGEST_WAIT, State, alone, read_state, write_state
from freshet.core.types.alerts import Alert

NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
REPEAT = timedelta(hours=12)
FIVE = timedelta(minutes=5)


def fires(*names: str, now: datetime = NOW) -> list[Alert]:
    kinds = {kind.name: kind for kind in KINDS}
    return [alert(kinds[name], "shop", "what is known", now) for name in names]


@dataclass
class Recipient:
    """A receiver as looks meet it, and what it has heard: (name, ended, number)."""

    name: str = "mail"
    every_look: bool = False
    heard: list[tuple[str, bool, int]] = field(default_factory=list)

    def look(self, state: State, firing: list[Alert], now: datetime, up: bool = True) -> State:
        state = state.note(firing, now)
        notices = state.due(self.name, self.every_look, REPEAT, now)
        if not notices:
            return state
        state = state.telling(self.name, notices)
        if not up:
            return state.failed(self.name, "away", now)
        self.heard += [(one.alert.name, one.alert.ended is not None, one.number) for one in notices]
        return state.took(self.name, notices, now)


def test_an_alert_is_told_once_again_after_hours_and_its_end_once() -> None:
    mail, state = Recipient(), State()
    for minutes in range(0, 15 * 60, 5):
        now = NOW + timedelta(minutes=minutes)
        state = mail.look(state, fires("FreshetDrift", now=now), now)
    assert mail.heard == [("FreshetDrift", False, 0), ("FreshetDrift", False, 1)]
    assert state.alerts["FreshetDrift"].alert.since == NOW
    for minutes in range(5):
        state = mail.look(state, [], NOW + timedelta(hours=15, minutes=minutes))
    assert mail.heard[2:] == [("FreshetDrift", True, 2)]
    assert state == State()


def test_one_that_wants_every_look_gets_it_and_the_end_once() -> None:
    keeper, state = Recipient(every_look=True), State()
    for step in range(4):
        state = keeper.look(state, fires("FreshetDrift"), NOW + step * FIVE)
    state = keeper.look(state, [], NOW + 4 * FIVE)
    keeper.look(state, [], NOW + 5 * FIVE)
    assert [ended for _, ended, _ in keeper.heard] == [False] * 4 + [True]


def test_what_began_and_ended_while_a_receiver_was_away_is_told_as_over() -> None:
    """It may have heard of the beginning: no answer is not a no."""
    mail = Recipient()
    state = mail.look(State(), fires("FreshetDrift"), NOW, up=False)
    state = mail.look(state, [], NOW + timedelta(hours=1))
    assert (mail.heard, state.alerts) == ([("FreshetDrift", True, 0)], {})


def test_what_nobody_was_to_be_told_of_leaves_nothing() -> None:
    assert State().note(fires("FreshetDrift"), NOW).note([], NOW + FIVE) == State()


def test_a_receiver_that_is_away_is_left_alone_longer_each_time_and_loses_nothing() -> None:
    mail, state, tries = Recipient(), State(), []
    for step in range(200):
        now = NOW + step * timedelta(seconds=30)
        before = state.troubles.get("mail")
        state = mail.look(state, fires("FreshetDrift", now=now), now, up=False)
        if state.troubles["mail"] != before:
            tries.append(now)
    gaps = [later - sooner for sooner, later in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[0] == timedelta(seconds=30)
    assert max(gaps) <= LONGEST_WAIT
    assert len(tries) < 12
    state = mail.look(state, fires("FreshetDrift"), now + LONGEST_WAIT)
    assert mail.heard == [("FreshetDrift", False, 0)]
    assert state.troubles == {}


def test_an_end_waits_for_a_receiver_that_is_away() -> None:
    mail = Recipient()
    state = mail.look(State(), fires("FreshetDrift"), NOW)
    state = mail.look(state, [], NOW + FIVE, up=False)
    state = mail.look(state, [], NOW + timedelta(hours=2))
    assert mail.heard == [("FreshetDrift", False, 0), ("FreshetDrift", True, 1)]
    late = mail.look(State(), fires("FreshetDrift"), NOW)
    for day in range(1, 12):
        late = mail.look(late, [], NOW + timedelta(days=day), up=False)
    assert late.alerts == {}  # not for ever


def test_one_that_begins_again_is_a_new_one() -> None:
    mail = Recipient()
    state = mail.look(State(), fires("FreshetDrift"), NOW)
    state = mail.look(state, [], NOW + FIVE)
    again = NOW + 2 * FIVE
    state = mail.look(state, fires("FreshetDrift", now=again), again)
    assert [ended for _, ended, _ in mail.heard] == [False, True, False]
    assert state.alerts["FreshetDrift"].alert.since == again


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    mail = Recipient()
    state = mail.look(State(), fires("FreshetDrift"), NOW)
    state = mail.look(state, fires("FreshetDrift"), NOW - timedelta(days=30))
    assert len(mail.heard) == 2
    away = mail.look(State(), fires("FreshetDrift"), NOW, up=False)
    mail.look(away, fires("FreshetDrift"), NOW - timedelta(days=30))
    assert len(mail.heard) == 3


def test_receivers_that_are_gone_are_forgotten_and_hold_nothing_up() -> None:
    old, new = Recipient("old"), Recipient("new")
    state = old.look(State(), fires("FreshetDrift"), NOW)
    state = new.look(state.without_others(["new"]), fires("FreshetDrift"), NOW + FIVE)
    state = new.look(state, [], NOW + 2 * FIVE)
    assert state == State()


NAMES = [kind.name for kind in KINDS[:3]]
EVENTS = st.lists(
    st.tuples(st.sets(st.sampled_from(NAMES)), st.booleans(), st.booleans(), st.integers(1, 90)), max_size=30
)


@given(EVENTS)
def test_whatever_dies_every_receiver_knows_in_the_end_what_fires(
    events: list[tuple[set[str], bool, bool, int]],
) -> None:
    """`killed`: the process died after it had told, before it remembered that."""
    mail, state, now = Recipient(), State(), NOW
    for names, up, killed, minutes in events:
        now += timedelta(minutes=minutes)
        firing = fires(*sorted(names), now=now)
        noted = state.note(firing, now)
        noted = noted.telling(mail.name, noted.due(mail.name, mail.every_look, REPEAT, now))
        after = mail.look(state, firing, now, up)
        state = noted if killed else after
    last = sorted(events[-1][0]) if events else []
    now += timedelta(hours=1)
    state = mail.look(state, fires(*last, now=now), now)
    heard = {name: ended for name, ended, _ in mail.heard}
    assert {name for name, ended in heard.items() if not ended} == set(last)
    assert set(state.alerts) == set(last)


def test_what_was_told_outlives_the_process(tmp_path: Path) -> None:
    mail = Recipient()
    state = mail.look(State(), fires("FreshetDrift", "FreshetDamaged"), NOW)
    state = state.failed("hook", "away", NOW)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    for damage in ("", "[]", '{"alerts": 3}', '{"alerts": {"a": {"alert": {}}}}'):
        (tmp_path / "alerts" / "told.json").write_text(damage)
        assert read_state(tmp_path) == State()


def test_one_process_tells_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path) as mine:
        assert mine
        with alone(tmp_path) as other:
            assert not other
    with alone(tmp_path) as again:
        assert again


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_labels_say_which_alert_it_is_and_nothing_that_changes(kind: object) -> None:
    one = fires(kind.name)[0]  # type: ignore[attr-defined]
    later = fires(kind.name, now=NOW + FIVE)[0]  # type: ignore[attr-defined]
    assert one.labels == later.labels
    assert set(one.labels) == {"alertname", "workspace", "severity", "level", "service"}
