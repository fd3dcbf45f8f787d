"""The compiled inner loops: the only package that imports numba, beside the metrics' kernels.

Each kernel processes a block of rows of a csr matrix and releases the interpreter lock. The result of a row depends
on that row alone: results are bit-identical for any number of threads.

U, I: users, items; D: factors; N: cells (nonzeros) of a row or matrix; K: length of a list; B: rows of a block.
"""

from lrrec.linalg.kernels.arrays import as_input, index_arrays
from lrrec.linalg.kernels.chebyshev import chebyshev_step
from lrrec.linalg.kernels.conjugate_gradient import cg_rows
from lrrec.linalg.kernels.coordinate_descent import elastic_net_rows
from lrrec.linalg.kernels.dual import dual_products, finish_dual_rows
from lrrec.linalg.kernels.heap import mark_zeros, mask_rows, top_k_rows
from lrrec.linalg.kernels.joint_gradient import add_rows, advance_rows, curve_rows
from lrrec.linalg.kernels.low_rank_update import add_low_rank
from lrrec.linalg.kernels.matmul import (
    co_occurrences,
    dot_rows,
    few_products,
    gram_rows,
    gram_times,
    observed_loss,
    times_rows,
)
from lrrec.linalg.kernels.nonnegative import nonnegative_rows
from lrrec.linalg.kernels.placement import take_places
from lrrec.linalg.kernels.ridge import ridge_rows
from lrrec.linalg.kernels.standardize import standardize_rows
from lrrec.linalg.kernels.support import pair_counts, pair_products, support_columns

__all__ = [
    "add_low_rank",
    "add_rows",
    "advance_rows",
    "as_input",
    "cg_rows",
    "chebyshev_step",
    "co_occurrences",
    "curve_rows",
    "dot_rows",
    "dual_products",
    "elastic_net_rows",
    "few_products",
    "finish_dual_rows",
    "gram_rows",
    "gram_times",
    "index_arrays",
    "mark_zeros",
    "mask_rows",
    "nonnegative_rows",
    "observed_loss",
    "pair_counts",
    "pair_products",
    "ridge_rows",
    "standardize_rows",
    "support_columns",
    "take_places",
    "times_rows",
    "top_k_rows",
]
