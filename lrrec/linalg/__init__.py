"""Linear algebra of recommenders on arrays: row solvers, singular values, top-k, rank selection. No ids, no files."""

from lrrec.linalg.implicit_als import Objective, implicit_loss, solve_rows
from lrrec.linalg.inverse import invert
from lrrec.linalg.low_rank_approximation import best_low_rank, compress
from lrrec.linalg.quadratic import QuadraticLoss, improve_basis, solve_ridge
from lrrec.linalg.rank_selection import (
    bi_cross_validation,
    energy,
    gavish_donoho,
    one_standard_error,
    parallel_analysis,
)
from lrrec.linalg.ranking import top_k
from lrrec.linalg.svd import SVD, compact_svd, pinv, randomized_svd, truncated_svd

__all__ = [
    "SVD",
    "Objective",
    "QuadraticLoss",
    "best_low_rank",
    "bi_cross_validation",
    "compact_svd",
    "compress",
    "energy",
    "gavish_donoho",
    "implicit_loss",
    "improve_basis",
    "invert",
    "one_standard_error",
    "parallel_analysis",
    "pinv",
    "randomized_svd",
    "solve_ridge",
    "solve_rows",
    "top_k",
    "truncated_svd",
]
