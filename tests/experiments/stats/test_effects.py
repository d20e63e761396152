"""Effects: known answers, other people's tests, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from freshet.experiments.stats.effects import Effect, effect, ratio, students
from freshet.experiments.stats.moments import Moments

RATED = st.integers(3, 12).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, (n, 1), elements=st.integers(0, 9)),
        arrays(np.float64, (n, 1), elements=st.integers(1, 9)),
        arrays(np.float64, (n, 2), elements=st.integers(-9, 9)),
    ).map(np.hstack)
)


def people(seed: int, n: int, lift: float = 1.0) -> np.ndarray:
    """(n, 4) satisfied, rated, and the same of earlier days: what users like differs, and lasts."""
    rng = np.random.default_rng(seed)
    busy, pleased = rng.gamma(2, 2, n), 0.7 * rng.beta(4, 4, n)
    now, before = (rng.poisson(busy) for _ in range(2))
    return np.column_stack(
        [rng.binomial(now, pleased * lift), now, rng.binomial(before, pleased), before]
    ).astype(float)


def test_a_mean_per_user_is_compared_as_by_welch_where_arms_are_equal() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.exponential(1, 40), rng.exponential(1.4, 40)
    found, wanted = effect(Moments.of(a), Moments.of(b), 0.9), stats.ttest_ind(b, a, equal_var=False)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-10)
    assert found.df == pytest.approx(wanted.df, rel=1e-10)
    interval = wanted.confidence_interval(0.9)
    assert (found.absolute.low, found.absolute.high) == pytest.approx(
        (interval.low, interval.high), rel=1e-10
    )
    assert found.users == (40, 40)
    assert (found.control, found.treatment) == pytest.approx((a.mean(), b.mean()))


@pytest.mark.parametrize("swapped", [False, True])
def test_where_they_are_not_the_larger_of_two_variances_counts(swapped: bool) -> None:
    """Each arm's own spread, or the other's: what a permutation of equal arms would show."""
    rng = np.random.default_rng(1)
    pair = rng.exponential(1, 40), rng.exponential(1.4, 25)
    a, b = pair[::-1] if swapped else pair
    found, welch = effect(Moments.of(a), Moments.of(b), 0.9), stats.ttest_ind(b, a, equal_var=False)
    va, vb = a.var(ddof=1), b.var(ddof=1)
    variance = max(va / len(a) + vb / len(b), va / len(b) + vb / len(a))
    t = (b.mean() - a.mean()) / math.sqrt(variance)
    assert found.df == pytest.approx(welch.df)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), welch.df))
    assert found.z == pytest.approx(stats.norm.ppf(stats.t.cdf(t, welch.df)))
    half = stats.t.ppf(0.95, welch.df) * math.sqrt(variance)
    assert (found.absolute.low, found.absolute.high) == pytest.approx(
        (b.mean() - a.mean() - half, b.mean() - a.mean() + half)
    )
    pooled = np.concatenate([a, b]).mean()
    assert found.null == pytest.approx(variance / pooled**2)


@given(
    st.lists(st.integers(0, 9), min_size=4, max_size=30),
    st.lists(st.integers(0, 9), min_size=4, max_size=30),
    st.floats(0.2, 6),
)
def test_bounds_are_ratios_so_many_standard_errors_away(a: list[int], b: list[int], critical: float) -> None:
    """Fieller's: at a bound, |treatment - rho control| is `critical` standard errors by one of the variances
    and at least as many by none beyond it; p and interval agree."""
    found = effect(Moments.of(np.array(a, float)), Moments.of(np.array(b, float)))
    if not (found.df > 0 and found.null < math.inf):
        return
    far, (low, high) = students(critical, found.df), found.within(critical)

    def away(rho: float) -> float:
        spread = [max(0.0, one[0] + one[1] * rho + one[2] * rho**2) for one in found.variances]
        return abs(found.treatment - rho * found.control) / math.sqrt(max(spread))

    for bound in (low, high):
        if math.isfinite(bound) and bound > -1 + 1e-9:
            assert away(1 + bound) == pytest.approx(far, rel=1e-4)
            assert away(1 + bound + (1e-3 if bound == high else -1e-3) * min(1, 1 + bound)) > far * (1 - 1e-4)
    if abs(abs(found.z) - critical) > 1e-6:
        assert (low > 0 or high < 0) == (abs(found.z) > critical)


def skewed(seed: int, users: tuple[int, int], lift: float) -> list[Moments]:
    """SIMULATED: Poisson outcomes of lognormal rates of sigma 2: one user in a hundred has most of them."""
    rng = np.random.default_rng(seed)
    rates = [rng.lognormal(-2, 2, n) * (1 + lift * arm) for arm, n in enumerate(users)]
    return [Moments.of(rng.poisson(rate).astype(float)) for rate in rates]


@pytest.mark.parametrize("users", [(5000, 250), (250, 5000)])
@pytest.mark.parametrize("lift", [0.0, 0.5, -0.5])
def test_a_small_arm_with_skewed_outcomes_is_not_believed(users: tuple[int, int], lift: float) -> None:
    """By its own spread alone an interval held in 82 % of such tests: a low mean has a low variance."""
    found = [effect(*skewed(seed, users, lift)) for seed in range(300)]
    assert np.mean([one.relative.low <= lift <= one.relative.high for one in found]) > 0.94
    if not lift:
        assert np.mean([one.p < 0.05 for one in found]) < 0.06
    assert np.mean(["rough" in one.note for one in found if math.isfinite(one.relative.high)]) > 0.9


def test_a_user_who_carries_a_ratio_does_not_make_it_sure() -> None:
    """Nine tenths of the denominator are one user's, who therefore leaves next to no residual."""
    rng = np.random.default_rng(8)
    d = np.r_[900.0, np.full(50, 2.0)]
    likes = rng.binomial(d.astype(int), 0.5).astype(float)
    rows = np.column_stack([likes, d])
    alone = effect(Moments.of(rows), Moments.of(rows))
    assert alone.relative.high == math.inf
    assert "one user in control has most" in alone.note
    d[0] = 60.0
    rows = np.column_stack([np.r_[30.0, likes[1:]], d])
    residual = rows[:, 0] - rows[:, 0].sum() / d.sum() * d
    alike = d.sum() ** 2 / (d**2).sum()
    plain = residual.var(ddof=1) / 51 / d.mean() ** 2
    assert ratio(Moments.of(rows)).variance == pytest.approx(plain * ((1 - 1 / 51) / (1 - 1 / alike)) ** 2)


