"""LowRankAdapter: a low-rank change of a factor model, kept where nothing simpler is better."""

from collections.abc import Sequence
from typing import Any

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.kinds.low_rank import check_rank
from lrrec.adapt.selection.default_candidates import default_candidates
from lrrec.adapt.selection.folds import AS_SERVED
from lrrec.adapt.selection.parameter_search import THOROUGH
from lrrec.adapt.selection.selector import AdapterSelector
from lrrec.adapt.sources import Sources
from lrrec.errors import ParameterTypeError
from lrrec.models.base.factor_model import FactorModel


class LowRankAdapter(AdapterSelector):
    """Adapt a fitted factor model to a new domain by a low-rank change of its item factors, where that helps.

    Compares the change, `LowRank` (of a `NeuralMF`, `LowRankTowers`), with the base as it is, popularity, models of the
    target alone, item-item weights and item factors of full rank, on validation users of the target, and keeps the
    best, or a blend of the best; see `AdapterSelector`. No source data are needed beside the base, which never changes.

    Parameters
    ----------
    rank : int or "auto", default 8
        Rank of the change. "auto" takes the smallest within one standard error of the best rank.
    guard, metric, history, prefer, budget, blend, random_state
        As for `AdapterSelector`. guard=False keeps the low-rank change, tuned, whatever the comparison says.

    Attributes
    ----------
    best_, report_, verdict_, users_, items_
        As for `AdapterSelector`.

    Notes
    -----
    Up to seventy settings are tried in each of five folds. The same for any number of threads.

    Examples
    --------
    >>> import lrrec
    >>> dataset = lrrec.datasets.load("made-up")
    >>> likes = dataset.interactions(min_rating=4)
    >>> abroad = (dataset.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
    >>> base = lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(likes.filter(~abroad))
    >>> adapter = lrrec.LowRankAdapter(rank=4, budget="fast", random_state=0).fit(likes.filter(abroad), base=base)
    >>> len(adapter.report_), adapter.best_.label in adapter.report_["method"].tolist()
    (9, True)
    """

    def __init__(
        self,
        rank: int | str = 8,
        *,
        guard: bool = True,
        metric: str = "ndcg@20",
        history: float | int | str = AS_SERVED,
        prefer: str = "best",
        budget: float | str = THOROUGH,
        blend: bool = True,
        random_state: Any = None,
    ) -> None:
        self.rank = rank
        self.guard = guard
        self.metric = metric
        self.history = history
        self.prefer = prefer
        self.budget = budget
        self.blend = blend
        self.random_state = random_state

    def _candidates(self, base: Any, same_users: bool) -> Sequence[Adapter]:
        check_rank(self.rank)
        if not isinstance(base, FactorModel):
            name = "several models" if isinstance(base, Sources) else type(base).__name__
            raise ParameterTypeError(
                f"base must be a single factor model for a low-rank change, got {name}: use AdapterSelector()"
            )
        return default_candidates(base, self.rank, same_users=same_users)
