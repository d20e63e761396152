"""The planners without a model keep the same contract, and importing any planner is cheap."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from freshet.backends.planners import extras
from freshet.backends.planners.counts import CountsPlanner
from freshet.backends.planners.fake import FakePlanner
from freshet.checks import check_planner
from freshet.core.errors import MissingExtra, PlannerError
from tests.backends.planners import worlds

PROMPTS = worlds.prompts("description", 9)


def rows(contexts) -> np.ndarray:
    """Smoothed counts of the planted rule, a whole interest ruled out."""
    result = np.full((len(contexts), worlds.N), 0.1)
    for row, context in zip(result, contexts, strict=True):
        row[worlds.rule(context)] += 3
        row[4] = 0
    with np.errstate(divide="ignore"):
        return np.log(result / result.sum(axis=1, keepdims=True))


def test_fake_keeps_the_contract_and_follows_its_seed() -> None:
    planner = FakePlanner(worlds.N, seed=3)
    check_planner(planner, PROMPTS, worlds.N)
    other = FakePlanner(worlds.N, seed=4)
    assert other.version != planner.version
    assert (other.rank(PROMPTS, 5).successors != planner.rank(PROMPTS, 5).successors).any()


def test_fake_follows_the_wording() -> None:
    from freshet.core.types import Prompt

    planner = FakePlanner(worlds.N)
    one, two = planner.rank([Prompt((1,), "a"), Prompt((1,), "b")], worlds.N).logp
    assert not np.array_equal(one, two)


def test_counts_keep_the_contract_and_answer_with_the_rows() -> None:
    planner = CountsPlanner(rows, version="v1")
    check_planner(planner, PROMPTS, worlds.N)
    ranking = planner.rank(PROMPTS, worlds.N)
    top = [worlds.rule(prompt.context) for prompt in PROMPTS]
    expected = [max(i, 0) if i != 4 else 0 for i in top]
    assert ranking.successors[:, 0].tolist() == expected
    assert (ranking.successors[:, -1] == -1).all()  # the interest without probability
    assert planner.version == "v1"


def test_counts_of_the_wrong_shape_are_an_error() -> None:
    with pytest.raises(PlannerError, match="shape"):
        CountsPlanner(lambda contexts: np.zeros((1, 3))).rank(PROMPTS, 2)
    with pytest.raises(PlannerError, match="not numbers"):
        CountsPlanner(lambda contexts: rows(contexts) * np.nan).rank(PROMPTS, 2)


def test_a_missing_package_names_the_install_line() -> None:
    with pytest.raises(MissingExtra) as caught:
        extras.need_local("a_package_that_is_not_there")
    assert 'pip install "freshet[local]"' in caught.value.hint


def test_importing_planners_does_not_import_torch() -> None:
    modules = "local, scratch, lora, counts, fake, training, folder, wording"
    code = (
        f"import sys; from freshet.backends.planners import {modules}; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'trl', 'peft')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
