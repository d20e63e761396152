from __future__ import annotations

from freshet.serving.messages import Ask, Posted


def test_ids_follow_the_rule_of_the_log() -> None:
    ask = Ask(user=" 7.0 ", history=("162.0", "00162"), exclude=("1.62E2",))
    assert (ask.user, ask.history, ask.exclude) == ("7", ("162", "00162"), ("162",))
    assert (Ask().user, Ask().history) == (None, None)
    posted = Posted(user="7.0", item="162.0", id=" a ")
    assert (posted.user, posted.item, posted.id) == ("7", "162", "a")
