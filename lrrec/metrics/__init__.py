"""Metrics: a registry of them, and `measure`, which computes several for many ranked lists at once.

A metric is one function (`ranking_metrics`, `rating_metrics`, `beyond_accuracy`) and one line of
`lrrec.metrics.registry.METRICS`; names, formulas and directions are read from there everywhere.

>>> import numpy as np, scipy.sparse as sp
>>> from lrrec.metrics import measure, parse
>>> relevant = sp.csr_array(np.array([[1.0, 0, 1]]))
>>> values, _ = measure(np.array([[2, 1]]), relevant, np.array([0]), ["recall@2", "mrr@2"])
>>> values.tolist()
[[0.5, 1.0]]
>>> metric, k = parse("recall@2")
>>> metric.formula, k
('|hits| / |relevant|', 2)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrrec.metrics.beyond_accuracy import Catalogue
    from lrrec.metrics.hits import Hits, count_hits, find_hits
    from lrrec.metrics.measurement import measure
    from lrrec.metrics.registry import METRICS, Metric, check_names, parse

# Public name -> module, imported when it is used: the registry alone does not need numba.
_HOME = {
    "Catalogue": "beyond_accuracy",
    "Hits": "hits",
    "METRICS": "registry",
    "Metric": "registry",
    "check_names": "registry",
    "count_hits": "hits",
    "find_hits": "hits",
    "measure": "measurement",
    "parse": "registry",
}
__all__ = [
    "METRICS", "Catalogue", "Hits", "Metric", "check_names", "count_hits", "find_hits", "measure", "parse",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lrrec.metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lrrec.metrics.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