def test_an_arm_without_outcomes_is_not_known_for_certain() -> None:
    """Rule of nine: with none where c^2 were expected, an effect of -100 % is no more than likely."""
    some, none = Moments.of([1.0] * 40 + [0.0] * 960), Moments.of([0.0] * 1000)
    lost = effect(some, none)
    assert lost.relative.value == -1
    assert -0.95 < lost.relative.high < -0.85  # of 40 outcomes up to four could have been expected
    gained = effect(none, some)
    assert math.isnan(gained.relative.value)
    assert gained.relative.high == math.inf
    assert 5 < gained.relative.low < 15
    assert abs(gained.z) == pytest.approx(abs(lost.z))


def test_relative_effect_by_hand() -> None:
    """Means 2 and 3, variances of the means 1/2 and 1/4: Var(t/c) = 1/4 / 4 + 9 * 1/2 / 16."""
    control = Moments(9, np.array([2.0, 1]), np.diag([0.5 * 9 * 8, 0]))
    treatment = Moments(4, np.array([3.0, 1]), np.diag([0.25 * 4 * 3, 0]))
    found = effect(control, treatment)
    assert found.relative.value == pytest.approx(0.5)
    assert found.relative.variance == pytest.approx(0.25 / 4 + 9 * 0.5 / 16)
    assert found.absolute.variance == pytest.approx(0.75)
    assert found.df == pytest.approx(0.75**2 / (0.5**2 / 8 + 0.25**2 / 3))


def test_a_ratio_is_clustered_by_user() -> None:
    """Sums 6 and 12, so R = 1/2; y - R d = 1, -1, 0; variance of the mean 1/3, over (mean d)^2 = 16."""
    found = ratio(Moments.of([[3, 4], [1, 4], [2, 4]]))
    assert found.value == 0.5
    assert found.variance == pytest.approx(1 / 3 / 16)
    half = stats.t.ppf(0.975, 2) * math.sqrt(1 / 48)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_rows_of_one_user_are_not_taken_for_independent() -> None:
    """Every user's ten ratings are alike: the variance is that of users, ten times that of rows."""
    rng = np.random.default_rng(2)
    likes = rng.random(400) < 0.3
    found = ratio(Moments.of(np.column_stack([10 * likes, np.full(400, 10.0)])))
    assert found.variance == pytest.approx(likes.var(ddof=1) / 400)


