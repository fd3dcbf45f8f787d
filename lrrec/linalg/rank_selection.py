"""Choosing the rank of a low-rank model. Each rule says when it fails; where they disagree, trust validation.

| rule | asks | needs |
|---|---|---|
| `one_standard_error` | what is the smallest model that is as good, within chance? | scores of users on held-out data |
| `bi_cross_validation` | which rank predicts blocks that were held out? | nothing else |
| `parallel_analysis` | which singular values exceed those of data without tastes? | nothing else |
| `energy` | which rank explains a share of the squares? | a share |
| `gavish_donoho` | which singular values exceed those of noise? | dense data with white noise |
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg.svd import compact_svd, randomized_svd, truncated_svd
from lrrec.validate import check_int, check_real, check_rng


def one_standard_error(ranks: Sequence[int], scores: np.ndarray) -> int:
    """Return the smallest rank whose mean score is within one standard error of the best's.

    The standard error is that of the paired differences to the best rank, user by user.

    Parameters
    ----------
    ranks : sequence of int, shape (n_ranks,)
    scores : ndarray, shape (n_ranks, n_users)
        Higher is better, e.g. the values of `evaluate` on a validation split.

    Notes
    -----
    Fails with few users (the error is large, the rank too small), and where test users decide (choose on validation).

    References
    ----------
    Breiman et al. (1984), "Classification and regression trees", sec. 3.4.3.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != len(ranks) or scores.shape[1] < 2:
        raise DataError(f"scores must be (n_ranks, n_users) with n_ranks = {len(ranks)}, got {scores.shape}")
    best = int(scores.mean(axis=1).argmax())
    lost = scores[best] - scores  # (n_ranks, n_users)
    error = lost.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    return min(rank for rank, loss, e in zip(ranks, lost.mean(axis=1), error, strict=True) if loss <= e)


def bi_cross_validation(
    A: sp.csr_array, ranks: Sequence[int], *, n_folds: int = 4, random_state: Any = 0
) -> tuple[int, np.ndarray]:
    """Return the rank that predicts held-out blocks best, and every rank's mean squared error, (n_ranks,).

    Rows and columns are cut into n_folds parts each; the block at a row part and a column part is predicted from the
    other rows and columns as B D_k^+ C, with D_k the best rank-k approximation of what is left.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    ranks : sequence of int
    n_folds : int, default 4
    random_state : int, Generator or None, default 0

    Notes
    -----
    n_folds truncated SVDs of most of A. Zeros count as data. Fails where a few rows hold most of the squares, and
    says too little where the error is flat.

    References
    ----------
    Owen & Perry (2009), "Bi-cross-validation of the SVD and the nonnegative matrix factorization", eq. 3.2.
    """
    rng, n_folds = check_rng(random_state), check_int(n_folds, "n_folds", low=2)
    ranks = [check_int(rank, "ranks", low=1) for rank in ranks]
    row_fold, column_fold = (rng.permutation(n) % n_folds for n in A.shape)
    errors = np.zeros(len(ranks))
    cells = 0
    for fold in range(n_folds):
        rows, columns = row_fold == fold, column_fold == fold
        D = sp.csr_array(A[~rows][:, ~columns])
        B, C, held = (sp.csr_array(A[r][:, c]) for r, c in ((rows, ~columns), (~rows, columns), (rows, columns)))
        U, s, Vt = truncated_svd(D, min(max(ranks), min(D.shape)), tol=1e-3)
        left = np.asarray(B @ Vt.T) / np.where(s > s[0] * 1e-6, s, np.inf)  # (rows held, k)
        right = np.asarray(C.T @ U)  # (columns held, k)
        total = float((held.data.astype(np.float64) ** 2).sum())
        cross = np.einsum("mk,mk->k", left, np.asarray(held @ right))
        inner = (left.T @ left) * (right.T @ right)  # <l_a r_a, l_b r_b>
        for place, rank in enumerate(ranks):
            k = min(rank, len(s))
            errors[place] += total - 2 * cross[:k].sum() + inner[:k, :k].sum()
        cells += held.shape[0] * held.shape[1]
    errors /= cells
    return ranks[int(errors.argmin())], errors


