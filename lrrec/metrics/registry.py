"""The registry of metrics: a metric is one function and one line of `METRICS`.

Nothing heavy is imported until a metric is computed, so that the command line can name them all at once.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lrrec.errors import ParameterError, ParameterTypeError

METRIC_KINDS = {  # kind -> module of its functions
    "ranking": "ranking_metrics",  # one value per list, from the hits among its first k places
    "full ranking": "ranking_metrics",  # one value per list, from the ranking of all candidates
    "rating": "rating_metrics",  # one value per user, from the predicted values of the test interactions
    "list": "beyond_accuracy",  # one value per list, whatever is relevant
    "catalogue": "beyond_accuracy",  # one number for the lists of all users together
}
DEFAULT_METRICS = ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
PER_LIST = ("ranking", "full ranking", "list")
WITH_CUTOFF = ("ranking", "list", "catalogue")


@dataclass(frozen=True)
class Metric:
    """A metric of the registry.

    Attributes
    ----------
    name : str
    function_name : str
        In the module of the kind.
    kind : {"ranking", "full ranking", "rating", "list", "catalogue"}
        See `METRIC_KINDS`.
    greater_is_better : bool
    formula : str
        As the report prints it.

    Examples
    --------
    >>> from lrrec.metrics import METRICS
    >>> metric = METRICS["mrr"]
    >>> metric.formula
    '1 / rank of the first hit, 0 without a hit'
    >>> metric.kind, metric.has_cutoff, metric.greater_is_better
    ('ranking', True, True)
    """

    name: str
    function_name: str
    kind: str
    greater_is_better: bool
    formula: str

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The function of the metric.

        By kind: ranking: (Hits, k) -> (B,); full ranking: (Hits) -> (B,); rating: (errors, rows, n_users) ->
        (n_users,); list: (lists, Catalogue) -> (B,); catalogue: (exposures) -> float.
        """
        return getattr(importlib.import_module(f"lrrec.metrics.{METRIC_KINDS[self.kind]}"), self.function_name)

    @property
    def has_cutoff(self) -> bool:
        """Whether the metric is written NAME@K."""
        return self.kind in WITH_CUTOFF


METRICS = {
    metric.name: metric
    for metric in (
        Metric("ndcg", "ndcg", "ranking", True,
               "sum over hits of 1 / log2(rank + 1), divided by the same sum of min(k, |relevant|) hits on top"),
        Metric("recall", "recall", "ranking", True, "|hits| / |relevant|"),
        Metric("capped-recall", "capped_recall", "ranking", True, "|hits| / min(k, |relevant|)"),
        Metric("precision", "precision", "ranking", True, "|hits| / k"),
        Metric("map", "average_precision", "ranking", True,
               "sum over hits of the precision at their rank, divided by |relevant|"),
        Metric("capped-map", "capped_average_precision", "ranking", True,
               "sum over hits of the precision at their rank, divided by min(k, |relevant|)"),
        Metric("mrr", "reciprocal_rank", "ranking", True, "1 / rank of the first hit, 0 without a hit"),
        Metric("hit", "hit_rate", "ranking", True, "1 with a hit, 0 without"),
        Metric("err", "expected_reciprocal_rank", "ranking", True,
               "sum over hits of 2^-j / rank, for the j-th hit"),
        Metric("r-precision", "r_precision", "ranking", True,
               "hits among the first min(k, |relevant|) places, divided by |relevant|"),
        Metric("graded-ndcg", "graded_ndcg", "ranking", True,
               "sum over hits of value / log2(rank + 1), divided by the same sum of the k largest values"),
        Metric("auc", "auc", "full ranking", True,
               "fraction of (relevant, other) pairs of candidates ranked correctly, ties count 1/2"),
        Metric("rmse", "rmse", "rating", False, "sqrt(mean of (predicted - true)^2), per user"),
        Metric("mae", "mae", "rating", False, "mean of |predicted - true|, per user"),
        Metric("novelty", "novelty", "list", True,
               "mean over the list of -log2(users with the item / users)"),
        Metric("popularity", "popularity", "list", False, "mean over the list of users with the item"),
        Metric("diversity", "diversity", "list", True,
               "mean over pairs of items of the list of 1 - cosine(vectors)"),
        Metric("coverage", "coverage", "catalogue", True, "items in at least one list / items"),
        Metric("gini", "gini", "catalogue", False,
               "sum over j of (2 j - n - 1) e_j / (n sum e), e_1 <= ... <= e_n: lists with each of n items"),
    )
}  # fmt: skip


def parse(name: str, kinds: Iterable[str] = tuple(METRIC_KINDS)) -> tuple[Metric, int | None]:
    """Return the metric and the cutoff k of a name such as "ndcg@10"; k is None for metrics without a cutoff.

    Parameters
    ----------
    name : str
    kinds : iterable of str, optional
        The kinds of metrics that are accepted; all when not given.

    Raises
    ------
    ParameterError
        If there is no such metric among those kinds.

    Examples
    --------
    >>> from lrrec.metrics import parse
    >>> metric, k = parse("ndcg@10")
    >>> metric.name, k
    ('ndcg', 10)
    >>> parse("rmse")[1] is None
    True
    """
    from lrrec.validate import check_option  # which imports numpy: the command line's help does not wait for it

    if not isinstance(kinds, list | tuple | set):
        raise ParameterTypeError(f"kinds must be a list of kinds of metrics, got {kinds!r}")
    for kind in kinds:
        check_option(kind, "kinds", tuple(METRIC_KINDS))
    match = re.fullmatch(r"([a-z-]+)(?:@([1-9][0-9]*))?", name) if isinstance(name, str) else None
    accepted = [metric for metric in METRICS.values() if metric.kind in kinds]
    metric = METRICS.get(match[1]) if match else None
    if match is None or metric not in accepted or metric.has_cutoff != (match[2] is not None):
        with_cutoff = ", ".join(metric.name for metric in accepted if metric.has_cutoff)
        without = ", ".join(metric.name for metric in accepted if not metric.has_cutoff)
        message = f"a metric must be NAME@K with NAME one of {with_cutoff} and K >= 1"
        raise ParameterError(f"{message}{f', or one of {without}' if without else ''}, got {name!r}")
    return metric, int(match[2]) if match[2] else None


def check_names(metrics: str | Sequence[str], kinds: Iterable[str] = tuple(METRIC_KINDS)) -> list[str]:
    """Return the distinct names of metrics, in their order; refuse names that `parse` refuses, and an empty list.

    Parameters
    ----------
    metrics : str or sequence of str
    kinds : iterable of str, optional
        As for `parse`.

    Raises
    ------
    ParameterError
        If there is no name, or no such metric among those kinds.

    Examples
    --------
    >>> from lrrec.metrics import check_names
    >>> check_names(["ndcg@10", "auc", "ndcg@10"])
    ['ndcg@10', 'auc']
    """
    names = [metrics] if isinstance(metrics, str) else metrics
    if not isinstance(names, list | tuple | set) or not names:
        raise ParameterError(f"metrics must be a list of at least one metric, got {metrics!r}")
    for name in names:
        parse(name, kinds)
    return list(dict.fromkeys(names))
