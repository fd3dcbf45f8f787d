"""Arrays in, arrays out: no ids, no classes, no files, no global state."""

from lrrec.linalg.implicit_als import Objective, implicit_loss, solve_rows
from lrrec.linalg.rank_selection import (
    bi_cross_validation,
    energy,
    gavish_donoho,
    one_standard_error,
    parallel_analysis,
)
from lrrec.linalg.ranking import top_k
from lrrec.linalg.svd import SVD, best_low_rank, compact_svd, compress, pinv, randomized_svd, truncated_svd

__all__ = [
    "SVD",
    "Objective",
    "best_low_rank",
    "bi_cross_validation",
    "compact_svd",
    "compress",
    "energy",
    "gavish_donoho",
    "implicit_loss",
    "one_standard_error",
    "parallel_analysis",
    "pinv",
    "randomized_svd",
    "solve_rows",
    "top_k",
    "truncated_svd",
]
