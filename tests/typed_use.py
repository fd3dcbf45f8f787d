"""What type checkers know of the public names: `make typecheck` reads this file, nothing runs it."""

from typing import Any, assert_type

import numpy as np
import scipy.sparse as sp

import lrrec
from lrrec import adapt, splits
from lrrec.datasets import Dataset
from lrrec.errors import DataError

data = lrrec.Interactions.from_pairs(["ann", "ben"], ["x", "y"])
assert_type(data, lrrec.Interactions)
assert_type(data.users, lrrec.IdMap)
assert_type(data.binarize(min_value=4), lrrec.Interactions)
assert_type(lrrec.datasets.load("made-up"), Dataset)

split = splits.by_user(data, random_state=0)
assert_type(split, lrrec.Split)
assert_type(split.train, lrrec.Interactions)

model = lrrec.IALS(n_factors=4, random_state=0).fit(split.train)  # fit returns the class itself
assert_type(model, lrrec.IALS)
assert_type(lrrec.EASE().fit(sp.csr_array(np.eye(3))), lrrec.EASE)
assert_type(lrrec.TruncatedSVD(8).fit(data), lrrec.TruncatedSVD)
lists = model.recommend(["ann"], k=3)
assert_type(lists, lrrec.Recommendations)
assert_type(model.recommend_from(data), lrrec.Recommendations)
assert_type(model.predict(["ann"], ["x"]), np.ndarray)
assert_type(model.update(data), lrrec.IALS)

result = lrrec.evaluate(model, split, metrics=["ndcg@10"])
assert_type(result, lrrec.Evaluation)
assert_type(result.mean(), dict[str, float])
assert_type(lrrec.compare({"ials": model}, split), lrrec.Comparison)
assert_type(lrrec.load("model.lrrec"), lrrec.Recommender)

adapter = adapt.LowRank(rank=2).fit(data, base=model)
assert_type(adapter, adapt.LowRank)
assert_type(adapter.merge(), lrrec.FactorModel)
assert_type(lrrec.LowRankAdapter().fit(data, base=model), lrrec.LowRankAdapter)
bank = lrrec.AdapterBank(model, {"jp": adapter})
assert_type(bank.recommend(["ann"], "jp"), lrrec.Recommendations)


def on_error(error: DataError) -> Any:
    """Errors are classes, not Any."""
    return error.args


lrrec.Interations  # type: ignore[attr-defined]  # a misspelled name is an error: mypy says so where it is none
lrrec.models.IASL  # type: ignore[attr-defined]
adapt.LowRnak  # type: ignore[attr-defined]
model.recomend(["ann"])  # type: ignore[attr-defined]
