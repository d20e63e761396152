"""`freshet ranker` on a small world: its document, its words, its release."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import FIRST, answered, called

pytest.importorskip("torch")
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


@pytest.fixture(scope="session")
def ranked(shop: Path, place: Path) -> tuple[Path, dict]:
    """A copy of the shop, and what the command answered on it."""
    root = Path(shutil.copytree(shop, place / "ranked"))
    settings = root / "freshet.toml"
    told = re.sub(r"\[ranker\][^\[]*", "", settings.read_text())
    settings.write_text(f"{told}\n[ranker]\nuse = true\nmax_steps = 60\n")
    return root, answered("ranker", "-w", root)


def test_it_tells_what_it_is_worth_and_releases(ranked: tuple[Path, dict]) -> None:
    root, found = ranked
    assert found["release"] == answered("status", "-w", root)["release"]["number"]
    judged = found["judged"]
    assert judged["transitions"] >= judged["users"] > 0
    for measure in ("hit@10", "ndcg@10"):
        assert set(judged[measure]) == {"ranker", "popularity", "difference"}
    documented = set(re.findall(r"`([\w@]+)`", DOCS.read_text(encoding="utf-8")))
    assert {"release", *judged, *judged["hit@10"], "value", "low", "high"} <= documented


def test_again_it_trains_nothing_and_tells_the_same_in_words(ranked: tuple[Path, dict]) -> None:
    root, found = ranked
    again = answered("ranker", "-w", root)
    assert again["judged"] == found["judged"]
    assert all(step["cached"] for step in again["run"]["steps"] if step["artifact"])
    said = called("ranker", "-w", root).stdout
    assert "hit@10" in said
    assert "popularity in the interest" in said


def test_of_the_past_it_leaves_the_release_alone(ranked: tuple[Path, dict]) -> None:
    root, found = ranked
    assert answered("ranker", "-w", root, "--as-of", FIRST)["release"] is None
    assert answered("status", "-w", root)["release"]["number"] == found["release"]
