"""The matrices that the benchmarks run on: a generated one, and two real ones where they are available."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import lrrec


@cache
def large(n_users: int = 137_000, n_items: int = 20_000, mean: float = 68.0, n_factors: int = 24) -> sp.csr_array:
    """Generate a long-tailed implicit matrix of 8.3 million interactions, with low-rank tastes; values 1 to 5.

    Activity is log-normal, popularity a power law; an item is drawn by its popularity from a group of items, and the
    group by the user's tastes.
    """
    rng = np.random.default_rng(0)
    activity = np.clip(rng.lognormal(np.log(mean) - 0.6, 1.1, n_users), 5, n_items // 10).astype(np.int64)
    popularity = (np.arange(n_items) + 10.0) ** -0.8
    group_of_item = rng.permutation(n_items) % n_factors
    tastes = rng.dirichlet(np.full(n_factors, 0.25), n_users)
    rows = np.repeat(np.arange(n_users), activity)
    cumulative = np.cumsum(tastes, axis=1)[rows]
    groups = (rng.random(len(rows))[:, None] > cumulative).sum(axis=1).clip(0, n_factors - 1)
    columns = np.empty(len(rows), dtype=np.int64)
    for group in range(n_factors):
        members = np.flatnonzero(group_of_item == group)
        rows_of_group = np.flatnonzero(groups == group)
        shares = np.cumsum(popularity[members])
        columns[rows_of_group] = members[np.searchsorted(shares, rng.random(len(rows_of_group)) * shares[-1])]
    values = rng.integers(1, 6, len(rows)).astype(np.float32)
    matrix = sp.csr_array((values, (rows, columns)), shape=(n_users, n_items))
    matrix.sum_duplicates()
    matrix.data = np.minimum(matrix.data, 5)
    return matrix


@cache
def real(name: str) -> sp.csr_array:
    """Return the training part of ml-1m (likes) or gowalla, with weight 1."""
    dataset = lrrec.datasets.load(name, data_home())
    if name == "gowalla":
        return dataset.split().train.matrix
    return dataset.interactions(min_rating=4).matrix


def data_home() -> str | None:
    """Return the folder of real data beside the project, or that of LRREC_DATA; None where there is neither."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    return str(beside) if beside.is_dir() else os.environ.get("LRREC_DATA")


def get(name: str) -> sp.csr_array:
    """Return a matrix by name: large, ml-1m, gowalla."""
    return large() if name == "large" else real(name)
