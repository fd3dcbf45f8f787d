"""Recommending for all users of the large matrix: k = 20, seen items left out, 20,000 items, D = 128."""

import time
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

import lrrec
from benchmarks import matrices
from benchmarks.report import speed_row
from lrrec.linalg.threads import even_blocks, run_blocks

ROUNDS, D, K, THREADS = 5, 128, 20, 2


def run() -> list[dict[str, Any]]:
    from implicit.als import AlternatingLeastSquares

    matrix = matrices.large()
    data = lrrec.Interactions.from_matrix(matrix)
    model = lrrec.IALS(D, n_iter=3, random_state=0).fit(data)
    users, seen = np.arange(data.n_users), sp.csr_matrix(matrix)
    peer = AlternatingLeastSquares(D, num_threads=THREADS)
    peer.user_factors, peer.item_factors = model.user_factors_, model.item_factors_
    U, V = model.user_factors_, model.item_factors_
    model.recommend(users[:2000], K)
    pairs, products = [], []
    for _ in range(ROUNDS):
        with threadpool_limits(1, "blas"):
            begun = time.perf_counter()
            peer.recommend(users, seen, N=K, filter_already_liked_items=True)
            peer_seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        model.recommend(users, K, n_threads=THREADS)
        our_seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        run_blocks(lambda a, b: U[a:b] @ V.T, even_blocks(len(U), 419), THREADS)
        products.append((our_seconds, time.perf_counter() - begun))
        pairs.append((peer_seconds, our_seconds))
    rate = len(users) / np.median([ours for _, ours in pairs])
    of_products = np.median([ours / gemm for ours, gemm in products])
    note = f"{rate:,.0f} users a second, {of_products:.2f} x the time of the products alone"
    return [speed_row(f"recommend for all, k = {K}: large, D = {D}", "implicit", pairs, 2.1, note)]
