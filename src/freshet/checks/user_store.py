"""What every user store promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from freshet.core.ports import Journal, UserStore
from freshet.core.types import REMEMBERED, Fact, History

_LATEST = 2**53 - 1
"""Microseconds since 1970: of the year 2255."""


def check_user_store(open_user_store: Callable[[], UserStore]) -> None:
    """Run an empty user store through its port's contract; leaves entries behind.

    Args:
        open_user_store: opens one and the same store; called several times, also while it is open already.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    for check in (
        _check_note,
        _check_empty,
        _check_record,
        _check_identities,
        _check_order,
        _check_last_items,
        _check_merge,
        _check_journals,
        _check_trim,
        _check_erase,
        _check_notes,
        _check_threads,
    ):
        users = open_user_store()
        try:
            check(users)
        finally:
            users.close()
    _check_reopened(open_user_store)


def _check_note(users: UserStore) -> None:
    assert isinstance(users.note, str), "`note` is no text; '' where there is nothing to say"


def _check_empty(users: UserStore) -> None:
    """Who knows nothing answers with nothing."""
    [nobody] = users.histories([_user(0)])
    assert _times(nobody) == ({}, {}), f"an empty store remembers {nobody}"
    types = [column.dtype for column in _columns(nobody)]
    assert types == [np.uint64, np.int64, np.int32, np.int64], f"columns of a history have types {types}"
    assert users.histories([]) == [], "histories of nobody were given"
    assert users.record([]) == [], "no facts were not answered by an empty list"
    for journal in (users.events, users.impressions):
        assert journal.read(0, 10) == [], "an empty journal has entries"
        journal.append([])
        journal.trim(10)
        assert journal.read(0, 10) == [], "an empty journal has entries after appending none"
    assert users.notes.get("nothing") is None, "a note that nobody wrote was found"


def _check_record(users: UserStore) -> None:
    """Facts are in the histories and in the journal, byte by byte."""
    facts = [
        _fact(1, user=1, item=7, interest=3, time=20, body=b""),
        _fact(2, user=1, item=2**64 - 1, interest=-1, time=10, body=bytes(range(256))),
        _fact(3, user=1, item=5, interest=4, time=_LATEST, engaged=False, body=b"\0" * 70_000),
        _fact(4, user=2, item=0, interest=2**31 - 1, time=_LATEST, body=b"{}"),
        _fact(5, user=1, item=7, interest=3, time=15, body=b"before what is known"),
    ]
    assert users.record(facts) == [True] * 5, "new facts were not all called new"
    first, second = users.histories([_user(1), _user(2)])
    assert _times(first) == ({7: 20, 2**64 - 1: 10}, {3: 20}), f"remembered {first}"
    assert _times(second) == ({0: _LATEST}, {2**31 - 1: _LATEST}), f"remembered {second}"
    entries = users.events.read(0, 10)
    assert [e.body for e in entries] == [f.body for f in facts], "the journal's bodies are not those recorded"
    assert _ascend([e.position for e in entries]), "positions do not ascend from 1 or more"
    assert users.impressions.read(0, 10) == [], "facts are in the journal of impressions"


def _check_identities(users: UserStore) -> None:
    """An identity counts once, within a call and over calls; its double changes nothing."""
    before, length = _times(users.histories([_user(1)])[0]), len(users.events.read(0, 1000))
    double = _fact(1, user=1, item=99, interest=9, time=99)
    fresh = _fact(6, user=3, item=1, interest=1, time=1)
    new = users.record([double, fresh, replace(fresh, item=2, time=2)])
    assert new == [False, True, False], f"new, of a known, a new, and the same new identity: {new}"
    assert _times(users.histories([_user(1)])[0]) == before, "a double changed a history"
    assert _times(users.histories([_user(3)])[0]) == ({1: 1}, {1: 1}), "a double of one call was remembered"
    assert len(users.events.read(0, 1000)) == length + 1, "the journal holds a double"


def _check_order(users: UserStore) -> None:
    """Facts in any order, in one call or several, are remembered alike."""
    rng = np.random.default_rng(0)
    facts = [
        _fact(100 + n, user=10, item=int(item), interest=int(interest), time=int(time))
        for n, (item, interest, time) in enumerate(rng.integers(0, 40, (200, 3)))
    ]
    others = [replace(fact, identity=_user(1000 + n), user=_user(11)) for n, fact in enumerate(facts)]
    users.record(facts)
    shuffled = [others[n] for n in rng.permutation(len(others))]
    for start in range(0, len(shuffled), 30):
        users.record(shuffled[start : start + 30])
    one, other = users.histories([_user(10), _user(11)])
    assert _times(one) == _times(other), "the order in which facts came is in the history"
    assert one.items.tolist() == other.items.tolist(), "the order of items differs between equal histories"
    _check_form(one)


