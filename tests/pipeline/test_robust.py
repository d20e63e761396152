"""One row or one user decides nothing of a whole log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score

from freshet import inspect, operations
from freshet.core.time_scales import BURST, measure
from freshet.core.types import AsOf
from freshet.run_context import LogSnapshot
from freshet.storage.workspace import Workspace
from tests.pipeline.synthetic import DAYS, FIRST, ITEMS, NOW, Row, base, day, theme_of, write

LOG = base(sessions=14)


@dataclass(frozen=True)
class Studied:
    ws: Workspace
    known: LogSnapshot
    interest: dict[str, int]

    @property
    def moves(self) -> set[tuple[int, int]]:
        """The most frequent transitions, by theme."""
        theme = {self.interest[item]: theme_of(item) for item in sorted(self.interest)}
        sums = self.known.transitions.sums(self.known.as_of, 56.0, 1)
        top = np.argsort(-sums.weight)[:6]
        pairs = zip(sums.contexts[top, 0].tolist(), sums.successor[top].tolist(), strict=True)
        return {(theme[a], theme[b]) for a, b in pairs}


def study(root: Path, rows: list[Row]) -> Studied:
    ws = write(root, rows)
    _, known = operations.form_interests(ws)
    counted = ws.store.find("transitions", known.version)
    assert counted is not None
    made = ws.store.find("assignments", counted.manifest["inputs"]["assignment"])
    assert made is not None
    table = pq.read_table(made.path / "assignment.parquet")
    return Studied(
        ws, known, dict(zip(*(table[name].to_pylist() for name in ("item", "interest")), strict=True))
    )


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    return study(tmp_path_factory.mktemp("usual") / "ws", LOG)


def after(days: float) -> datetime:
    return FIRST + timedelta(days=days)


def bot(count: int, item: Callable[[int], int], start: datetime, span: timedelta) -> list[Row]:
    return [("bot", f"i{item(n)}", start + span * n / count) for n in range(count)]


HOUR, WHOLE = timedelta(hours=1), timedelta(days=DAYS)
ABSURD: dict[str, list[Row]] = {
    "1999": [("u3", "i5", datetime(1999, 1, 1, tzinfo=UTC))],
    "tomorrow": [("u3", "i5", after(DAYS + 0.2))],
    "a year ahead": [("u3", "i5", after(400))],
    "three days ahead": [("u3", "i5", after(DAYS + n)) for n in range(3)],
    "a bot with a clock ahead": bot(5_000, lambda n: n % ITEMS, after(DAYS), HOUR),
    "one item in an hour": bot(50_000, lambda n: 7, after(3), HOUR),
    "everything in an hour": bot(50_000, lambda n: n % ITEMS, after(3), HOUR),
    "a quarter of the log": bot(len(LOG) // 3, lambda n: n * 37 % ITEMS, after(0), WHOLE),
    "two items all along": bot(len(LOG) // 3, lambda n: (3, 90)[n % 2], after(0), WHOLE),
}


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_row_or_user_moves_nothing(usual: Studied, tmp_path: Path, name: str) -> None:
    found = study(tmp_path / "ws", [*LOG, *ABSURD[name]])
    assert found.known.as_of == usual.known.as_of == day(DAYS)
    assert found.known.scales == usual.known.scales
    assert found.known.window == usual.known.window
    both = sorted(usual.interest.keys() & found.interest.keys())
    assert adjusted_rand_score([usual.interest[i] for i in both], [found.interest[i] for i in both]) > 0.95
    assert len(found.moves & usual.moves) >= 5


def test_events_after_the_end_are_told_and_can_be_asked_for(tmp_path: Path) -> None:
    said: list[str] = []

    class Heard:
        def say(self, text: str) -> None:
            said.append(text)

        def progress(self, name: str) -> Callable[[int, int], None]:
            return lambda done, of: None

    from freshet.wiring import open_workspace

    write(tmp_path / "ws", [*LOG, *ABSURD["tomorrow"]])
    ws = open_workspace(tmp_path / "ws", Heard())
    operations.form_interests(ws)
    assert any("--as-of 2022-05-01 takes them" in text for text in said)
    assert inspect.status(ws, NOW.date()).log.last == "2022-04-30"
    _, known = operations.form_interests(ws, AsOf.parse("2022-05-01"))
    assert str(known.as_of) == "2022-05-01"
    _, known = operations.form_interests(ws, AsOf.parse("2022-06-01"))
    assert str(known.as_of) == "2022-05-01"


def test_an_hour_of_a_bot_makes_no_slow_log_a_fast_one() -> None:
    slow = [(FIRST.date() + timedelta(days=n), 2) for n in range(300)]
    assert measure(slow).events_per_day == 2
    slow[200] = (slow[200][0], 100_000)
    assert measure(slow).events_per_day == pytest.approx(2 + 2 * (BURST - 1) / 300)
