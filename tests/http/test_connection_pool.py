"""How many connections there is room for, and which makes way."""

from __future__ import annotations

import subprocess
import sys

import pytest

from freshet.http.connection_pool import RESERVE, ConnectionPool


class One:
    """A connection that knows whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_the_idle_make_way_in_the_order_in_which_they_fell_idle() -> None:
    room, ones = ConnectionPool(3), [One() for _ in range(3)]
    for one in ones:
        assert room.enter(one)
        room.rests(one)
    room.works(ones[0])
    room.rests(ones[0])  # it is the youngest now
    for gone in (1, 2, 0):
        assert room.enter(One())
        assert [one.closed for one in ones].count(True) == (1, 2, 0).index(gone) + 1
        assert ones[gone].closed
    assert len(room) == 3
    assert not room.enter(One()), "none of them is idle"
    assert len(room) == 3


def test_who_left_is_not_counted_and_does_not_come_back() -> None:
    room, one = ConnectionPool(1), One()
    room.enter(one)
    room.leave(one)
    room.rests(one)
    other = One()
    assert room.enter(other)
    assert len(room) == 1
    assert not room.enter(One())


def test_few_of_those_turned_away_may_linger() -> None:
    room, many = ConnectionPool(1), [One() for _ in range(1000)]
    stayed = [one for one in many if room.lingers(one)]
    assert 0 < len(stayed) <= RESERVE
    room.leave(stayed[0])
    assert room.lingers(One())


@pytest.mark.parametrize(
    ("soft", "hard", "most"), [(60, 60, 0), (256, 256, 150), (128, 4096, 2000), (4096, 4096, 2000)]
)
@pytest.mark.slow
def test_descriptors_limit_connections(soft: int, hard: int, most: int) -> None:
    told = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from freshet.http.connection_pool import connection_limits\n"
        "most, backlog = connection_limits(2000)\n"
        "print(most, backlog, resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True)
    if not most:
        assert "ConfigError" in done.stderr
        assert "ulimit -n" in done.stderr
        return
    found, backlog, files = map(int, done.stdout.split())
    assert found <= most
    assert found >= most / 2
    assert found + backlog + RESERVE < files
