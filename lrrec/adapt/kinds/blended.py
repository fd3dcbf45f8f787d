"""Blended: the standardized scores of several adapters of one base, added up."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter, Settings, from_stored
from lrrec.adapt.composite import Composite
from lrrec.adapt.domain import Domain, check_ranks
from lrrec.adapt.selection import CandidateResult, Comparison, prepared
from lrrec.errors import ParameterTypeError
from lrrec.linalg.threads import even_blocks, one_threaded_blas, run_blocks
from lrrec.models.base.blending import Blends, check_weights, find_weights, ranked_values
from lrrec.models.blend import Blend
from lrrec.validate import check_threads

MAX_MEMBERS = 3
N_STEPS = 6
N_BOOTSTRAPS = 200
MIN_WEIGHT = 0.05  # a smaller one is not worth the time of its member
MAX_CELLS = 10**8  # scores of all members and validation users: 400 MB


class Blended(Blends, Composite):
    """Add the standardized scores of several adapters of one base, as `lrrec.Blend` does of models.

    Parameters
    ----------
    members : sequence of Adapter
        Cloned, never changed.
    weights : sequence of float
        One for each, >= 0, not all 0. An `AdapterSelector` finds them for the best of its candidates.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import Blended, FoldIn, ItemItemScratch
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "eve", "eve"], ["x", "y", "z"])
    >>> adapter = Blended([FoldIn(fold_in_reg=None), ItemItemScratch(reg=1.0)], [2, 1]).fit(target, base=base)
    >>> adapter.recommend(["dan"], k=1).items.tolist()
    [['y']]
    """

    name = "blend"

    def __init__(self, members: Sequence[Adapter], weights: Sequence[float]) -> None:
        self.members = members
        self.weights = weights

    def _unfitted(self) -> list[Any]:
        if not isinstance(self.members, list | tuple) or not self.members:
            raise ParameterTypeError(f"members must be a list of adapters, got {self.members!r}")
        return list(self.members)

    def _check_params(self) -> None:
        super()._check_params()
        check_weights(self.weights, len(self._unfitted()))

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        check_ranks(base, "Blended")
        super()._check_base(base, same_users=same_users, source=source)

    @property
    def uses_base(self) -> bool:  # type: ignore[override]
        """Whether a member does."""
        return any(member.uses_base for member in self._unfitted())

    @property
    def label(self) -> str:
        """The kinds."""
        return f"blend of {' and '.join(member.label for member in self._unfitted())}"

    def _can_serve_group(self, domain: Domain, *, history: bool) -> bool:
        return all(member._can_serve_group(domain, history=history) for member in self._unfitted())

    def _can_serve(self, rows: np.ndarray) -> np.ndarray:
        return np.any([member._can_serve(rows) for member in self.members_], axis=0)

    def _blended(self) -> tuple[list[Any], np.ndarray]:
        return self.members_, check_weights(self.weights, len(self.members_))

    def merge(self) -> Blend:
        """Return a `Blend` of the merged members."""
        self._check_fitted()
        models: list[Any] = [member.merge() for member in self.members_]
        model = Blend([clone(part) for part in models], weights=list(self.weights))
        model.models_, model.weights_ = models, self._blended()[1]
        evidence = np.any([part.item_evidence_ for part in models], axis=0)
        return model._remember(self.domain_.data, self.item_counts_, evidence)

    @classmethod
    def _from_stored(cls, params: Settings) -> Self:
        members = [from_stored(str(member["kind"]), member["params"]) for member in params["members"]]
        return cls(members, params["weights"])


@one_threaded_blas
def find_blend(comparison: Comparison, results: Sequence[CandidateResult]) -> CandidateResult | None:
    """Return a blend of the best tuned adapters, its weights averaged over bootstrap samples; None if one always wins.

    Greedy ensemble selection tries weights; on each bootstrap sample of the validation users the best of them are
    noted, and their average is taken (bagging: Breiman 1996, "Bagging predictors"; Caruana et al. 2006), so that
    adapters between which so few users cannot decide share the weight. The scores of members are less what the choice
    of their settings gained on the same users. By nested cross-validation, the weights of each fold are those found on
    the other folds.
    """
    ranked = sorted((result for result in results if result.mean > 0), key=lambda result: -result.mean)
    members = [result for result in ranked if not result.adapter._uses_all_threads][:MAX_MEMBERS]
    folds = comparison.folds[comparison.group]
    n_scores = sum(fold.history.shape[0] for fold in folds) * len(comparison.domain.items) * len(members)
    if members[:1] != ranked[:1] or len(members) < 2 or n_scores > MAX_CELLS:
        return None  # without the best, which takes long to train, there is nothing to gain
    if comparison.domain.base._predicts_ratings:
        return None
    of_folds: list[Any] = [None] * len(folds)

    def refit(start: int, stop: int) -> None:
        for place in range(start, stop):
            fold = folds[place]
            scored = [prepared(clone(member.adapter)._adapt(comparison.domain, fold.fit), fold) for member in members]
            of_folds[place] = ranked_values(scored, fold.history, fold.test, comparison.metric, fold.candidates)

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


def _bagged(tried: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Weights (M,): the mean of those, of weights tried (T, M), that are best on bootstrap samples of values (T, n)."""
    n_users = table.shape[1]
    counts = np.random.default_rng(0).multinomial(n_users, np.full(n_users, 1 / n_users), size=N_BOOTSTRAPS)
    weights: np.ndarray = tried[(counts @ table.T).argmax(axis=1)].mean(axis=0)
    weights = np.where(weights < MIN_WEIGHT, 0, weights)
    return (weights / weights.sum()).round(3)
