"""Rules to choose the rank of a low-rank model. Where they disagree, trust validation.

| rule | chooses | needs |
|---|---|---|
| `one_standard_error` | the smallest rank within a standard error of the best | scores of validation users |
| `bi_cross_validation` | the rank that predicts left-out blocks best | nothing else |
| `parallel_analysis` | the singular values above those of a null model with the same degrees | nothing else |
| `energy` | the rank that explains a share of the sum of squares | the share |
| `gavish_donoho` | the singular values above those of white noise | dense data |
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg.svd import compact_svd, randomized_svd, truncated_svd
from lrrec.typing import RandomState
from lrrec.validate import check_int, check_real, check_rng


def one_standard_error(ranks: Sequence[int], scores: np.ndarray) -> int:
    """Return the smallest rank whose mean score is within one standard error of the best rank's.

    The standard error is that of the users' paired differences to the best rank.

    Parameters
    ----------
    ranks : sequence of int, shape (n_ranks,)
    scores : ndarray, shape (n_ranks, n_users)
        Greater is better, e.g. the values of `evaluate` on a validation split.

    Notes
    -----
    Unreliable with few users: the standard error is large, and the rank too small. Use validation users, not test
    users.

    References
    ----------
    Breiman et al. (1984), "Classification and regression trees", sec. 3.4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import one_standard_error
    >>> scores = np.array([[0.10, 0.20, 0.30], [0.41, 0.50, 0.62], [0.40, 0.52, 0.61]])  # of three users
    >>> one_standard_error([8, 16, 32], scores)
    16
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != len(ranks) or scores.shape[1] < 2:
        raise DataError(f"scores must be (n_ranks, n_users) with n_ranks = {len(ranks)}, got {scores.shape}")
    best = int(scores.mean(axis=1).argmax())
    deficits = scores[best] - scores  # (n_ranks, n_users)
    errors = deficits.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    return min(rank for rank, mean, error in zip(ranks, deficits.mean(axis=1), errors, strict=True) if mean <= error)


def bi_cross_validation(
    A: sp.csr_array, ranks: Sequence[int], *, n_folds: int = 4, random_state: RandomState = 0
) -> tuple[int, np.ndarray]:
    """Return the rank that predicts left-out blocks best, and every rank's mean squared error, (n_ranks,).

    Rows and columns are split into n_folds folds each. The block A_rc of a row fold and a column fold is predicted by
    B D_k^+ C, where D has neither the fold's rows nor its columns, D_k is its best approximation of rank k, and B and
    C hold the remaining columns of the fold's rows and the remaining rows of its columns.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    ranks : sequence of int
    n_folds : int, default 4
    random_state : int, Generator or None, default 0

    Notes
    -----
    n_folds truncated SVDs of most of A. Zeros count as data. Unreliable where a few rows have most of the sum of
    squares, and inconclusive where the error hardly depends on the rank.

    References
    ----------
    Owen & Perry (2009), "Bi-cross-validation of the SVD and the nonnegative matrix factorization", eq. 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import bi_cross_validation
    >>> rng = np.random.default_rng(0)
    >>> A = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30)) + 0.1 * rng.normal(size=(40, 30))  # rank 2, and noise
    >>> bi_cross_validation(csr_array(A), [1, 2, 8])[0]
    2
    """
    rng, n_folds = check_rng(random_state), check_int(n_folds, "n_folds", low=2)
    ranks = [check_int(rank, "ranks", low=1) for rank in ranks]
    row_fold, column_fold = (rng.permutation(n) % n_folds for n in A.shape)
    errors = np.zeros(len(ranks))
    n_cells = 0
    for fold in range(n_folds):
        rows, columns = row_fold == fold, column_fold == fold
        D = sp.csr_array(A[~rows][:, ~columns])
        B, C, block = (sp.csr_array(A[r][:, c]) for r, c in ((rows, ~columns), (~rows, columns), (rows, columns)))
        U, s, Vt = truncated_svd(D, min(max(ranks), min(D.shape)), tol=1e-3)
        left = np.asarray(B @ Vt.T) / np.where(s > s[0] * 1e-6, s, np.inf)  # (rows of the fold, k)
        right = np.asarray(C.T @ U)  # (columns of the fold, k)
        total = float((block.data.astype(np.float64) ** 2).sum())
        cross = np.einsum("mk,mk->k", left, np.asarray(block @ right))
        inner = (left.T @ left) * (right.T @ right)  # <l_a r_a, l_b r_b>
        for place, rank in enumerate(ranks):
            k = min(rank, len(s))
            errors[place] += total - 2 * cross[:k].sum() + inner[:k, :k].sum()
        n_cells += block.shape[0] * block.shape[1]
    errors /= n_cells
    return ranks[int(errors.argmin())], errors


