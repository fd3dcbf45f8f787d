"""Standardized scores."""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel


@kernel(fastmath=REORDER)
def standardize_rows(scores, indptr, indices, weight, ratings, unknown):
    """Turn each row of scores s (B, I) into weight (s - mean) / deviation, and clear unknown (B, I) where s is one.

    Mean and deviation are over the columns outside the row of a csr matrix, in double precision. NaN counts as 0; with
    ratings it counts as the mean.
    """
    n_columns = scores.shape[1]
    for b in range(len(scores)):
        row, missing = scores[b], unknown[b]
        first, second, n_missing = 0.0, 0.0, 0
        for i in range(n_columns):
            none = row[i] != row[i]
            known = np.float64(0 if none else row[i])
            first += known
            second += known * known
            n_missing += none
        for i in range(n_columns):
            missing[i] &= row[i] != row[i]
        n = n_columns - (indptr[b + 1] - indptr[b])
        for z in range(indptr[b], indptr[b + 1]):
            own = np.float64(row[indices[z]])
            if own != own:
                n_missing -= 1
            else:
                first -= own
                second -= own * own
        n = max(n - n_missing if ratings else n, 1)
        mean = first / n
        variance = second / n - mean * mean
        factor = np.float32(weight / np.sqrt(variance) if variance > 1e-12 * mean * mean else 0.0)
        middle = np.float32(mean)
        instead = middle if ratings else np.float32(0)
        for i in range(n_columns):
            s = row[i] if row[i] == row[i] else instead
            row[i] = (s - middle) * factor
