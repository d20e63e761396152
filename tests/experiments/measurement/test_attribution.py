"""Which answer an outcome belongs to: the one it names, if it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freshet import pipeline
from freshet.core.types import Experiment
from freshet.experiments.measurement.attribution import REASONS, TOLERANCE
from freshet.experiments.measurement.comparison import compare
from freshet.experiments.measurement.experiment_metrics import named
from freshet.experiments.measurement.measure import Measurement, measure
from freshet.report.experiment_page import experiment_document
from freshet.report.experiment_summary import sentences
from freshet.storage.workspace import Workspace
from tests.experiments import showing
from tests.experiments.exposed import (
    DAY,
    START,
    event,
    experiment,
    import_events,
    shown,
    workspace,
    write_impressions,
)
from tests.pipeline.world import FIRST, copied

ITEMS = [f"i{n}" for n in range(9)]
SECOND = 1 / 86_400
HONEST = [("a", "control", 0), ("b", "treatment", 2), ("c", "control", 1), ("d", "treatment", 3)]


def answers() -> list[dict[str, Any]]:
    """One answer to each of four users, a tenth of a day after the start; and some that are no part of it."""
    row = {"items": ITEMS}
    return [
        *(shown(user, arm, 0.1, id=f"of {user}", **row) for user, arm, _ in HONEST),
        shown("a", "", 0.1, name="", id="outside", **row),
        shown("a", "control", 0.1, name="another", id="another", **row),
        shown("a", "control", -0.2, id="before the start", **row),
        shown("", "control", 0.1, id="of nobody", **row),
        shown("m", "control", 0.1, id="mixed", **row),
        shown("m", "treatment", 0.2, id="mixed too", **row),
    ]


def honest() -> list[dict[str, Any]]:
    """Satisfied outcomes, and one that is none of each user, as soon as the answer was shown."""
    recorded = []
    for user, _, satisfied in HONEST:
        names = {"impression": f"of {user}"}
        recorded += [event(user, 0.11, 9, item=ITEMS[n], **names) for n in range(satisfied)]
        recorded.append(event(user, 0.12, 3, item="i8", **names))
    return recorded


def measured(ws: Workspace, one: Experiment | None = None) -> Measurement:
    return measure(ws, one or experiment(), named(ws.config, ("satisfied", "satisfaction")))


def sums(found: Measurement) -> list[list[float]]:
    """For each metric and arm what users add up to, numerator and denominator."""
    end = [found.moments[name][-1].cumulative for name in ("satisfied", "satisfaction")]
    return [[*(arm.n * arm.mean[:2])] for arms in end for arm in arms]


def of(
    tmp_path: Path, more: Sequence[dict[str, Any]], one: Experiment | None = None, extra: str = ""
) -> Measurement:
    ws = workspace(tmp_path, extra)
    write_impressions(ws.root, answers())
    import_events(ws, [*honest(), *more])
    return measured(ws, one)


def left_out(found: Measurement) -> dict[str, int]:
    assert found.attribution is not None
    return {why: events for why, events in found.attribution.left_out.items() if events}


def test_honest_outcomes_count_for_the_answer_they_name(tmp_path: Path) -> None:
    found = of(tmp_path, [])
    assert left_out(found) == {}
    assert found.attribution is not None
    assert found.attribution.counted == 10
    assert sums(found) == [[1, 2], [5, 2], [1, 3], [5, 7]]


MISFIT: dict[str, list[dict[str, Any]]] = {
    "unknown": [event("b", 0.2, 9, "never shown", item="i5"), event("b", 0.2, 9, "' OR 1=1 --", item="i6")],
    "elsewhere": [
        event("a", 0.2 + n / 100, 9, id) for n, id in enumerate(("outside", "another", "before the start"))
    ],
    "another_user": [event("b", 0.25, 9, "of a", item="i5"), event("stranger", 0.25, 9, "of a", item="i5")],
    "two_arms": [
        event("m", 0.3, 9, "mixed"),
        event("m", 0.4, 9, "mixed too"),
        event("b", 0.3, 9, "of nobody"),
    ],
    "before_shown": [
        event("b", 0.1 - (TOLERANCE + 5) * SECOND, 9, "of b", item="i5"),
        event("b", -400, 9, "of b"),
    ],
    "late": [event("b", 0.1 + 7 + SECOND, 9, "of b", item="i5"), event("b", 40, 9, "of b", item="i6")],
    "not_shown": [event("b", 0.2, 9, "of b", item="elsewhere"), event("b", 0.2, 9, "of b", item="I5")],
    "repeated": [event("b", 0.2 + n / 1e4, 9, "of b", item="i0") for n in range(500)],
}


@pytest.mark.parametrize("why", MISFIT)
def test_what_does_not_fit_moves_nothing_and_is_counted(tmp_path: Path, why: str) -> None:
    clean = of(tmp_path / "clean", [])
    found = of(tmp_path / "other", MISFIT[why])
    assert sums(found) == sums(clean)
    assert left_out(found) == {why: len(MISFIT[why])}


def test_an_outcome_of_an_ended_experiment_is_left_out(tmp_path: Path) -> None:
    recorded = [event("b", 0.4, 9, "of b", item="i5"), event("b", 3, 9, "of b", item="i6")]
    found = of(tmp_path, recorded, experiment(stop=START + DAY // 4, reason="enough"))
    assert left_out(found) == {"after_stop": 2}
    assert sums(found)[:2] == [[1, 2], [5, 2]]


def test_every_reason_has_words(tmp_path: Path) -> None:
    found = of(tmp_path, [row for rows in MISFIT.values() for row in rows])
    assert found.attribution is not None
    assert set(left_out(found)) == set(REASONS) - {"after_stop"}
    ws = workspace(tmp_path / "told")
    document = experiment_document(ws, found, compare(found))
    assert document["outcomes"]["counted"] == 10
    [line] = [line for line in sentences(document) if line.startswith("Of events that name an answer")]
    assert "10 count and 513 are left out" in line
    assert "2 are of another user than the answer" in line
    assert "500 repeat an outcome" in line
    assert "outside" not in line


def test_a_clock_that_lags_or_runs_ahead_a_little_counts_at_the_time_of_the_answer(tmp_path: Path) -> None:
    recorded = [
        event("b", 0.1 - (TOLERANCE - 5) * SECOND, 9, "of b", item="i5"),
        event("b", 0.9, 9, "of b", item="i6"),  # the day after, by the client's clock
    ]
    found = of(tmp_path, recorded)
    assert left_out(found) == {}
    assert sums(found)[1] == [7, 2]
    first = found.moments["satisfied"][0].cumulative[1]
    assert first.n * first.mean[0] == 7


def test_hours_are_those_of_the_start(tmp_path: Path) -> None:
    extra = "[experiments]\nattribution_hours = 2\n"
    recorded = [event("b", 0.1 + hours / 24, 9, "of b", item=f"i{hours + 3}") for hours in (1, 3)]
    assert left_out(of(tmp_path / "a", recorded, extra=extra)) == {"late": 1}
    from freshet.experiments.measurement.frozen_rules import rules_of

    ws = workspace(tmp_path / "b")
    before = replace(experiment(), rules=rules_of(ws.config))
    assert left_out(of(tmp_path / "c", recorded, before, extra)) == {}


def test_a_flood_by_one_user_of_all_ids_moves_no_effect(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ids = [row["id"] for row in answers()]
    flood = [
        event("attacker", rng.uniform(0.1, 1), 9, str(rng.choice(ids)), item=str(rng.choice(ITEMS)))
        for _ in range(2_000)
    ]
    clean, found = of(tmp_path / "clean", []), of(tmp_path / "flood", flood)
    assert sums(found) == sums(clean)
    assert sum(left_out(found).values()) == len(flood)


def test_metrics_that_ask_for_no_answer_count_all_events_by_their_own_user(tmp_path: Path) -> None:
    extra = '[[experiments.metrics]]\nname = "active"\ncounts = ""\nattributed = false\n'
    ws = workspace(tmp_path, extra)
    write_impressions(ws.root, answers())
    import_events(ws, [event("b", 0.2, 9, ""), event("b", 0.3, 9, "of a")])
    found = measure(ws, experiment(), named(ws.config, ("active",)))
    assert found.attribution is None
    arm = found.moments["active"][-1].cumulative[1]
    assert arm.n * arm.mean[0] == 2


def test_an_answer_without_items_showed_its_interests(counted: Workspace, tmp_path: Path) -> None:
    ws = copied(counted, tmp_path / "ws")
    pipeline.refresh(ws, FIRST, publish=True)
    release = ws.releases.current()
    assert release is not None
    from freshet.stages import interests

    _, items = showing.assigned(ws, interests.load(ws.root / "interests" / release.interests))
    a, b = showing.by_interest(items, 3)[:2]
    rows = [
        shown("b", "treatment", 0.1, id="of b", interest=a),
        shown("a", "control", 0.1, id="of a", interest=a),
    ]
    write_impressions(ws.root, rows)
    recorded = [
        event("b", 0.2 + n / 100, 9, "of b", item=item)
        for n, item in enumerate((*items[a][:3], items[b][0], "no item"))
    ]
    import_events(ws, recorded)
    found = measured(ws)
    # three items of the interest are one thing shown
    assert left_out(found) == {"not_shown": 2, "repeated": 2}
    assert found.attribution is not None
    assert found.attribution.counted == 1