def parallel_analysis(
    A: sp.csr_array, k: int, *, n_permutations: int = 5, quantile: float = 0.95, random_state: RandomState = 0
) -> tuple[int, np.ndarray, np.ndarray]:
    """Return how many singular values exceed those of a null model with the same degrees.

    Each null matrix is a random permutation that keeps the number of entries of every row and column (except for the
    few that fall on the same cell). The values are permuted too.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    k : int
        The number of singular values to compare.
    n_permutations : int, default 5
        The number of null matrices.
    quantile : float in (0, 1), default 0.95
        Quantile of the null values that a singular value has to exceed.
    random_state : int, Generator or None, default 0

    Returns
    -------
    rank : int
    values, null : ndarray, shape (k,)
        The singular values, and that quantile of the null ones.

    Notes
    -----
    n_permutations + 1 randomized SVDs. Counts significant dimensions, whether they help to rank or not: often more than
    validation would choose. Unreliable for very dense matrices, whose degrees leave little to permute.

    References
    ----------
    Horn (1965), "A rationale and test for the number of factors in factor analysis"; for networks with given degrees
    Fosdick et al. (2018), "Configuring random graph models with fixed degree sequences", arXiv:1608.00607.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import parallel_analysis
    >>> share = 0.2 * np.kron(np.eye(3), np.ones((100, 80)))  # three groups of users, with their own items
    >>> A = csr_array((np.random.default_rng(0).random(share.shape) < share).astype(float))
    >>> rank, values, null = parallel_analysis(A, 10)
    >>> rank, values.shape, null.shape
    (3, (10,), (10,))
    """
    rng, n_permutations = check_rng(random_state), check_int(n_permutations, "n_permutations", low=1)
    quantile = check_real(quantile, "quantile", low=0, high=1)
    values = randomized_svd(A, k, n_iter=4).s
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    null = np.empty((n_permutations, len(values)))
    for draw in range(n_permutations):
        permuted = (rng.permutation(A.data), (rows, rng.permutation(A.indices)))
        null_matrix = sp.coo_array(permuted, shape=A.shape).tocsr()
        null[draw] = randomized_svd(sp.csr_array(null_matrix), k, n_iter=4, random_state=rng).s
    threshold = np.quantile(null, quantile, axis=0)
    above = values > threshold
    return int(len(above) if above.all() else above.argmin()), values, threshold


def energy(s: np.ndarray, total: float, share: float = 0.9) -> int:
    """Return the smallest rank whose squared singular values sum to a share of the squared norm of the matrix.

    Parameters
    ----------
    s : ndarray, shape (k,)
        The largest singular values, in descending order.
    total : float
        The squared Frobenius norm of the matrix: (A.data ** 2).sum().
    share : float in (0, 1), default 0.9

    Raises
    ------
    DataError
        If s has too few of them.

    Notes
    -----
    Usually unsuitable for interactions: most of the sum of squares is noise, and 0.9 gives far too many factors.

    Examples
    --------
    >>> from lrrec.linalg import energy
    >>> energy([3.0, 2.0, 1.0], total=14.0, share=0.9)  # (9 + 4) / 14 is 0.93
    2
    """
    share = check_real(share, "share", low=0, high=1)
    explained = np.cumsum(np.asarray(s, dtype=np.float64) ** 2) / check_real(total, "total", low=0, open_low=True)
    if explained[-1] < share:
        raise DataError(
            f"the {len(explained)} singular values of s explain a share of {explained[-1]:.3g}, less than {share:g}: "
            "compute more of them"
        )
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
    For residuals and dense tables. Unsuitable where noise is not white: on sparse interactions, whose noise grows with
    activity and popularity, it keeps far too many or too few.

    References
    ----------
    Gavish & Donoho (2014), "The optimal hard threshold for singular values is 4/sqrt(3)", arXiv:1305.5870, eq. 5.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import gavish_donoho
    >>> rng = np.random.default_rng(0)
    >>> A = 10 * rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30)) + rng.normal(size=(40, 30))  # of rank 2, and noise
    >>> gavish_donoho(A)
    2
    """
    s = compact_svd(A, rtol=0).s
    if not len(s):
        raise DataError(f"A must have rows and columns, got shape {np.shape(A)}")
    beta = min(A.shape) / max(A.shape)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return int((s > omega * np.median(s)).sum())
