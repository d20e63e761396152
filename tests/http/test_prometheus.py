"""What is counted of answers."""

from __future__ import annotations

from freshet.core.types import Answer
from freshet.http.prometheus import Metrics


def test_answers_without_a_history_that_could_not_be_read_are_counted() -> None:
    metrics = Metrics()
    for degraded in (True, False, True):
        metrics.count_answer(Answer("a", 1, (), (), "popular", False, (), degraded, "", ""))
    assert "freshet_degraded_total 2.0" in metrics.text().decode()
