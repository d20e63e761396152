"""What every planner promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from freshet.core.errors import PlannerError
from freshet.core.ports import Abilities, Planner
from freshet.core.types import Prompt, Ranking, Usage

NOISE = 1e-4
"""Scores may differ so much between calls and batches: sums of floats in another order."""


def check_planner(planner: Planner, prompts: Sequence[Prompt], interests: int) -> None:
    """Run a planner through its port's contract.

    Args:
        planner: the backend under test.
        prompts: at least two, of different lengths if wording matters to the planner.
        interests: N, how many interests the planner ranks.

    Raises:
        AssertionError: a promise is broken; the message says which and where.
    """
    assert len(prompts) >= 2, "give check_planner at least two prompts"
    assert planner.version, "`version` is empty; fingerprints need an identity"
    assert planner.version == planner.version, "`version` changes between calls"
    whole = planner.rank(prompts, interests)
    _check_form(whole, len(prompts), interests, interests)
    _check_determinism(planner, prompts, whole, interests)
    _check_rows(planner, prompts, whole, interests)
    _check_top(planner, prompts, whole, interests)
    _check_empty(planner, interests)
    _check_size(planner, prompts)
    _check_abilities(planner, prompts)
    if planner.abilities.options:
        _check_options(planner, prompts, interests)


def _check_form(ranking: Ranking, rows: int, top: int, interests: int) -> None:
    """Shapes, types, order, ids, repeats and mass of every row."""
    found, logp = ranking.successors, ranking.logp
    failed = [row for row, _ in ranking.failures]
    assert all(0 <= row < rows for row in failed), f"failures of rows {failed}, of which there are {rows}"
    assert all(reason for _, reason in ranking.failures), "a failure without a reason"
    assert (found[failed] == -1).all(), "a row has failed and has an answer"
    width = found.shape[1] if found.ndim == 2 else -1
    assert found.shape == (rows, width), f"successors {found.shape}: expected ({rows}, m)"
    assert width <= top, f"{width} successors per row though {top} were asked for"
    assert logp.shape == found.shape, f"logp {logp.shape} is not shaped like successors {found.shape}"
    assert found.dtype == np.int16, f"successors are {found.dtype}, expected int16"
    assert logp.dtype == np.float32, f"logp is {logp.dtype}, expected float32"
    for row, (ids, scores) in enumerate(zip(found, logp, strict=True)):
        real = ids[ids >= 0]
        where = f"row {row}"
        assert (ids >= -1).all(), f"{where}: an id below -1"
        assert (real < interests).all(), f"{where}: id {real.max()} of {interests} interests"
        assert (ids[: len(real)] >= 0).all(), f"{where}: -1 before the end of the row"
        assert len(set(real.tolist())) == len(real), f"{where}: an interest appears twice"
        assert not np.isnan(scores).any(), f"{where}: a score is not a number"
        assert np.isneginf(scores[len(real) :]).all(), f"{where}: padding (-1) must score -inf"
        assert np.isfinite(scores[: len(real)]).all(), f"{where}: a found interest scores -inf"
        assert (scores[: len(real)] <= 0).all(), f"{where}: a log-probability above 0"
        assert (np.diff(scores[: len(real)]) <= 0).all(), f"{where}: not ordered best first"
        mass = float(np.exp(scores.astype(np.float64)).sum())
        assert mass <= 1 + NOISE, f"{where}: the probabilities sum to {mass:.6f}, above 1"


def _check_determinism(planner: Planner, prompts: Sequence[Prompt], first: Ranking, top: int) -> None:
    """The same call gives the same answer; servers add up numbers in the order in which requests come."""
    again = planner.rank(prompts, top)
    for row in range(len(prompts)):
        _same_row(again, row, first, row, f"the same call gave another answer: row {row}")


def _check_rows(planner: Planner, prompts: Sequence[Prompt], whole: Ranking, top: int) -> None:
    """A row does not depend on the other prompts of the call."""
    for row, prompt in enumerate(prompts):
        alone = planner.rank([prompt], top)
        _same_row(alone, 0, whole, row, f"row {row} alone")
    order = np.random.default_rng(0).permutation(len(prompts))
    mixed = planner.rank([prompts[i] for i in order], top)
    for place, row in enumerate(order):
        _same_row(mixed, place, whole, int(row), f"row {row} in another order")


def _check_top(planner: Planner, prompts: Sequence[Prompt], whole: Ranking, interests: int) -> None:
    """A smaller top is the head of a larger one; a larger top than N adds nothing."""
    for top in {1, max(1, interests // 2)}:
        less = planner.rank(prompts, top)
        _check_form(less, len(prompts), top, interests)
        for row in range(len(prompts)):
            _same_row(less, row, whole, row, f"row {row} with top={top}", top)
    more = planner.rank(prompts, interests + 3)
    _check_form(more, len(prompts), interests + 3, interests)


def _check_options(planner: Planner, prompts: Sequence[Prompt], interests: int) -> None:
    """A prompt with options is answered with these alone, in whatever order they are listed."""
    few = list(range(interests))[-3:][::-1]
    asked = [replace(prompt, options=tuple(few)) for prompt in prompts]
    ranking = planner.rank(asked, interests)
    _check_form(ranking, len(asked), interests, interests)
    for row, ids in enumerate(ranking.successors.tolist()):
        strange = sorted({one for one in ids if one >= 0} - set(few))
        assert not strange, f"row {row}: {strange[0]} is none of the options {few}"


def _check_empty(planner: Planner, top: int) -> None:
    assert len(planner.rank([], top)) == 0, "ranking no prompts must give no rows"


def _check_size(planner: Planner, prompts: Sequence[Prompt]) -> None:
    assert planner.size([]) == Usage(), "size() of no prompts must be nothing"
    size = planner.size(prompts)
    assert size.tokens >= 0, "size(): negative tokens"
    assert size.flops >= 0, "size(): negative FLOPs"


def _check_abilities(planner: Planner, prompts: Sequence[Prompt]) -> None:
    """It does what its abilities say, and refuses what they don't."""
    able = planner.abilities
    assert isinstance(able, Abilities), f"`abilities` is {able!r}, expected ports.Abilities"
    assert able == planner.abilities, "`abilities` changes between calls"
    assert isinstance(planner.note, str), "`note` is no text; '' where there is nothing to say"
    assert planner.holdout_model.version, "`holdout_model` has no version; a planner without one is its own"
    if able.generates:
        texts = planner.generate(prompts)
        assert isinstance(texts, list), "generate(): expected a list of texts"
        assert len(texts) == len(prompts), f"generate(): {len(texts)} texts for {len(prompts)} prompts"
        assert all(isinstance(text, str) for text in texts), "generate(): something else than text"
        assert planner.generate(prompts) == texts, "generate(): the same call wrote another text"
        assert planner.generate([]) == [], "generate() of no prompts must be no texts"
    else:
        _check_refusal(planner.generate, prompts, "generate()")
    if able.labels:
        mass = planner.label_mass(prompts)
        assert mass.shape == (len(prompts),), f"label_mass() {mass.shape}: expected ({len(prompts)},)"
        assert ((mass >= 0) & (mass <= 1)).all(), "label_mass(): a share outside 0 to 1"
        for row, prompt in enumerate(prompts):
            alone = abs(float(planner.label_mass([prompt])[0]) - float(mass[row]))
            assert alone <= NOISE, f"label_mass(): row {row} alone differs by {alone:.2e}"
        assert planner.label_mass([]).shape == (0,), "label_mass() of no prompts must be empty"
    else:
        _check_refusal(planner.label_mass, prompts, "label_mass()")