def test_covariates_explain_what_they_explain() -> None:
    """One covariate and a mean: the variance falls by the squared correlation within arms."""
    rng = np.random.default_rng(3)
    x = rng.normal(5, 2, (2, 3000))
    y = 10 + 3 * x + rng.normal(0, 6, (2, 3000))  # rho^2 = 1/2
    arms = [Moments.of(np.column_stack([y[i], np.ones(3000), x[i]])) for i in range(2)]
    plain, found = effect(*arms), effect(*arms, adjusted=True)
    assert plain.saved == 0
    assert found.saved == pytest.approx(0.5, abs=0.03)
    assert found.absolute.variance == pytest.approx(plain.absolute.variance * (1 - found.saved))
    slope = np.polyfit(
        (x - x.mean(axis=1, keepdims=True)).ravel(), (y - y.mean(axis=1, keepdims=True)).ravel(), 1
    )
    moved = slope[0] * (x[1].mean() - x[0].mean())
    assert found.absolute.value == pytest.approx(plain.absolute.value - moved, rel=1e-3)


def test_a_covariate_that_holds_the_metric_itself_leaves_nothing_to_chance() -> None:
    """y = 2 + x in control and 3 + x in treatment: the difference is 1 for certain."""
    x = np.random.default_rng(4).normal(0, 1, (2, 50))
    arms = [Moments.of(np.column_stack([2 + i + x[i], np.ones(50), x[i]])) for i in range(2)]
    found = effect(*arms, adjusted=True)
    assert found.absolute.value == pytest.approx(1)
    assert found.absolute.variance == pytest.approx(0, abs=1e-12)


def test_adjusted_arms_meet_at_the_mean_of_all_users() -> None:
    """y = 10 + x in both arms: what differs between them is x alone, so nothing is left, nor left to chance."""
    x = np.random.default_rng(4).normal(0, 3, 100)
    arms = [Moments.of(np.column_stack([10 + part, np.ones(len(part)), part])) for part in np.split(x, [30])]
    found = effect(*arms, adjusted=True)
    assert (found.control, found.treatment) == pytest.approx((10 + x.mean(), 10 + x.mean()))
    assert (found.relative.value, found.relative.variance) == pytest.approx((0, 0), abs=1e-12)
    assert effect(*arms).relative.variance > 1e-3


def test_many_covariates_of_few_users_are_not_too_sure() -> None:
    """SIMULATED: 10 users an arm, five covariates. Without the cost of fitting them 85 % would hold 0."""
    rows = np.random.default_rng(1).normal(size=(1500, 2, 10, 7))
    rows[..., 1] = 1
    rows[..., 0] += 10 + rows[..., 2]
    found = [effect(*map(Moments.of, arms), adjusted=True).absolute for arms in rows]
    assert 0.92 < np.mean([one.low <= 0 <= one.high for one in found]) < 0.97


@pytest.mark.parametrize("seed", range(5))
def test_rounding_of_a_constant_covariate_explains_nothing(seed: int) -> None:
    """It differs between the arms, so whatever coefficient were found would move the effect."""
    y = np.random.default_rng(seed).normal(5, 1, (2, 3))
    arms = [Moments.of(np.column_stack([y[i], np.ones(3), np.full(3, 0.1 + i)])) for i in (0, 1)]
    assert arms[0].scatter[2, 2] > 0  # there is something to fall for
    assert effect(*arms, adjusted=True).absolute.value == pytest.approx(y[1].mean() - y[0].mean())


def test_adjusting_a_ratio_narrows_it_and_keeps_the_effect() -> None:
    rows = [people(5, 4000), people(6, 4000, 1.2)]
    plain, found = (effect(*map(Moments.of, rows), adjusted=one) for one in (False, True))
    assert 0.03 < found.saved < 0.5
    assert found.relative.variance < plain.relative.variance
    assert plain.relative.low < 0.2 < plain.relative.high
    assert found.relative.low < 0.2 < found.relative.high


def test_variances_are_those_of_repeated_experiments() -> None:
    """SIMULATED: what the formulas say an estimate varies is what it varies, adjusted and not."""
    found = [
        [
            effect(Moments.of(people(2 * i, 150)), Moments.of(people(2 * i + 1, 300, 1.3)), adjusted=one)
            for one in (False, True)
        ]
        for i in range(600)
    ]
    for column in zip(*found, strict=True):
        relative = np.array([[one.relative.value, one.relative.variance] for one in column])
        assert relative[:, 0].mean() == pytest.approx(0.3, abs=0.03)
        assert relative[:, 1].mean() == pytest.approx(relative[:, 0].var(), rel=0.25)
        held = np.mean([one.relative.low <= 0.3 <= one.relative.high for one in column])
        assert 0.92 < held < 0.975


def bounds(found: Effect) -> list[float]:
    return [found.relative.value, found.relative.low, found.relative.high]


