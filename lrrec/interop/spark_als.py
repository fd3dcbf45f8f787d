"""Models of Spark's ALS as lrrec models."""

import json
from pathlib import Path

import numpy as np

from lrrec.data import frames
from lrrec.data.ids import as_ids
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, FileFormatError
from lrrec.interop.factors import from_factors
from lrrec.models.ials import IALS
from lrrec.typing import Ids, MatrixLike, PathLike
from lrrec.validate import as_path, import_extra


def from_spark(
    path: PathLike, *, alpha: float = 1.0, reg: float = 0.1, users: Ids | None = None, items: Ids | None = None,
    seen: Interactions | MatrixLike | None = None,
) -> IALS:  # fmt: skip
    """Read a saved model of Spark's ALS of implicit feedback (implicitPrefs=True), without Spark.

    Needs pyarrow. (Of a model of ratings the scores of training users are Spark's too, but new users are not folded in
    as by Spark.)

    Parameters
    ----------
    path : path
        The folder that `ALSModel.save` wrote, on this machine.
    alpha, reg : float, defaults 1.0 and 0.1
        `alpha` and `regParam` of the ALS: a saved model does not hold them.
    users, items : sequence of ids, optional
        The ids that Spark's integers 0, 1, ... stand for, such as the `labels` of a StringIndexerModel; the integers
        themselves when not given.
    seen : Interactions or sparse matrix, shape (n_users, n_items), optional
        The training interactions, so that `recommend` can exclude seen items. Interactions are matched by id; the rows
        and columns of a matrix are the model's users and items, by rising integer.

    Returns
    -------
    IALS
        With objective="hu" and reg_exponent=1, by which new users are folded in as by Spark: training users whose
        values are all > 0 get their own factors.

    Raises
    ------
    FileFormatError
        If the folder holds no such model.

    Examples
    --------
    Of a folder that `ALSModel.save` wrote:

    >>> import lrrec
    >>> model = lrrec.interop.from_spark("als-model", alpha=1.0, reg=0.1)  # doctest: +SKIP
    >>> new = lrrec.Interactions.from_pairs(["new"], [0])
    >>> model.recommend_from(new, k=10)  # doctest: +SKIP
    """
    folder = as_path(path)
    try:
        files = sorted((folder / "metadata").glob("part-*"))
        kind = json.loads(files[0].read_text().splitlines()[0])["class"]
    except (OSError, LookupError, TypeError, ValueError, RecursionError):
        raise FileFormatError(f"path must be the folder of a saved Spark model, got {str(folder)!r}") from None
    if kind != "org.apache.spark.ml.recommendation.ALSModel":
        raise FileFormatError(f"path must be the folder of a saved ALSModel, got {kind!r}: pass the stage that is one")
    U, user_ids = _spark_factors(folder / "userFactors", users, "users")
    V, item_ids = _spark_factors(folder / "itemFactors", items, "items")
    return from_factors(
        U, V, users=user_ids, items=item_ids, seen=seen, objective="hu", alpha=alpha, reg=reg, reg_exponent=1.0
    )


def _spark_factors(folder: Path, labels: Ids | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The factors (n, D) in a folder of Parquet files, by rising integer, and the ids of their rows."""
    pyarrow_parquet = import_extra("pyarrow.parquet", None, "from_spark()")
    try:
        table = pyarrow_parquet.read_table(folder, columns=["id", "features"]).sort_by("id")
        rows, factors = table["id"].to_numpy(), frames.matrix_of_lists(table["features"])
    except (OSError, LookupError, TypeError, ValueError) as error:  # pyarrow's errors derive from these
        raise FileFormatError(f"{folder} must hold the Parquet files of factors: {error}") from None
    if labels is None:
        return factors, rows
    ids = as_ids(labels, name)
    if rows[0] < 0 or rows[-1] >= len(ids):
        raise DataError(f"{name} must have an id for each of Spark's integers up to {rows[-1]}, got {len(ids)}")
    return factors, ids[rows]
