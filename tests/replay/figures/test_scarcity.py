"""The scarcity curve in figures and words, on worlds in which each verdict is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from freshet.core.errors import ArtifactError
from freshet.replay.figures import summarise
from freshet.replay.figures.scarcity import Share, scarcity
from tests.replay.synthetic import frames

LOG: dict[str, Any] = {"interests": 40}
WORLD: dict[str, Any] = {"transitions": 8000, "users": 1500}
SAME = {"counts": 0.3, "content": 0.3, "popularity": 0.3}
USERS = {1: 320, 10: 3200, 30: 9600, 100: 32_000}


def curve(
    skills: Mapping[float, Mapping[str, float]], unfitted: Mapping[float, bool] | None = None, **more: Any
) -> dict:
    """Of shares with the given skills; the people and their transitions are the same throughout.

    Args:
        unfitted: shares at which nothing could be fitted, and whether that was so at all five origins.
    """
    unfitted = unfitted or {}
    shares = [
        Share(
            percent,
            frames(skill, **(WORLD | more)).judged,
            USERS[int(percent)],
            10 * USERS[int(percent)],
            "nothing could be fitted" if percent in unfitted else "",
            5,
            (5 if unfitted[percent] else 2) if percent in unfitted else 0,
        )
        for percent, skill in skills.items()
    ]
    return scarcity(shares, LOG, sorted, draws=300)


def said(found: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["text"] for one in found["sources"]}


@pytest.fixture(scope="module")
def fading() -> dict[str, Any]:
    """Content pays where little is known, and no longer where much is; it hurts in between."""
    return curve(
        {
            1: SAME | {"content": 0.35},
            10: SAME | {"content": 0.36},
            30: SAME | {"content": 0.25},
            100: SAME,
        }
    )


def test_every_share_has_its_figures(fading: dict[str, Any]) -> None:
    assert list(fading["shares"]) == ["1", "10", "30", "100"]
    for percent, found in fading["shares"].items():
        assert found["learned"] == {
            "users": USERS[int(percent)],
            "transitions": 10 * USERS[int(percent)],
            "unfitted": "",
            "origins": 5,
            "unfitted_origins": 0,
            "untrained": [],
        }
        for arm in SAME:
            for figure in ("hit_at_5", "nll"):
                low, high = found[arm][figure]["ci95"]
                assert low < found[arm][figure]["value"] < high
        difference = found["differences"]["content_vs_counts"]["hit_at_5"]["value"]
        assert difference == pytest.approx(
            found["content"]["hit_at_5"]["value"] - found["counts"]["hit_at_5"]["value"]
        )


def test_a_share_s_figures_are_those_of_a_replay(fading: dict[str, Any]) -> None:
    whole = frames(SAME, **WORLD)
    document = summarise(whole.judged, whole.states, whole.costs, whole.log, draws=300)
    for arm in SAME:
        for figure in ("hit_at_5", "nll"):
            told = document["arms"][arm][figure]
            assert fading["shares"]["100"][arm][figure]["value"] == pytest.approx(told["value"])
            assert fading["shares"]["100"][arm][figure]["ci95"] == pytest.approx(told["ci95"])


def test_the_answer_says_at_which_size_a_source_pays_hurts_or_does_nothing(fading: dict[str, Any]) -> None:
    text = said(fading)["content"]
    first, second, third = text.split("; ")
    assert first.startswith("Content on top of counts: learned from 320 to 3,200 users it is worth +")
    assert first.endswith(" points of hit@5")
    assert second.startswith("learned from about 9,600 users it costs −")
    assert third == "learned from about 32,000 users nothing that it adds can be shown."
    shown = {percent: line["shown"]["hit_at_5"] for percent, line in fading["sources"][1]["at"].items()}
    assert shown == {"1": "better", "10": "better", "30": "worse", "100": ""}
    assert "The same 8,000 transitions of " in fading["text"]
    assert "with interests formed on everybody" in fading["text"]
    assert "(Bonferroni, 16 differences)" in fading["text"]


def test_probabilities_alone_are_said_to_be_better() -> None:
    found = curve({10: SAME, 100: SAME}, cold={"content": 0.5})
    text = said(found)["content"]
    assert "at every size tried (3,200 to 32,000 users) probabilities are better (−0.09" in text
    assert text.endswith("and no difference in hits can be shown.")


def test_where_hits_and_probabilities_disagree_both_are_said() -> None:
    found = curve({100: SAME | {"content": 0.38}}, cold={"content": -3.0})
    text = said(found)["content"]
    assert text.startswith("Content on top of counts: learned from about 32,000 users it is worth +")
    assert text.endswith(" of hit@5, though probabilities are worse.")


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_claimed_where_all_is_noise(seed: int) -> None:
    found = curve({1: SAME, 10: SAME, 100: SAME}, seed=seed, transitions=3000)
    nothing = "at every size tried (320 to 32,000 users) nothing that it adds can be shown."
    assert said(found) == {
        "counts": f"What follows what on top of popularity: {nothing}",
        "content": f"Content on top of counts: {nothing}",
    }


def test_where_nothing_could_be_fitted_popularity_is_all_there_is() -> None:
    found = curve({1: SAME | {"counts": 0.4}, 10: SAME, 100: SAME | {"counts": 0.4}}, unfitted={1: True})
    assert said(found)["counts"].startswith(
        "What follows what on top of popularity: learned from about 320 users nothing can be fitted, so "
        "popularity is all there is; learned from about 3,200 users nothing that it adds can be shown; "
    )
    assert found["text"].endswith(
        "(Bonferroni, 8 differences). At 1\u202f% of the users, at 5 of 5 refreshes, nothing could be fitted."
    )


def test_where_something_could_be_fitted_at_times_it_is_judged_and_said() -> None:
    found = curve({1: SAME | {"counts": 0.4}, 100: SAME}, unfitted={1: False})
    assert "learned from about 320 users it is worth +" in said(found)["counts"]
    assert found["text"].endswith("at 2 of 5 refreshes, nothing could be fitted.")


def test_a_source_that_can_t_be_trained_is_said_to_be_missing() -> None:
    judged = {percent: frames(SAME | {"counts-sequence": 0.3}, **WORLD).judged for percent in (1, 100)}
    shares = [Share(1, judged[1], 320, 9, untrained=["sequence"]), Share(100, judged[100], 32_000, 9)]
    found = said(scarcity(shares, LOG, sorted, draws=100))
    assert "learned from about 320 users too little is there to train it; " in found["sequence"]
    assert "too little" not in found["content"]


def test_of_few_people_nothing_is_said() -> None:
    found = curve({1: SAME, 100: SAME | {"content": 0.9}}, transitions=300, users=60)
    assert found["sources"] == []
    assert "with fewer than 100 people nothing is said of sizes" in found["text"]
    assert found["shares"]["100"]["content"]["hit_at_5"]["value"] > 0.6


def test_shares_that_judged_other_people_are_refused() -> None:
    one, other = frames(SAME, **WORLD), frames(SAME, seed=1, **WORLD)
    shares = [Share(1, one.judged, 10, 10), Share(100, other.judged, 1000, 1000)]
    with pytest.raises(ArtifactError, match="not the same 8,000") as error:
        scarcity(shares, LOG, sorted, draws=10)
    assert "--shares" in str(error.value.hint)


def test_the_document_of_a_replay_holds_the_curve_and_says_it() -> None:
    skills = {1: SAME | {"content": 0.4}, 30: SAME}
    shares = [
        Share(percent, frames(skill, **WORLD).judged, USERS[percent], 1) for percent, skill in skills.items()
    ]
    whole = frames(SAME, **WORLD)
    learned = {"percent": 30, "users": USERS[30], "transitions": 1, "unfitted": ""}
    log = {**whole.log, "learned": learned}
    document = summarise(whole.judged, whole.states, whole.costs, log, shares=shares, draws=200)
    assert list(document["shares"]) == ["1", "30"]
    told = document["recommendation"]
    assert all(source["text"] in told["text"] for source in told["shares"]["sources"])
    assert "learned from about 320 users it is worth +" in told["text"]
    assert "Arms learned from 30\u202f% of the users here (9,600)." in told["text"]
    assert told["shares"]["text"] in told["text"]
