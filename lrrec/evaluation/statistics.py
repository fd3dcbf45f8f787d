"""Which of two models is better, from one value per user: bootstrap intervals, randomization tests, effect sizes.

D (n, P): the differences, one row per user and one column per pair of models; or the values of one model, one column
per metric.
All columns use the same draws of users.
"""

import numpy as np

from lrrec.linalg.threads import even_blocks

BLOCK_CELLS = 2**20  # of draws x users at a time: 8 MB per array
ROUNDING = 1e-12  # sums that differ by less than this share of all they are made of count as equal


def mean(D: np.ndarray) -> np.ndarray:
    """Return the means of the columns over the users without NaN; NaN where there are none."""
    defined = ~np.isnan(D)
    if defined.all():
        return D.mean(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(defined, D, 0).sum(axis=0) / defined.sum(axis=0)


def bootstrap(D: np.ndarray, level: float, n_resamples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds (P,), (P,) of the percentile intervals of the columns' means; NaN for fewer than two users.

    Users are drawn with replacement; a row is drawn whole, so that what two models have in common cancels out. The
    mean of a draw is over its values that are not NaN.

    References: Efron & Tibshirani (1993), "An introduction to the bootstrap", sec. 13.3.
    """
    if len(D) < 2:
        return np.full(D.shape[1], np.nan), np.full(D.shape[1], np.nan)
    low, high = np.quantile(_drawn_means(D, n_resamples, rng), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def simultaneous(
    D: np.ndarray, level: float, n_resamples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds (P,), (P,) of intervals of the columns' means that hold together; NaN for fewer than two users.

    They are mean +- c standard errors. In a draw of users as in `bootstrap`, max over columns of
    |mean of the draw - mean| / standard error is at most c with probability `level`. So the interval of a column that
    was picked for its mean holds, too; columns that are much the same widen it little.

    References: Dunnett (1955), "A multiple comparison procedure for comparing several treatments with a control";
    Romano & Wolf (2005), "Exact and approximate stepdown methods for multiple hypothesis testing".
    """
    if len(D) < 2:
        return np.full(D.shape[1], np.nan), np.full(D.shape[1], np.nan)
    center, n_defined = mean(D), (~np.isnan(D)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt(mean((D - center) ** 2) / (n_defined - 1))
        deviations = np.abs(_drawn_means(D, n_resamples, rng) - center) / errors
    largest = np.where(errors > 0, deviations, 0).max(axis=1, initial=0)
    margin = np.quantile(largest, level) * errors
    return center - margin, center + margin


def _drawn_means(D: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the means of the columns in each of n_resamples draws of users, (n_resamples, P)."""
    n, n_pairs = D.shape
    means, defined = np.empty((n_resamples, n_pairs)), ~np.isnan(D)
    values = D if defined.all() else np.where(defined, D, 0)
    for start, stop in even_blocks(n_resamples, BLOCK_CELLS // n):
        drawn = rng.integers(0, n, (stop - start, n))
        drawn += n * np.arange(stop - start)[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)  # each user was drawn
        with np.errstate(invalid="ignore"):
            means[start:stop] = times @ values / (n if values is D else times @ defined)
    return means


def sign_flip(D: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return two-sided p-values (P,) of the hypothesis that two models are exchangeable user by user.

    Under it, each difference is as likely to have the other sign: p is the share of sign patterns s whose
    |sum_u s_u d_u| is at least |sum_u d_u|. Where 2^m patterns of the m users who differ are at most n_resamples, all
    are counted; else n_resamples are drawn, and the observed pattern counts as one more,
    p = (1 + as extreme) / (1 + drawn), so that the error rate of a test is at most its level.

    References: Fisher (1935), "The design of experiments", sec. 21; Phipson & Smyth (2010), "Permutation p-values
    should never be zero"; Smucker, Allan & Carterette (2007), "A comparison of statistical significance tests for
    information retrieval evaluation".
    """
    differ = np.count_nonzero(D, axis=0)
    exact = differ <= np.log2(n_resamples)
    p_values = np.empty(D.shape[1])
    for pair in np.flatnonzero(exact):
        p_values[pair] = _all_patterns(D[D[:, pair] != 0, pair])
    if exact.all():
        return p_values
    moved = D[D.any(axis=1)][:, ~exact]
    total = moved.sum(axis=0)
    least = np.abs(total) - ROUNDING * np.abs(moved).sum(axis=0)
    as_extreme = np.zeros(len(total), dtype=np.int64)
    n_bytes = -(-len(moved) // 8)
    for start, stop in even_blocks(n_resamples, BLOCK_CELLS // len(moved)):
        coins = rng.integers(0, 256, (stop - start, n_bytes), dtype=np.uint8)
        flipped = np.unpackbits(coins, axis=1, count=len(moved)).astype(np.float64)
        as_extreme += (np.abs(total - 2 * (flipped @ moved)) >= least).sum(axis=0)
    p_values[~exact] = (1 + as_extreme) / (1 + n_resamples)
    return p_values


def _all_patterns(d: np.ndarray) -> float:
    """The p-value of `sign_flip` from all 2^m patterns of the differences d (m,)."""
    sums = np.zeros(1)
    for difference in d:
        sums = np.concatenate((sums + difference, sums - difference))
    return float(np.mean(np.abs(sums) >= abs(d.sum()) - ROUNDING * np.abs(d).sum()))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return Holm–Bonferroni adjusted p-values (P,): rejecting those <= level keeps the family-wise error <= level.

    The j-th smallest of P becomes max over i <= j of min(1, (P - i + 1) p_(i)).

    References: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1)
    return adjusted


def effect_size(D: np.ndarray) -> np.ndarray:
    """Return Cohen's d_z (P,): the mean difference in standard deviations (over n - 1) of the differences.

    0 where no user differs; infinite where all users differ by the same amount; NaN for fewer than two users.

    References: Cohen (1988), "Statistical power analysis for the behavioral sciences", sec. 2.3.5.
    """
    if len(D) < 2:
        return np.full(D.shape[1], np.nan)
    means, spread = D.mean(axis=0), D.std(axis=0, ddof=1)
    constant = (D[:1] == D).all(axis=0)  # whose spread may come out as rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(constant, np.sign(means) * np.inf, means / spread)
    return np.where(means == 0, 0.0, size)