def tells(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether both covariates vary within the arms, each in its own way; else what they explain is anybody's."""
    within = np.concatenate([arm[:, 2:] - arm[:, 2:].mean(axis=0) for arm in (a, b)])
    return bool(np.linalg.cond(within) < 1e3)


@given(RATED, RATED, st.floats(0.01, 100), st.booleans())
def test_units_change_nothing_relative(a: np.ndarray, b: np.ndarray, scale: float, adjusted: bool) -> None:
    assume(not adjusted or tells(a, b))
    units = np.array([scale, 1, 1 / scale, scale])
    plain = effect(Moments.of(a), Moments.of(b), adjusted=adjusted)
    scaled = effect(Moments.of(a * units), Moments.of(b * units), adjusted=adjusted)
    rough = effect(Moments.of(a), Moments.of(b), adjusted=False)
    # else nothing but rounding is left of it
    if plain.absolute.variance > max(1e-9, 1e-5 * rough.absolute.variance):
        assert scaled.absolute.value == pytest.approx(
            plain.absolute.value * scale, rel=1e-4, abs=1e-6 * scale
        )
        assert (scaled.p, scaled.df, scaled.saved) == pytest.approx(
            (plain.p, plain.df, plain.saved), rel=1e-4, nan_ok=True
        )
        # a mean that is zero but for rounding may come out on either side of it
        if min(abs(plain.control), abs(plain.treatment)) > 1e-9 and math.isfinite(plain.relative.low):
            np.testing.assert_allclose(bounds(scaled), bounds(plain), rtol=1e-4, atol=1e-6)


@given(RATED, RATED, st.booleans())
def test_swapping_the_arms_turns_the_absolute_effect_around(
    a: np.ndarray, b: np.ndarray, adjusted: bool
) -> None:
    one = effect(Moments.of(a), Moments.of(b), adjusted=adjusted)
    other = effect(Moments.of(b), Moments.of(a), adjusted=adjusted)
    assert other.absolute.value == pytest.approx(-one.absolute.value, abs=1e-6)
    assert other.absolute.variance == pytest.approx(one.absolute.variance, rel=1e-6, abs=1e-9)
    if one.absolute.variance > 1e-9:
        assert other.p == pytest.approx(one.p, abs=1e-6, nan_ok=True)


@given(RATED, RATED, st.floats(-50, 50))
def test_a_constant_added_to_a_covariate_changes_nothing(
    a: np.ndarray, b: np.ndarray, constant: float
) -> None:
    added = np.array([0, 0, constant, -constant])
    plain = effect(Moments.of(a), Moments.of(b), adjusted=True)
    moved = effect(Moments.of(a + added), Moments.of(b + added), adjusted=True)
    assert moved.absolute.value == pytest.approx(plain.absolute.value, rel=1e-6, abs=1e-6)
    assert moved.absolute.variance == pytest.approx(plain.absolute.variance, rel=1e-6, abs=1e-9)


@given(RATED, RATED)
def test_a_covariate_that_is_the_same_for_all_explains_nothing(a: np.ndarray, b: np.ndarray) -> None:
    a[:, 2:], b[:, 2:] = 7, 7
    plain, found = (effect(Moments.of(a), Moments.of(b), adjusted=one) for one in (False, True))
    assert found.absolute.value == pytest.approx(plain.absolute.value)
    assert found.saved <= 1e-9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("control", "treatment", "word"),
    [
        (np.zeros((0, 2)), np.ones((5, 2)), "0 users"),
        (np.ones((5, 2)), np.ones((1, 2)), "1 users"),
        (np.zeros((5, 2)), np.ones((5, 2)), "denominator is 0"),
        (np.array([[0, 1], [0, 1]]), np.array([[1, 1], [3, 1]]), "0 in control"),
        (np.array([[0, 1], [0, 1], [1, 1]]), np.array([[1, 1], [3, 1]]), "can't be told from 0"),
        (np.array([[3, 1], [2, 1], [2, 1]]), np.array([[1, 1], [3, 1], [1, 1]]), "rough"),
    ],
)
@pytest.mark.parametrize("adjusted", [False, True])
def test_what_can_not_be_said_is_not_said(
    control: np.ndarray, treatment: np.ndarray, word: str, adjusted: bool
) -> None:
    rows = [np.column_stack([one, np.arange(len(one))]) for one in (control, treatment)]
    found = effect(*map(Moments.of, rows), adjusted=adjusted)
    assert word in found.note
    assert (math.isfinite(found.relative.low) and math.isfinite(found.relative.high)) == (word == "rough")


def test_without_variance_equal_arms_are_equal_and_others_are_not() -> None:
    same = [Moments.of(np.full(n, 2.0)) for n in (4, 6)]
    assert effect(*same).p == 1
    assert effect(same[0], Moments.of(np.full(6, 3.0))).p == 0
    assert effect(*same).note == ""
