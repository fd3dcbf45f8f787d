"""What an adapter reached on the validation users, and how it compares with others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Z = 1.282  # the 90 % quantile of the normal distribution


@dataclass(frozen=True, eq=False)
class CandidateResult:
    """What an adapter with some settings reached on the validation users.

    scores : the metric of each validation user. nested_scores : the same by nested cross-validation, where settings
    were chosen. fold_numbers : the fold of each user. overlap : with several folds, the sum over them of
    n_validation / n_training, for `difference`. kept : for each fold, the scores of all items (`KeptScores`), or None.
    """

    adapter: Any
    scores: np.ndarray
    fold_numbers: np.ndarray
    n_parameters: int
    overlap: float = 0.0
    nested_scores: np.ndarray | None = None
    kept: Sequence[Any] = ()

    @property
    def estimated_scores(self) -> np.ndarray:
        """The scores by nested cross-validation, if settings were chosen."""
        return self.scores if self.nested_scores is None else self.nested_scores

    @property
    def mean(self) -> float:
        """The mean over the validation users."""
        return float(self.estimated_scores.mean())

    def difference(self, other: "CandidateResult") -> tuple[float, float]:
        """Return the mean of the paired differences to another result, and its standard error.

        The validation users of one fold are fitted to in the others, so that folds are not independent: the variance
        is corrected as in Nadeau & Bengio (2003), "Inference for the generalization error".
        """
        difference = self.estimated_scores - other.estimated_scores
        if len(difference) < 2:
            return float(difference.mean()), np.inf
        variance = difference.var(ddof=1) * (1 + self.overlap) / len(difference)
        return float(difference.mean()), float(np.sqrt(variance))

    def clearly_better_than(self, other: "CandidateResult") -> bool:
        """Whether its mean is higher by more than a standard error."""
        gain, error = self.difference(other)
        return gain > error


def nested(tried: Sequence[CandidateResult]) -> CandidateResult:
    """The result with the best mean; its nested scores are, in each fold, those of the best on the other folds."""
    best = max(tried, key=lambda result: result.mean)
    table, scores = np.stack([result.scores for result in tried]), best.scores.copy()
    for number in np.unique(best.fold_numbers):
        of_fold = best.fold_numbers == number
        if not of_fold.all():
            scores[of_fold] = table[table[:, ~of_fold].mean(axis=1).argmax()][of_fold]
    return replace(best, nested_scores=scores)


def near_best(results: Sequence[CandidateResult]) -> list[CandidateResult]:
    """Those within a standard error of the best, in their order; none that scores 0, as what cannot be fitted does."""
    best = max(results, key=lambda result: result.mean)
    return [one for one in results if one is best or (one.mean > 0 and not best.clearly_better_than(one))]
