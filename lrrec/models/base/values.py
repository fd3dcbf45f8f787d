"""What values a model takes."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.interactions import Interactions
from lrrec.data.recency import refuse_decayed
from lrrec.errors import DataError
from lrrec.linalg.sparse import positive
from lrrec.validate import are_of_kind, first_three, warn


def usable(data: Interactions, kind: str, name: str, model: str, *, ratings: bool = False) -> Interactions:
    """Return the interactions whose values a model takes: 0 is left out, with a warning, and negative ones refused.

    kind: "positive", "signed" (negative values too) or "any" (0 too). ratings: whether values are not weights.
    """
    if ratings:
        refuse_decayed(data, model, "its values are ratings, which weights would falsify")
    values = data.matrix.data
    good = are_of_kind(values, kind)
    if good.all():
        return data
    bad = np.flatnonzero((values < 0) & (kind == "positive"))
    if len(bad):
        of_user, of_item = data.rows()[bad], data.matrix.indices[bad]
        pairs = zip(data.users.ids[of_user].tolist(), data.items.ids[of_item].tolist(), strict=True)
        raise DataError(
            f"{name} must have values >= 0 for {model}, got {values[bad[0]]:g} for user and item {first_three(pairs)}. "
            "Negative values in data are taken by ALS, as ratings, and by IALS, as dislikes; for others keep what "
            "counts as positive, by binarize(min_value=...)"
        )
    warn(
        f"{name}: {int((~good).sum())} of {len(data)} interactions have value 0 and are left out of {model}; use ALS, "
        "or shift the scale, if 0 is a rating"
    )
    return data.filter(good)


def has_likes(matrix: sp.csr_array) -> np.ndarray:
    """Return which rows have a value > 0, bool (n_rows,)."""
    return np.diff(positive(matrix).indptr) > 0


def stored_zeros(X: Any) -> int:
    """Return the number of zeros that somebody wrote into a sparse matrix, or a pivot table without NaN."""
    if sp.issparse(X):
        return int((X.data == 0).sum()) if X.format in ("csr", "csc", "coo") else 0
    if isinstance(X, pd.DataFrame) and not X.isna().to_numpy().any():
        return int((X == 0).to_numpy().sum())
    return 0
