"""The compiled inner loops: the only package that imports numba.

Each kernel works through a block of rows of a csr matrix, releases the interpreter lock, and gives every row a
result that depends on nothing but the row: results are bit-identical for any number of threads.

U, I: users, items; D: factors; N: nonzeros of a row; K: length of a list; B: rows of a block.
"""

from lrrec.linalg.kernels.explicit import nonnegative_rows, rating_rows
from lrrec.linalg.kernels.heap import mask_rows, top_k_rows
from lrrec.linalg.kernels.low_rank_update import add_low_rank
from lrrec.linalg.kernels.matmul import co_occurrences, dot_rows, gram_times, times_rows
from lrrec.linalg.kernels.ridge import ridge_rows
from lrrec.linalg.kernels.rows import cg_rows, exact_rows, observed_loss, solve_cholesky

__all__ = [
    "add_low_rank",
    "cg_rows",
    "co_occurrences",
    "dot_rows",
    "exact_rows",
    "gram_times",
    "mask_rows",
    "nonnegative_rows",
    "observed_loss",
    "rating_rows",
    "ridge_rows",
    "solve_cholesky",
    "times_rows",
    "top_k_rows",
]
