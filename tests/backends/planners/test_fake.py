"""The planner without a model keeps the same contract, and importing any planner is cheap."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from freshet.backends.planners.fake import FakePlanner, ranking_of
from freshet.backends.planners.libraries import need_local
from freshet.checks import check_planner
from freshet.core.errors import MissingExtra
from tests.backends.planners import worlds

PROMPTS = worlds.prompts("description", 9)


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


def test_the_largest_scores_are_ranked_and_what_is_impossible_is_no_answer() -> None:
    with np.errstate(divide="ignore"):
        logp = np.log([[0.25, 0.0, 0.5, 0.25], [0.0, 0.0, 0.0, 1.0]])
    ranking = ranking_of(logp, 3)
    assert ranking.successors.tolist() == [[2, 0, 3], [3, -1, -1]]  # ties in the order of interests
    np.testing.assert_allclose(np.exp(ranking.logp), [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    assert ranking_of(logp, 9).successors.shape == (2, 4)


def test_a_missing_package_names_the_install_line() -> None:
    with pytest.raises(MissingExtra) as caught:
        need_local("a_package_that_is_not_there")
    assert 'pip install "freshet[local]"' in caught.value.hint


def test_importing_planners_does_not_import_torch() -> None:
    modules = "local_planner, scratch, lora, fake, fine_tuning, model_folder, tokenisation"
    code = (
        f"import sys; from freshet.backends.planners import {modules}; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'trl', 'peft')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
