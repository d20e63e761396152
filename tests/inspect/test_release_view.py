"""What is said of the weights behind a release."""

from __future__ import annotations

from typing import Any

import pytest

from freshet.core.errors import ArtifactError
from freshet.inspect import Drives


def stored(fused: list[str], planner_low: float = 0.1, margin: bool = False) -> dict[str, Any]:
    """A `mixture.json` whose planner has a weight of 0.4."""
    weight = {"weight": 0.4, "low": planner_low, "high": 0.6}
    found = {
        "features": ["recent"],
        "counts": {"recent": weight},
        "fused": dict.fromkeys(("counts", *fused), weight) if fused else None,
        "planner": weight,
        "planner_held_out": [900, 80],
        "counts_win": planner_low <= 0,
        "held_out": 1000,
        "held_out_users": 90,
    }
    if margin:
        found |= {"sequence": weight, "planner_margin": {"nll": -0.0123, "low": -0.02, "high": -0.004}}
    return found


@pytest.mark.parametrize("wrong", [{"unfounded": 1.0}, {"features": None}, {"counts": {}}, {"held_out": "x"}])
def test_weights_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=r"mixture\.json of a table does not hold what it should"):
        Drives.of(stored(["planner"]) | wrong)


@pytest.mark.parametrize(
    ("fused", "named"),
    [([], []), (["planner"], ["planner"]), (["sequence"], ["sequence"]), (["planner", "sequence"],) * 2],
)
def test_what_is_fused_is_named_beside_the_counts(fused: list[str], named: list[str]) -> None:
    drives = Drives.of(stored(fused))
    assert [drive.name for drive in drives.features] == ["recent", *named]
    assert drives.fused == ("planner" in fused)


def test_the_planner_is_judged_on_top_of_the_sequence_model() -> None:
    verdict = Drives.of(stored(["planner", "sequence"], margin=True)).verdict
    assert verdict.startswith("the planner adds to counts and sequence model: its weight is 0.40")
    assert verdict.endswith("it changes the loss by -0.0123 nats (-0.0200 to -0.0040)")
    verdict = Drives.of(stored(["sequence"], planner_low=-0.1, margin=True)).verdict
    assert verdict.startswith("counts and sequence model win here: the planner's weight (0.40")


def test_without_a_sequence_model_it_is_judged_on_top_of_counts() -> None:
    assert Drives.of(stored(["planner"])).verdict == (
        "the planner adds to the counts: its weight is 0.40, 95 % interval 0.10 to 0.60 "
        "on 900 held-out transitions of 80 users"
    )


def test_a_planner_that_loses_where_it_was_not_weighed_is_not_said_to_have_no_weight() -> None:
    told = stored([])
    told |= {"counts_win": True, "planner_margin": {"nll": 0.01, "low": 0.002, "high": 0.02}}
    verdict = Drives.of(told).verdict
    assert verdict.startswith("counts win here")
    assert "not above zero" not in verdict
    assert "worse" in verdict


@pytest.mark.parametrize(
    ("fused", "margin", "told"),
    [
        (["text_items"], (-0.02, -0.03, -0.01), "content adds to the counts: it changes the loss by -0.0200"),
        (["sequence", "text_items"], (-0.01, -0.03, 0.01), "content stays in use, though it is not shown to"),
        (
            ["sequence"],
            (0.02, 0.01, 0.03),
            "content is left out: beside counts and sequence model it changes",
        ),
        (["planner"], (-0.02, -0.03, -0.01), "content is left out, as all but the planner is"),
    ],
)
def test_what_content_does_is_said_by_whether_it_is_used(
    fused: list[str], margin: tuple[float, float, float], told: str
) -> None:
    found = stored(fused) | {"content_margin": dict(zip(("nll", "low", "high"), margin, strict=True))}
    assert Drives.of(found).content.startswith(told)
