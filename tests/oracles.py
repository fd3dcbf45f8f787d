"""Dense, slow, obviously right versions of what the package computes."""

import numpy as np


def penalties(C, objective):
    """The factor of |x_u|^2 of every row."""
    unobserved = objective.unobserved_weight * C.shape[1] if objective.reg_unobserved else 0
    observed = C.sum(1) if objective.reg_unobserved else (C > 0).sum(1)
    return objective.reg * (observed + unobserved) ** objective.reg_exponent


def solve_rows(C, Y, objective):
    """Every row's ridge problem, densely in double precision."""
    C, Y = C.toarray().astype(np.float64), Y.astype(np.float64)
    X, lam = np.zeros((len(C), Y.shape[1])), penalties(C, objective)
    for u, c in enumerate(C):
        if c.any():
            A = objective.unobserved_weight * Y.T @ Y + (Y.T * c) @ Y + lam[u] * np.eye(Y.shape[1])
            X[u] = np.linalg.solve(A, Y.T @ (c + objective.offset * (c > 0)))
    return X


def implicit_loss(C, X, Y, objective):
    """The objective, cell by cell; as Hu et al. write it where the offset is 1."""
    C = C.toarray().astype(np.float64)
    S = X.astype(np.float64) @ Y.astype(np.float64).T
    if objective.offset:
        fit = ((C + 1) * (S - (C > 0)) ** 2).sum()
    else:
        fit = (C * (S - 1) ** 2).sum() + objective.unobserved_weight * (S**2).sum()
    of_users, of_items = (penalties(c, objective) @ (f.astype(np.float64) ** 2).sum(1) for c, f in ((C, X), (C.T, Y)))
    return fit + of_users + of_items


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
    err, reads_on = 0.0, 1.0
    for rank, hit in enumerate(hits, 1):
        err += reads_on * 0.5 * hit / rank
        reads_on *= 0.5 if hit else 1
    return {
        "ndcg": sum(gains) / sum(ideal),
        "recall": sum(hits) / len(relevant),
        "capped-recall": sum(hits) / min(k, len(relevant)),
        "precision": sum(hits) / k,
        "map": sum(precisions) / len(relevant),
        "capped-map": sum(precisions) / min(k, len(relevant)),
        "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0,
        "hit": float(any(hits)),
        "err": err,
        "r-precision": sum(hits[: len(relevant)]) / len(relevant),
    }


def graded_ndcg(ranked, values, k):
    """nDCG with the values of a dict as gains."""
    discounts = [1 / np.log2(rank + 2) for rank in range(k)]
    got = [values.get(item, 0) for item in ranked[:k]]
    best = sorted(values.values(), reverse=True)
    return sum(map(np.multiply, got, discounts)) / sum(map(np.multiply, best, discounts))


def auc(ranked, relevant, candidates):
    """Pair by pair: a relevant and another candidate, the unlisted ones tied behind the listed."""
    place = {item: rank for rank, item in enumerate(ranked)}
    behind = {item: place.get(item, len(ranked)) for item in [*candidates, *relevant]}
    never = len(ranked) + 1  # a relevant item that is no candidate
    pairs = [
        np.sign((behind[other] if other in candidates else never) - (behind[item] if item in candidates else never))
        for item in relevant
        for other in candidates
        if other not in relevant
    ]
    return (np.mean(pairs) + 1) / 2 if pairs else 0.5


def diversity(items, vectors):
    """One minus the cosine, pair by pair."""
    pairs = [(a, b) for place, a in enumerate(items) for b in items[:place]]
    lengths = np.linalg.norm(vectors, axis=1)
    return np.mean([1 - vectors[a] @ vectors[b] / max(lengths[a] * lengths[b], 1e-300) for a, b in pairs])
