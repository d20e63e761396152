from __future__ import annotations

from freshet.serving.messages import Event, Query


def test_ids_follow_the_rule_of_the_log() -> None:
    ask = Query(user=" 7.0 ", history=("162.0", "00162"), exclude=("1.62E2",))
    assert (ask.user, ask.history, ask.exclude) == ("7", ("162", "00162"), ("162",))
    assert (Query().user, Query().history) == (None, None)
    posted = Event(user="7.0", item="162.0", id=" a ")
    assert (posted.user, posted.item, posted.id) == ("7", "162", "a")
