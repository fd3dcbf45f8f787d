"""The compiled inner loops: the only package that imports numba.

Each kernel works through a block of rows of a csr matrix, releases the interpreter lock, and gives every row a
result that depends on nothing but the row: results are bit-identical for any number of threads.

U, I: users, items; D: factors; N: nonzeros of a row; K: length of a list; B: rows of a block.
"""

from lrrec.linalg.kernels.als import cg_rows, exact_rows, observed_loss, solve_cholesky
from lrrec.linalg.kernels.explicit import nonnegative_rows, rating_rows
from lrrec.linalg.kernels.lists import count_hits, look_up, measure_rows, put_in_places
from lrrec.linalg.kernels.lowrank import add_low_rank
from lrrec.linalg.kernels.products import co_occurrences, dot_rows, gram_times, times_rows
from lrrec.linalg.kernels.ridge import ridge_rows
from lrrec.linalg.kernels.topk import mask_rows, top_k_rows

__all__ = [
    "add_low_rank",
    "cg_rows",
    "co_occurrences",
    "count_hits",
    "dot_rows",
    "exact_rows",
    "gram_times",
    "look_up",
    "mask_rows",
    "measure_rows",
    "nonnegative_rows",
    "observed_loss",
    "put_in_places",
    "rating_rows",
    "ridge_rows",
    "solve_cholesky",
    "times_rows",
    "top_k_rows",
]
