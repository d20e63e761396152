"""A stored report of the gates that holds something else is named."""

from __future__ import annotations

from typing import Any

import pytest

from freshet.core.errors import ArtifactError
from freshet.stages.tuning import gates_of

GATE = {"value": 0.5, "threshold": 0.1, "passed": True}


def test_gates_are_read_form_first() -> None:
    assert [gate.name for gate in gates_of({"gates": {"recall": GATE, "label_mass": GATE}})] == [
        "label_mass",
        "recall",
    ]


@pytest.mark.parametrize(
    "report",
    [{}, {"gates": []}, {"gates": {"recall": []}}, {"gates": {"unheard_of": GATE}}, {"gates": {"recall": GATE | {"low": []}}},
     {"gates": {"recall": {"value": 0.5}}}],
)  # fmt: skip
def test_other_reports_are_named(report: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="report of the gates"):
        gates_of(report)
