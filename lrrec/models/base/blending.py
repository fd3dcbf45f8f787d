"""Weighted sums of the standardized scores of several recommenders, and the search for the weights."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.linalg import kernels
from lrrec.linalg.ranking import ALL_CANDIDATES, ALL_COLUMNS, Candidates, Columns, rank
from lrrec.metrics import measure, parse
from lrrec.validate import check_real, check_threads

SupportedScores = Callable[[Any, Any], np.ndarray]


class Encoded:
    """Users as each member encodes them, and something of their own for each; indexed by rows."""

    def __init__(self, own: np.ndarray | sp.csr_array, parts: Sequence[Any]) -> None:
        self.own, self.parts = own, list(parts)
        self.shape = own.shape

    def __getitem__(self, rows: Any) -> "Encoded":
        return Encoded(self.own[rows], [part[rows] for part in self.parts])

    def __len__(self) -> int:
        return int(self.own.shape[0])


def check_weights(weights: Any, n_members: int) -> np.ndarray:
    """Return weights of sum 1, float64 (n_members,), of as many numbers >= 0, one of them > 0."""
    if not isinstance(weights, list | tuple | np.ndarray) or getattr(weights, "ndim", 1) != 1:
        raise ParameterTypeError(f"weights must be a list of numbers, got {weights!r}")
    values = np.array([check_real(weight, "weights", low=0) for weight in weights])
    if len(values) != n_members or not values.any():
        raise ParameterError(
            f"weights must have a number for each of the {n_members} that are blended, one of them > 0, got {weights!r}"
        )
    shares: np.ndarray = values / values.sum()
    return shares


def standardized(
    scores: np.ndarray, histories: sp.csr_array, unknown: np.ndarray, weight: float = 1.0, *, ratings: bool = False
) -> np.ndarray:
    """Return weight times the z-scores (B, I) of each user, in place, and clear unknown (B, I) where a score is known.

    z-scores have mean 0 and variance 1 over the items outside the user's history. A score of NaN, for no evidence,
    counts as 0, which is what no connection between a user and an item means; among ratings it is left out, and has a
    z-score of 0. Users of equal scores have z-scores of 0.
    """
    scores = np.ascontiguousarray(scores, dtype=np.float32)
    kernels.standardize_rows(scores, *kernels.index_arrays(histories), float(weight), ratings, unknown)
    return scores


def _supported(member: Any, encoded: Any) -> np.ndarray:
    scores: np.ndarray = member._supported_scores(encoded, ALL_COLUMNS)
    return scores


class Blends:
    """What scores by a weighted sum of z-scores: `_blended` gives the fitted members and their weights."""

    def _blended(self) -> tuple[Sequence[Any], np.ndarray]:
        raise NotImplementedError

    def _column_weights(self) -> np.ndarray | None:
        """Return a weight of each member for each item, float32 (K, I), where they are not the same for all items."""
        return None

    def _scores(self, encoded: Encoded, columns: Columns) -> np.ndarray:
        return self._sum(encoded)[0][:, columns]

    def _supported_scores(self, encoded: Encoded, columns: Columns) -> np.ndarray:
        scores, unknown = self._sum(encoded)
        scores[unknown] = np.nan
        return scores[:, columns]

    def _sum(self, encoded: Encoded, supported: SupportedScores = _supported) -> tuple[np.ndarray, np.ndarray]:
        """Return sum_k w_k z_k, float32 (B, I), and where no member with a weight > 0 has evidence, bool (B, I).

        supported(member, part): a member's scores of all items, for users as it encodes them.
        """
        (members, weights), by_column = self._blended(), self._column_weights()
        unknown = np.ones(encoded.shape, dtype=bool)
        total: np.ndarray | None = None
        for k, (member, part) in enumerate(zip(members, encoded.parts, strict=True)):
            weight = weights[k] if by_column is None else by_column[k].any()
            if not weight:
                continue
            scores, ratings = supported(member, part), member._predicts_ratings
            of_member = unknown if by_column is None else np.ones(encoded.shape, dtype=bool)
            summand = standardized(scores, encoded.own, of_member, float(weight), ratings=ratings)
            if by_column is not None:
                summand *= by_column[k]
                unknown &= of_member | (by_column[k] == 0)
            total = summand if total is None else np.add(total, summand, out=total)
        assert total is not None  # one weight is > 0
        return total, unknown


def find_weights(
    values: Callable[[np.ndarray], np.ndarray], n_members: int, n_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights that greedy ensemble selection tries, (T, n_members), and the values of users, (T, n).

    values(weights) gives each user's value; only the ratios of the weights matter. The member that raises the mean most
    gets a step, n_steps times: each member alone is tried first (Caruana et al. 2004).
    """
    steps = np.zeros(n_members)
    measured: list[np.ndarray] = []
    tried: dict[tuple[float, ...], int] = {}
    for _ in range(n_steps):
        means = []
        for member in range(n_members):
            steps[member] += 1
            key = tuple(steps / steps.sum())
            if key not in tried:
                tried[key] = len(measured)
                measured.append(values(steps))
            means.append(measured[tried[key]].mean())
            steps[member] -= 1
        steps[int(np.argmax(means))] += 1
    return np.array(list(tried)), np.stack(measured)


def ranked_values(
    scored: Sequence[tuple[Any, Any]],
    histories: sp.csr_array,
    test: sp.csr_array,
    metric: str,
    candidates: Candidates = ALL_CANDIDATES,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of weights that ranks for n users by the weighted sum of z-scores, for `find_weights`.

    scored : members and the users as each encodes them. The values are those of the metric, (n,), and 0 where a user's
    test interactions are dislikes; items for which no member has evidence are not ranked.
    """
    _, k = parse(metric, ("ranking",))
    n_users, n_items = test.shape
    rows, unknown, parts = np.arange(n_users), np.ones(test.shape, dtype=bool), []
    for member, encoded in scored:
        scores, ratings = _supported(member, encoded), member._predicts_ratings
        parts.append(standardized(scores, histories, unknown, ratings=ratings))

    def values(weights: np.ndarray) -> np.ndarray:
        def total(block: slice, columns: Columns) -> np.ndarray:
            out = np.zeros((block.stop - block.start, n_items), dtype=np.float32)
            for part, weight in zip(parts, weights, strict=True):
                if weight:
                    out += np.float32(weight) * part[block]
            out[unknown[block]] = np.nan
            return out[:, columns]

        lists, _ = rank(
            total, n_users, n_items, k or n_items, candidates=candidates, seen=histories, seen_rows=rows,
            n_threads=check_threads(None),
        )  # fmt: skip
        return np.nan_to_num(measure(lists, test, rows, [metric])[0][:, 0])

    return values
