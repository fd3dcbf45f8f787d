"""The best low-rank approximation of a matrix, or of a product of tall ones."""

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from lrrec.linalg.svd import SVD, compact_svd, signed, truncated_svd
from lrrec.validate import check_int


def best_low_rank(A: sp.csr_array | np.ndarray, k: int, **options: Any) -> tuple[SVD, float, float]:
    """Return the best approximation of A of rank k, and its error in the Frobenius and in the spectral norm.

    No matrix of rank k is closer to A in either norm. The errors are (sum of s_i^2, i > k)^(1/2) and s_{k+1}.

    Parameters
    ----------
    A : csr_array or ndarray, shape (m, n)
    k : int
    **options
        Of `truncated_svd`, for a sparse A.

    References
    ----------
    Eckart & Young (1936); Mirsky (1960).

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import best_low_rank
    >>> svd, frobenius, spectral = best_low_rank(np.diag([5.0, 4.0, 3.0]), 1)
    >>> svd.s.round(3).tolist(), round(frobenius, 3), round(spectral, 3)
    ([5.0], 5.0, 4.0)
    """
    if not sp.issparse(A):
        U, s, Vt = compact_svd(A, rtol=0)
        k = check_int(k, "k", low=1)
        return SVD(U[:, :k], s[:k], Vt[:k]), float(np.sqrt((s[k:] ** 2).sum())), float(s[k]) if k < len(s) else 0.0
    k = check_int(k, "k", low=1, high=min(A.shape))
    U, s, Vt = truncated_svd(A, min(k + 1, min(A.shape)), **options)
    total = float((np.asarray(A.data, dtype=np.float64) ** 2).sum())
    rest = max(0.0, total - float((s[:k].astype(np.float64) ** 2).sum()))
    return SVD(U[:, :k], s[:k], Vt[:k]), float(np.sqrt(rest)), float(s[k]) if k < len(s) else 0.0


def compress(X: np.ndarray, Y: np.ndarray, k: int) -> SVD:
    """Return the SVD of the best rank-k approximation of X Y^T, without forming the product.

    Parameters
    ----------
    X, Y : ndarray, shapes (m, D), (n, D)
    k : int
        At most D.

    Notes
    -----
    Two QR decompositions and the SVD of a (D, D) matrix: O((m + n) D^2) time.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import compress
    >>> X, Y = np.diag([2.0, 1.0]), np.eye(3, 2)
    >>> compress(X, Y, 1).s.round(3).tolist()  # X Y^T has the singular values 2 and 1
    [2.0]
    """
    k = check_int(k, "k", low=1, high=X.shape[1])
    Qx, Rx = scipy.linalg.qr(X.astype(np.float64), mode="economic")
    Qy, Ry = scipy.linalg.qr(Y.astype(np.float64), mode="economic")
    U, s, Vt = scipy.linalg.svd(Rx @ Ry.T, full_matrices=False)
    return signed(Qx @ U[:, :k], s[:k], Vt[:k] @ Qy.T)