def parallel_analysis(
    A: sp.csr_array, k: int, *, n_rounds: int = 5, quantile: float = 0.95, random_state: Any = 0
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return how many singular values exceed those of matrices with the same degrees but no tastes.

    Each null matrix keeps the number of entries of every row and of every column (but for the few that fall on one
    cell), and redraws who meets whom; the values are shuffled.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    k : int
        How many values to look at.
    n_rounds : int, default 5
        Null matrices.
    quantile : float in (0, 1), default 0.95
        Of the null values that a value has to exceed.
    random_state : int, Generator or None, default 0

    Returns
    -------
    rank : int
    values, null : ndarray, shape (k,)
        The singular values, and the quantile of the null ones.

    Notes
    -----
    n_rounds + 1 randomized SVDs. Counts dimensions that are there, and not those that help to rank: it often keeps
    more than validation would. Fails on very dense matrices, where degrees leave little to redraw.

    References
    ----------
    Horn (1965), "A rationale and test for the number of factors in factor analysis"; for networks with given degrees
    Fosdick et al. (2018), "Configuring random graph models with fixed degree sequences", arXiv:1608.00607.
    """
    rng, n_rounds = check_rng(random_state), check_int(n_rounds, "n_rounds", low=1)
    quantile = check_real(quantile, "quantile", low=0, high=1)
    values = randomized_svd(A, k, n_iter=4).s
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    null = np.empty((n_rounds, len(values)))
    for draw in range(n_rounds):
        shuffled = (rng.permutation(A.data), (rows, rng.permutation(A.indices)))
        fake = sp.coo_array(shuffled, shape=A.shape).tocsr()
        null[draw] = randomized_svd(sp.csr_array(fake), k, n_iter=4, random_state=rng).s
    threshold = np.quantile(null, quantile, axis=0)
    above = values > threshold
    return int(len(above) if above.all() else above.argmin()), values, threshold


def energy(s: np.ndarray, total: float, share: float = 0.9) -> int:
    """Return the smallest rank whose squared singular values make up a share of the squared norm of the matrix.

    Parameters
    ----------
    s : ndarray, shape (k,)
        Largest singular values, falling.
    total : float
        The squared Frobenius norm of the matrix: (A.data ** 2).sum().
    share : float in (0, 1), default 0.9

    Raises
    ------
    DataError
        If s does not hold enough of them.

    Notes
    -----
    Fails on interaction data as a rule: most of the squares are noise, and 0.9 asks for far too many factors.
    """
    share = check_real(share, "share", low=0, high=1)
    explained = np.cumsum(np.asarray(s, dtype=np.float64) ** 2) / check_real(total, "total", low=0, open_low=True)
    if explained[-1] < share:
        raise DataError(f"s must explain a share of {share:g}, got {explained[-1]:.3g} of {len(explained)} values")
    return int(np.searchsorted(explained, share) + 1)


def gavish_donoho(A: np.ndarray) -> int:
    """Return how many singular values of a dense matrix exceed the optimal hard threshold for white noise.

    The threshold is omega(beta) times the median singular value, beta = min(m, n) / max(m, n), with
    omega = 0.56 beta^3 - 0.95 beta^2 + 1.82 beta + 1.43.

    Parameters
    ----------
    A : ndarray, shape (m, n)

    Notes
    -----
    Fails where noise is not white: on sparse interactions, whose noise grows with activity and popularity, it keeps
    far too many or too few. For residuals and dense tables.

    References
    ----------
    Gavish & Donoho (2014), "The optimal hard threshold for singular values is 4/sqrt(3)", arXiv:1305.5870, eq. 5.
    """
    s = compact_svd(A, rtol=0).s
    if not len(s):
        raise DataError(f"A must have rows and columns, got shape {np.shape(A)}")
    beta = min(A.shape) / max(A.shape)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return int((s > omega * np.median(s)).sum())
