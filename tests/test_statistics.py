"""Intervals and tests of one value a user: what is chance and what is not, against exact answers."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrrec.evaluation.statistics import bootstrap, effect_size, holm, mean, sign_flip, simultaneous


def exact_p(d):
    """All sign patterns, one by one."""
    sums = [abs(np.dot(signs, d)) for signs in itertools.product((1, -1), repeat=len(d))]
    return np.mean(np.array(sums) >= abs(np.sum(d)) - 1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_few_users_are_tested_exactly(n):
    rng = np.random.default_rng(n)
    D = np.column_stack((rng.normal(0.3, 1, n), rng.integers(-1, 2, n), np.ones(n), np.zeros(n)))
    found = sign_flip(D, 2000, rng)
    np.testing.assert_allclose(found, [exact_p(d) for d in D.T])
    assert found[2] == 2 ** (1 - n)
    assert found[3] == 1


def test_users_who_do_not_differ_do_not_count():
    d = np.array([0.5, 0.25, 0.5, -0.25])
    padded = np.concatenate((d, np.zeros(100)))[:, None]
    assert sign_flip(padded, 100, np.random.default_rng(0)) == exact_p(d)


def test_many_users_are_tested_by_draws():
    D = np.random.default_rng(0).normal(0.4, 1, (14, 3))
    exact = np.array([exact_p(d) for d in D.T])
    error = np.sqrt(exact * (1 - exact) / 8000)
    assert (np.abs(sign_flip(D, 8000, np.random.default_rng(1)) - exact) < 4 * error + 1 / 8000).all()


@pytest.mark.parametrize("draw", ["normal", "exponential", "hits"])
def test_of_noise_one_in_twenty_is_significant(draw):
    rng = np.random.default_rng(0)
    one, other = (
        {"normal": rng.normal, "exponential": rng.exponential, "hits": lambda size: rng.integers(0, 2, size)}[draw](
            size=(60, 1000)
        )
        for _ in range(2)
    )
    share = (sign_flip((one - other).astype(float), 999, rng) <= 0.05).mean()
    low = 0.01 if draw == "hits" else 0.03  # p-values of counts come in steps, and are kept on the safe side
    assert low < share < 0.07


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    D = rng.exponential(size=(100, 600)) - rng.exponential(size=(100, 600))
    low, high = bootstrap(D, 0.9, 400, rng)
    assert 0.86 < ((low <= 0) & (high >= 0)).mean() < 0.93


def test_interval_is_that_of_the_bootstrap_written_out():
    d = np.random.default_rng(0).normal(0.2, 1, 50)
    low, high = bootstrap(d[:, None], 0.95, 20_000, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    means = [rng.choice(d, len(d)).mean() for _ in range(20_000)]
    np.testing.assert_allclose([low[0], high[0]], np.quantile(means, [0.025, 0.975]), atol=0.01)
    assert np.isnan(bootstrap(d[:1, None], 0.95, 10, rng)).all()


def test_simultaneous_intervals_hold_for_the_best_of_many():
    """Of 20 columns without an effect, the best one's own interval excludes 0 in a third of the draws."""
    rng, false = np.random.default_rng(0), np.zeros(2)
    for _ in range(400):
        D = rng.normal(size=(100, 20))
        best = D.mean(axis=0).argmax()
        low, high = simultaneous(D, 0.95, 500, rng)
        assert low[best] < D[:, best].mean() < high[best]
        false += low[best] > 0, bootstrap(D[:, [best]], 0.95, 500, rng)[0][0] > 0
    assert false[0] / 400 < 0.05 < 0.25 < false[1] / 400


def test_columns_that_are_the_same_widen_no_interval():
    rng = np.random.default_rng(0)
    d = rng.normal(size=(500, 1))
    d[:3] = np.nan
    one = np.ravel(simultaneous(d, 0.95, 4000, np.random.default_rng(1)))
    same = np.array(simultaneous(np.hstack([d, 2 * d, np.zeros((500, 1)), d]), 0.95, 4000, np.random.default_rng(1)))
    np.testing.assert_allclose(same[:, 0], one)
    np.testing.assert_allclose(same[:, 1], 2 * one)
    assert (same[:, 2] == 0).all()
    np.testing.assert_allclose(one, np.ravel(bootstrap(d, 0.95, 4000, rng)), atol=0.01)
    for bounds in simultaneous(d[:1], 0.95, 10, rng):
        assert np.isnan(bounds).all()


def test_memory_does_not_grow_with_the_draws():
    D = np.random.default_rng(0).normal(size=(20_000, 2))
    tracemalloc.start()
    try:
        bootstrap(D, 0.95, 500, np.random.default_rng(0))
        sign_flip(D, 2000, np.random.default_rng(0))
        assert tracemalloc.get_traced_memory()[1] < 60e6  # all draws at once: 80 MB and 320 MB
    finally:
        tracemalloc.stop()


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1, 1])
    np.testing.assert_allclose(holm(np.array([0.2])), [0.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values):
    p = np.array(p_values)
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(len(p) * p, 1)).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()
    assert corrected[np.argmin(p)] == min(1, len(p) * p.min())


def test_effect_size():
    d = np.array([0.1, 0.3, 0.2, 0.0])
    D = np.column_stack((d, np.zeros(4), np.full(4, 0.1), np.full(4, -0.1), [1, -1, 1, -1]))
    np.testing.assert_allclose(effect_size(D), [d.mean() / d.std(ddof=1), 0, np.inf, -np.inf, 0])
    assert np.isnan(effect_size(D[:1])).all()


def test_users_without_a_value_do_not_count():
    d = np.random.default_rng(0).normal(size=30)
    D = np.column_stack((np.append(d, np.nan), np.append(d, 0), np.full(31, np.nan)))
    np.testing.assert_allclose(mean(D), [d.mean(), d.sum() / 31, np.nan])
    assert mean(D[:-1]).tolist()[:2] == D[:-1, :2].mean(axis=0).tolist()
    low, high = bootstrap(D, 0.95, 4000, np.random.default_rng(1))
    want = bootstrap(d[:, None], 0.95, 4000, np.random.default_rng(2))
    assert (low[0], high[0]) == pytest.approx((want[0][0], want[1][0]), abs=0.03)
    assert np.isnan([low[2], high[2]]).all()
