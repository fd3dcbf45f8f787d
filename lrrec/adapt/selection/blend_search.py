"""The blend of the best adapters, its weights chosen on the validation users."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from lrrec.adapt.kinds.blended import Blended
from lrrec.adapt.selection.candidate_result import CandidateResult
from lrrec.adapt.selection.cross_validation import CrossValidation, prepared
from lrrec.linalg.threads import even_blocks, one_threaded_blas, run_blocks
from lrrec.models.base.blending import find_weights, ranked_values
from lrrec.validate import check_threads

MAX_MEMBERS = 3
N_STEPS = 6
N_BOOTSTRAPS = 200
MIN_WEIGHT = 0.05  # a smaller one is not worth the time of its member
MAX_CELLS = 10**8  # scores of all members and validation users: 400 MB


@one_threaded_blas
def find_blend(cv: CrossValidation, results: Sequence[CandidateResult]) -> CandidateResult | None:
    """Return a blend of the best tuned adapters, its weights averaged over bootstrap samples; None if one always wins.

    Greedy ensemble selection tries weights; on each bootstrap sample of the validation users the best of them are
    noted, and their average is taken (bagging: Breiman 1996, "Bagging predictors"; Caruana et al. 2006), so that
    adapters between which so few users cannot decide share the weight. The scores of members are less what the choice
    of their settings gained on the same users. By nested cross-validation, the weights of each fold are those chosen on
    the other folds.
    """
    ranked = sorted((result for result in results if result.mean > 0), key=lambda result: -result.mean)
    members = [result for result in ranked if not result.adapter._uses_all_threads][:MAX_MEMBERS]
    folds = cv.folds[cv.group]
    n_scores = sum(fold.history.shape[0] for fold in folds) * len(cv.domain.items) * len(members)
    if members[:1] != ranked[:1] or len(members) < 2 or n_scores > MAX_CELLS:
        return None  # without the best, which takes long to train, there is nothing to gain
    if cv.domain.base._predicts_ratings:
        return None
    of_folds: list[Any] = [None] * len(folds)

    def refit(start: int, stop: int) -> None:
        for place in range(start, stop):
            fold = folds[place]
            scored = [_scored(cv, member, place) for member in members]
            of_folds[place] = ranked_values(scored, fold.history, fold.test, cv.metric, fold.candidates)

    run_blocks(refit, even_blocks(len(folds), 1), check_threads(None))

    def scores(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([of_fold(weights) for of_fold in of_folds])

    gains = np.stack([member.scores - member.estimated_scores for member in members])
    tried, table = find_weights(scores, len(members), N_STEPS)
    table -= tried @ gains
    weights = _bagged(tried, table)
    if (weights > 0).sum() < 2:
        return None
    fold_numbers, nested_scores = members[0].fold_numbers, np.empty(table.shape[1])
    for number in np.unique(fold_numbers):
        of_fold = fold_numbers == number
        chosen_weights = weights if of_fold.all() else _bagged(tried, table[:, ~of_fold])
        nested_scores[of_fold] = (scores(chosen_weights) - chosen_weights @ gains)[of_fold]
    chosen = [(member, weight) for member, weight in zip(members, weights.tolist(), strict=True) if weight]
    adapter = Blended([clone(member.adapter) for member, _ in chosen], [weight for _, weight in chosen])
    n_parameters = sum(member.n_parameters for member, _ in chosen)
    return CandidateResult(adapter, scores(weights), fold_numbers, n_parameters, members[0].overlap, nested_scores)


def _scored(cv: CrossValidation, member: CandidateResult, place: int) -> tuple[Any, Any]:
    """What scores for a member in a fold, and the validation users: what was kept, or the member, fitted again."""
    if kept := member.kept[place]:
        return kept, kept.users
    fold = cv.folds[cv.group][place]
    return prepared(clone(member.adapter)._adapt(cv.domain, fold.fit), fold)


def _bagged(tried: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Weights (M,): the mean of those, of weights tried (T, M), that are best on bootstrap samples of values (T, n)."""
    n_users = table.shape[1]
    counts = np.random.default_rng(0).multinomial(n_users, np.full(n_users, 1 / n_users), size=N_BOOTSTRAPS)
    weights: np.ndarray = tried[(counts @ table.T).argmax(axis=1)].mean(axis=0)
    weights = np.where(weights < MIN_WEIGHT, 0, weights)
    return (weights / weights.sum()).round(3)