def _check_last_items(users: UserStore) -> None:
    """The last REMEMBERED items stay, by (time, key)."""
    count = REMEMBERED + 40
    facts = [_fact(3000 + n, user=20, item=n, interest=n % 5, time=1000 + n // 3) for n in range(count)]
    users.record([facts[n] for n in np.random.default_rng(1).permutation(count)])
    [history] = users.histories([_user(20)])
    assert history.items.tolist() == list(range(40, count)), "items kept are not the last by (time, key)"
    assert len(history.interests) == 5, "an interest was forgotten with its items"
    users.record([_fact(4000, user=20, item=3, interest=1, time=5)])
    assert _times(users.histories([_user(20)])[0]) == _times(history), "an old item drove out a later one"
    users.record([_fact(4001, user=20, item=3, interest=1, time=9999)])
    [history] = users.histories([_user(20)])
    assert history.items.tolist() == [*range(41, count), 3], "a forgotten item did not come back as the last"


def _check_merge(users: UserStore) -> None:
    """Histories join those of facts; twice is once; many are no problem."""
    loaded = History(
        np.array([1, 2], np.uint64), np.array([5, 6]), np.array([8, 9], np.int32), np.array([5, 6])
    )
    users.record([_fact(5000, user=30, item=2, interest=8, time=50)])
    for _ in range(2):
        users.merge(iter([(_user(30), loaded), (_user(31), loaded)]))
        one, other = users.histories([_user(30), _user(31)])
        assert _times(one) == ({1: 5, 2: 50}, {8: 50, 9: 6}), f"joined to {one}"
        assert _times(other) == ({1: 5, 2: 6}, {8: 5, 9: 6}), f"joined to nothing, gave {other}"
    users.merge((_user(10_000 + n), loaded) for n in range(6000))
    found = users.histories([_user(10_000), _user(15_999)])
    assert all(_times(one) == _times(other) for one in found), "some of many histories were not merged"


def _check_journals(users: UserStore) -> None:
    """Entries stay in order, apart by journal, and are read from any position on."""
    journal = users.impressions
    assert journal.end() == 0, "an empty journal has an end"
    journal.append([b"a", b""])
    journal.append([b"c" * 100_000])
    first, second, third = journal.read(0, 10)
    assert journal.end() == third.position, "the end is not the last entry"
    assert [e.body for e in (first, second, third)] == [b"a", b"", b"c" * 100_000], "bodies differ"
    assert _ascend([first.position, second.position, third.position]), "positions do not ascend"
    assert journal.read(first.position, 1) == [second], "reading behind the first did not give the second"
    assert journal.read(third.position, 10) == [], "there is something behind the last"
    assert journal.read(0, 0) == [], "none were asked for, some given"


def _check_trim(users: UserStore) -> None:
    """What is trimmed is forgotten with its identities; positions ascend on."""
    entries = users.events.read(0, 100_000)
    cut = entries[2].position
    users.events.trim(cut)
    assert users.events.read(0, 100_000) == entries[3:], "other entries than those up to the position went"
    fact = _fact(1, user=1, item=7, interest=3, time=20)
    assert users.record([fact, _fact(4, user=2)]) == [True, False], "identities do not go with their entries"
    for journal in (users.events, users.impressions):
        last = journal.read(0, 100_000)[-1].position
        journal.trim(last + 1000)
        assert journal.read(0, 10) == [], "entries outlive their trimming"
        assert journal.end() == last, "the end moves by trimming"
        journal.append([b"next"])
        [entry] = journal.read(last, 10)
        assert entry.position > last, "a position was given again after trimming"
        assert journal.read(0, 10) == [entry], "reading from 0 skips entries after trimming"


def _check_erase(users: UserStore) -> None:
    """Who is erased is not known, and may come again; nobody else notices."""
    before = users.events.end()
    facts = [
        _fact(9001 + n, user=90 + n % 2, item=n, interest=1, time=n + 1, body=b"ours" if n % 2 else b"theirs")
        for n in range(40)
    ]
    assert users.record(facts) == [True] * 40
    shown = users.impressions.end()
    users.impressions.append([b"ours", b"theirs", b"ours"])
    [other] = users.histories([_user(90)])
    done = users.erase([_user(91), _user(4711)], lambda body: body == b"ours")
    assert (done.histories, done.events, done.impressions) == (1, 20, 2), f"erased {done}"
    left, gone = users.histories([_user(90), _user(91)])
    assert _times(left) == _times(other), "erasing one user changed another"
    assert _times(gone) == ({}, {}), "an erased user is remembered"
    assert [one.body for one in users.events.read(before, 99)] == [b"theirs"] * 20, "entries are left"
    assert [one.body for one in users.impressions.read(shown, 99)] == [b"theirs"], "impressions are left"
    assert users.events.end() == before + 40, "erasing moved the journal's end"
    again = users.erase([_user(91)], lambda body: body == b"ours")
    assert (again.histories, again.events, again.impressions) == (0, 0, 0), "erasing again found something"
    assert users.record(facts[:2]) == [False, True], "the identity of an erased event is still known"
    users.events.append([b"more"])
    assert users.events.read(before + 41, 9)[0].body == b"more", "the journal does not go on"
    users.events.trim(users.events.end())
    users.impressions.trim(users.impressions.end())


def _check_notes(users: UserStore) -> None:
    """Notes are replaced, each on its own."""
    users.notes.put("a", b"\0\xff")
    users.notes.put("é b", b"")
    users.notes.put("a", b"again")
    found = [users.notes.get(name) for name in ("a", "é b", "b")]
    assert found == [b"again", b"", None], f"notes are {found}"


def _check_threads(users: UserStore) -> None:
    """Threads that record the same facts at once count each once."""
    facts = [_fact(7000 + n, user=40, item=n, interest=n, time=n + 1) for n in range(60)]

    def record(_: int) -> list[bool]:
        return [new for fact in facts for new in users.record([fact])]

    with ThreadPoolExecutor(4) as threads:
        counts = np.sum(list(threads.map(record, range(4))), axis=0).tolist()
    assert counts == [1] * len(facts), f"times that each fact was new: {counts}"
    [history] = users.histories([_user(40)])
    assert len(history.items) == len(facts), "threads lost each other's facts"


def _check_reopened(open_user_store: Callable[[], UserStore]) -> None:
    """Everything is there when the store is opened again, also while another has it open."""
    users = open_user_store()
    users.record([_fact(8000, user=50, item=1, interest=2, time=3)])
    other = open_user_store()
    assert _times(other.histories([_user(50)])[0]) == ({1: 3}, {2: 3}), "one opener does not see the other's"
    length, last = _length(users.events), users.events.read(0, 100_000)[-1]
    users.close()
    assert other.record([_fact(8000, user=50)]) == [False], "closing one disturbs the other"
    other.close()
    again = open_user_store()
    try:
        assert _length(again.events) == length, "entries were lost by closing"
        assert again.record([_fact(8000, user=50)]) == [False], "identities were lost by closing"
        assert _times(again.histories([_user(50)])[0]) == ({1: 3}, {2: 3}), "histories were lost by closing"
        assert again.notes.get("a") == b"again", "notes were lost by closing"
        again.events.append([b"later"])
        assert again.events.read(last.position, 1)[0].body == b"later", "positions start anew after opening"
    finally:
        again.close()


def _length(journal: Journal) -> int:
    return len(journal.read(0, 1_000_000))


def _user(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _fact(
    number: int,
    user: int,
    item: int = 1,
    interest: int = 1,
    time: int = 1,
    engaged: bool = True,
    body: bytes = b"body",
) -> Fact:
    return Fact(_user(number), _user(user), item, interest, time, engaged, body)


def _times(history: History) -> tuple[dict[int, int], dict[int, int]]:
    """Item -> time, interest -> time."""
    items, item_times, interests, interest_times = (column.tolist() for column in _columns(history))
    return dict(zip(items, item_times, strict=True)), dict(zip(interests, interest_times, strict=True))


def _columns(history: History) -> Sequence[np.ndarray]:
    return history.items, history.item_times, history.interests, history.interest_times


def _check_form(history: History) -> None:
    """Each item and interest once; items by (time, key)."""
    pairs = list(zip(history.item_times.tolist(), history.items.tolist(), strict=True))
    assert pairs == sorted(pairs), "items are not in the order of (time, key)"
    for keys in (history.items.tolist(), history.interests.tolist()):
        assert len(keys) == len(set(keys)), "an item or interest is there twice"


def _ascend(positions: list[int]) -> bool:
    return all(a < b for a, b in zip([0, *positions], positions, strict=False))
