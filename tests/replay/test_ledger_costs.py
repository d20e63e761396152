"""Whose cost is whose, also after a kill."""

from __future__ import annotations

from freshet.replay.ledger_costs import CostBook
from freshet.storage.ledger import Record, StepRecord


def record(outcome: str, *steps: StepRecord) -> Record:
    return Record("1", "replay", "", "", outcome=outcome, steps=list(steps))


def test_a_table_bears_the_steps_that_led_to_it() -> None:
    one = [StepRecord("inference", tokens=5), StepRecord("table", "tables/a", seconds=1.0)]
    two = [StepRecord("evidence", seconds=2.0), StepRecord("table", "tables/b", seconds=3.0)]
    book = CostBook.of([record("done", StepRecord("tuning", "models/m", tokens=9), *one, *two)])
    assert sum(step.tokens for step in book.of_artifact("tables/a")) == 5
    assert sum(step.seconds for step in book.of_artifact("tables/b")) == 5.0
    assert [step.tokens for step in book.of_artifact("models/m")] == [9]
    assert book.cost_of_refresh("b", lambda seconds, tokens: 2 * seconds + tokens) == 10.0
    assert book.of_artifact("tables/unknown") == []


def test_a_table_that_was_there_is_paid_once() -> None:
    made = record("done", StepRecord("inference", tokens=7), StepRecord("table", "tables/a"))
    again = record("done", StepRecord("table", "tables/a", cached=True))
    assert sum(step.tokens for step in CostBook.of([made, again]).of_artifact("tables/a")) == 7


def test_who_shares_what_was_weighed_bears_it_whole() -> None:
    first = [StepRecord("mixture", seconds=4.0), StepRecord("table", "tables/a", seconds=1.0)]
    shared = StepRecord("mixture", seconds=0.5, details={"shared_seconds": 3.5})
    book = CostBook.of([record("done", *first, shared, StepRecord("table", "tables/b", seconds=1.0))])
    for table in ("a", "b"):
        assert book.cost_of_refresh(table, lambda seconds, _: seconds) == 5.0
    assert shared.seconds == 0.5  # the ledger holds what was measured