def _check_refusal(ask: Callable[[Sequence[Prompt]], object], prompts: Sequence[Prompt], what: str) -> None:
    try:
        ask(prompts)
    except PlannerError:
        return
    raise AssertionError(
        f"{what} answers though `abilities` say that it can't: say so, or raise PlannerError"
    )


def _same_row(one: Ranking, i: int, other: Ranking, j: int, where: str, top: int | None = None) -> None:
    """Rows agree: the same score for every interest, within noise (near ties may swap)."""
    a = _scores(one, i)
    b = dict(list(_scores(other, j).items())[:top])
    assert len(a) == len(b), f"{where}: {len(a)} successors instead of {len(b)}"
    worst = max((abs(x - y) for x, y in zip(a.values(), b.values(), strict=True)), default=0.0)
    assert worst <= NOISE, f"{where}: scores differ by {worst:.2e}"
    full = _scores(other, j)
    for interest, score in a.items():
        assert interest in full, f"{where}: interest {interest} was not in the batch's row"
        difference = abs(score - full[interest])
        assert difference <= NOISE, f"{where}: interest {interest} differs by {difference:.2e}"


def _scores(ranking: Ranking, row: int) -> dict[int, float]:
    """Interest -> log-probability of one row, in order of rank."""
    pairs = zip(ranking.successors[row].tolist(), ranking.logp[row].tolist(), strict=True)
    return {interest: score for interest, score in pairs if interest >= 0}
