"""Dense, slow, obviously right versions of what the package computes."""

import numpy as np


def solve_rows(C, Y, *, unobserved_weight, reg, reg_exponent):
    """Every row's ridge problem, densely in double precision."""
    C, Y = C.toarray().astype(np.float64), Y.astype(np.float64)
    X = np.zeros((len(C), Y.shape[1]))
    for u, c in enumerate(C):
        if not c.any():
            continue
        lam = reg * ((c > 0).sum() + unobserved_weight * len(Y)) ** reg_exponent
        A = unobserved_weight * Y.T @ Y + (Y.T * c) @ Y + lam * np.eye(Y.shape[1])
        X[u] = np.linalg.solve(A, Y.T @ c)
    return X


def implicit_loss(C, X, Y, *, unobserved_weight, reg, reg_exponent):
    """The objective, cell by cell."""
    C = C.toarray().astype(np.float64)
    S = X.astype(np.float64) @ Y.astype(np.float64).T
    observed = (C * (S - 1) ** 2).sum() + unobserved_weight * (S**2).sum()
    of_users = ((C > 0).sum(1) + unobserved_weight * C.shape[1]) ** reg_exponent
    of_items = ((C > 0).sum(0) + unobserved_weight * C.shape[0]) ** reg_exponent
    return observed + reg * (
        of_users @ (X.astype(np.float64) ** 2).sum(1) + of_items @ (Y.astype(np.float64) ** 2).sum(1)
    )


def top_k(scores, k):
    """A stable sort of every row."""
    indices = np.full((len(scores), k), -1)
    for b, row in enumerate(scores):
        order = np.argsort(-row, kind="stable")
        order = order[np.isfinite(row[order]) | (row[order] == np.inf)][:k]
        indices[b, : len(order)] = order
    return indices


def metrics(ranked, relevant, k):
    """The metrics of one list by their textbook definitions: ranked and relevant hold items."""
    hits = [item in relevant for item in ranked[:k]]
    gains = [1 / np.log2(rank + 2) for rank, hit in enumerate(hits) if hit]
    ideal = [1 / np.log2(rank + 2) for rank in range(min(k, len(relevant)))]
    precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
    return {
        "ndcg": sum(gains) / sum(ideal),
        "recall": sum(hits) / len(relevant),
        "capped-recall": sum(hits) / min(k, len(relevant)),
        "precision": sum(hits) / k,
        "map": sum(precisions) / min(k, len(relevant)),
        "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0,
        "hit": float(any(hits)),
    }
