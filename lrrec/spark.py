"""lrrec on Spark: recommend, adapt, evaluate and train where the data are. Needs lrrec[spark], on the workers too.

Works with classic sessions and with Spark Connect. What the workers run is in `lrrec.partitions`. A model is a file
that every worker can read under the same path; saved with histories=False it is smaller, and serves as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec import partitions
from lrrec.adapt import bank_files
from lrrec.adapt.domain_fits import check_unfitted
from lrrec.data.frames import check_roles, matrix_of_lists
from lrrec.data.ids import IdMap, as_ids
from lrrec.errors import DataError
from lrrec.evaluation.evaluation_result import Evaluation
from lrrec.evaluation.protocol import Candidates, Protocol
from lrrec.interop import from_factors
from lrrec.metrics.registry import DEFAULT_METRICS, check_names
from lrrec.models.base.candidates import UNKNOWN_ITEMS
from lrrec.models.base.recommends import UNKNOWN
from lrrec.models.base.results import MAX_K
from lrrec.models.ials import IALS
from lrrec.typing import Ids, PathLike, RandomState
from lrrec.validate import as_path, check_bool, check_int, check_option, check_real, check_rng, import_extra

functions = import_extra("pyspark.sql.functions", "spark", "lrrec.spark")
types = import_extra("pyspark.sql.types", "spark", "lrrec.spark")
sql = import_extra("pyspark.sql", "spark", "lrrec.spark")

MAX_TASKS = 10_000  # of one job
DOMAINS_OF_A_TASK = 10  # where they are many: starting a task takes longer than adapting to a small domain


def recommend(
    df: Any, model_path: PathLike, k: int = 10, *, user: str = "user", item: str = "item", value: str | None = None,
    exclude_seen: bool = True, items: Ids | Mapping[Any, Ids] | None = None,
    exclude: Ids | Mapping[Any, Ids] | None = None, unknown_items: str = "raise", threshold: float | None = None,
    unknown: str = "raise",
) -> Any:  # fmt: skip
    """Return the k best items of every user, from their histories: `Recommender.recommend_from` on a cluster.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        A row for each interaction of the users to recommend to, whether or not the model was trained on them. Values of
        repeated pairs are added.
    model_path : path
        A saved model, which all workers can read.
    k : int, default 10
    user, item : str, defaults "user", "item"
        Columns of ids: integers or strings.
    value : str, optional
        Column of numbers; 1 for every row when not given.
    exclude_seen, unknown_items, threshold
        As for `Recommender.recommend_from`.
    items, exclude : ids (m,), or mapping of user id to list, optional
        As for `Recommender.recommend_from`. They are sent to every worker.
    unknown : {"raise", "mask", "popular"}, default "raise"
        For users without an item of the model in their history: an error of the job, no rows, or popular items, whose
        score is NaN.

    Returns
    -------
    pyspark.sql.DataFrame
        user, item, rank (from 1) and score. Lazy: the workers begin when it is read or written.

    Raises
    ------
    DataError, ParameterError
        If an argument is invalid. Unknown ids and missing values, which only the workers see, fail the job.

    Notes
    -----
    One shuffle by user. A worker holds 65,536 interactions, or those of one user, at a time, and a block of scores.

    Examples
    --------
    >>> from lrrec import spark
    >>> lists = spark.recommend(df, "model.lrrec", k=10)  # doctest: +SKIP
    """
    options = {
        "path": _path(model_path), "k": check_int(k, "k", low=1, high=MAX_K), "items": _ids_for_all(items, "items"),
        "exclude": _ids_for_all(exclude, "exclude"), "exclude_seen": check_bool(exclude_seen, "exclude_seen"),
        "unknown": check_option(unknown, "unknown", UNKNOWN),
        "unknown_items": check_option(unknown_items, "unknown_items", UNKNOWN_ITEMS),
        "threshold": None if threshold is None else check_real(threshold, "threshold"),
    }  # fmt: skip
    rows = _rows(df, "df", user=user, item=item, value=value)
    schema = types.StructType([rows.schema["user"], rows.schema["item"]])
    schema = schema.add("rank", types.IntegerType()).add("score", types.FloatType())
    return _by_user(rows).mapInArrow(partial(partitions.recommend, **options), schema)


def adapt(
    df: Any, model_path: PathLike, path: PathLike, *, by: str = "domain", user: str = "user", item: str = "item",
    value: str | None = None, adapter: Any = None, max_rows: int = 2_000_000, float16: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Adapt a model to every domain, many at a time, and write the adapters to a folder for `AdapterBank.load`.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        A row for each interaction of the domains' users.
    model_path : path
        The base: a saved model, which all workers can read.
    path : path
        The folder to write on this machine. A bank in it is replaced atomically, at the end.
    by : str, default "domain"
        Column of the domains: integers or strings.
    user, item, value
        Columns, as for `recommend`.
    adapter : adapter, optional
        Unfitted; `LowRankAdapter()`, with its guard, when not given.
    max_rows : int, default 2000000
        Interactions of a domain, at most: one worker holds them all, in a few hundred bytes each.
    float16 : bool, default False
        Store the adapters in half precision.

    Returns
    -------
    pandas.DataFrame
        A row a domain, sorted: its name, method, users, parameters, verdict. A domain whose data cannot be used has no
        method and no adapter; its verdict says why.

    Raises
    ------
    DataError
        If a domain has more than max_rows interactions, or no name; before anything is fitted.

    Notes
    -----
    Each domain is fitted on one thread. A task takes one domain, or about ten where there are ten times as many as
    `spark.sql.shuffle.partitions` says. The driver writes the adapters: a task that is repeated does no harm.

    Examples
    --------
    >>> from lrrec import spark
    >>> table = spark.adapt(df, "model.lrrec", "adapters", by="country")  # doctest: +SKIP
    """
    adapter, folder = check_unfitted(adapter), _path(path, "path")
    max_rows, float16 = check_int(max_rows, "max_rows", low=1), check_bool(float16, "float16")
    fit = partial(partitions.adapt, path=_path(model_path), adapter=adapter, float16=float16)
    rows = _rows(df, "df", by=by, user=user, item=item, value=value).withColumnRenamed("by", "domain")
    n_domains = _check_sizes(rows, by, max_rows)
    bank_files.make_folder(folder)
    schema = (
        types.StructType([rows.schema["domain"]])
        .add("method", "string").add("users", "long").add("parameters", "long")
        .add("verdict", "string").add("adapter", "binary")
    )  # fmt: skip
    at_once = int(df.sparkSession.conf.get("spark.sql.shuffle.partitions"))
    n_tasks = min(max(at_once, n_domains // DOMAINS_OF_A_TASK), n_domains, MAX_TASKS)
    tasks = rows.repartition(n_tasks, "domain").groupBy("domain")
    table = tasks.applyInArrow(lambda group: fit(group), schema).toArrow().sort_by("domain")  # it takes no partial
    contents = zip(table["domain"].to_pylist(), table["adapter"].to_pylist(), strict=True)
    bank_files.write(folder, {domain: content for domain, content in contents if content is not None})
    verdicts: pd.DataFrame = table.drop_columns("adapter").to_pandas(integer_object_nulls=True)
    return verdicts.rename(columns={"domain": by})


def evaluate(
    df_history: Any, df_test: Any, model_path: PathLike, metrics: Sequence[str] = DEFAULT_METRICS, *,
    user: str = "user", item: str = "item", value: str | None = None, exclude_seen: bool | None = None,
) -> Evaluation:  # fmt: skip
    """Evaluate a model on users who are served from their histories: `lrrec.evaluate` on a cluster.

    Parameters
    ----------
    df_history, df_test : pyspark.sql.DataFrame
        A row for each interaction: what the users are served from, and what is relevant to them. Users without a test
        interaction are left out; those without any history are served popular items.
    model_path : path
        A saved model, which all workers can read; it must not have been trained on the test interactions.
    metrics : sequence of str, default ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
        Ranking metrics, as NAME@K; see `lrrec.metrics.METRICS`.
    user, item, value
        Columns of both frames, as for `recommend`.
    exclude_seen : bool, optional
        Whether items of a user's history are kept out of the list: by default they are, unless test interactions repeat
        the history.

    Returns
    -------
    Evaluation
        That of `lrrec.evaluate` on `Split.from_frames(train, test, history)`. A number for each user and metric comes
        back to the driver.

    Raises
    ------
    DataError
        If there is no test interaction.

    Examples
    --------
    >>> from lrrec import spark
    >>> result = spark.evaluate(df_history, df_test, "model.lrrec", ["ndcg@10"])  # doctest: +SKIP
    """
    names = check_names(metrics, ("ranking",))
    exclude_seen = None if exclude_seen is None else check_bool(exclude_seen, "exclude_seen")
    path, columns = _path(model_path), {"user": user, "item": item, "value": value}
    history, test = _rows(df_history, "df_history", **columns), _rows(df_test, "df_test", **columns)
    for role in ("user", "item"):
        if history.schema[role].dataType != test.schema[role].dataType:
            raise DataError(f"{role} must be integers, or strings, in both df_history and df_test: convert one of them")
    if exclude_seen is None:
        exclude_seen = test.join(history, ["user", "item"], "left_semi").isEmpty()
    both = history.withColumn("is_test", functions.lit(False)).unionByName(
        test.withColumn("is_test", functions.lit(True))
    )
    schema = (
        types.StructType([history.schema["user"]])
        .add("history_size", "long").add("values", types.ArrayType(types.DoubleType()))
        .add("n_items", "long").add("lowest", "double").add("highest", "double")
    )  # fmt: skip
    work = partial(partitions.evaluate_users, path=path, metrics=names, exclude_seen=exclude_seen)
    table = _by_user(both).mapInArrow(work, schema).toArrow().sort_by("user")
    if not table.num_rows:
        raise DataError("df_test must have at least one row, got none")
    users, sizes = as_ids(table["user"].to_numpy(), "user"), table["history_size"].to_numpy()
    n_items, lowest, highest = (table[name].to_numpy() for name in ("n_items", "lowest", "highest"))
    protocol = Protocol(
        tuple(names), Candidates("all", int(n_items.max())), len(users), value_range=(lowest.min(), highest.max()),
        served_from="history", exclude_seen=exclude_seen, n_cold=int((sizes == 0).sum()),
    )  # fmt: skip
    values = matrix_of_lists(table["values"])
    return Evaluation(users, dict(zip(names, values.T.copy(), strict=True)), sizes, protocol)


def fit_als(
    df: Any, n_factors: int = 64, *, user: str = "user", item: str = "item", value: str | None = None,
    alpha: float = 1.0, reg: float = 0.1, n_iter: int = 10, n_blocks: int = 10, random_state: RandomState = None,
) -> IALS:  # fmt: skip
    """Train implicit-feedback ALS with Spark's MLlib, and return it as a model of lrrec.

    Minimises the objective "hu" of `IALS` with confidence 1 + alpha r and reg_exponent 1.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        A row for each interaction. Values of repeated pairs are added.
    n_factors : int, default 64
    user, item : str, defaults "user", "item"
        Columns of ids: integers of up to 64 bits, or strings.
    value : str, optional
        Column of numbers > 0; 1 for every row when not given.
    alpha : float, default 1.0
        Weight of a value. Typical: 1 to 40.
    reg : float, default 0.1
        Regularization, > 0; MLlib's regParam.
    n_iter, n_blocks : int, default 10
        Iterations; and into how many blocks MLlib cuts users and items: more for more workers.
    random_state : int, Generator or None, default None
        With a number, equal partitions of df give equal factors.

    Returns
    -------
    IALS
        Folding in a training user gives MLlib's factors of them, up to rounding.

    Raises
    ------
    DataError
        If an id is missing, or a value is not > 0.

    Notes
    -----
    The driver holds the model and the interactions, 12 bytes each: set spark.driver.maxResultSize accordingly.

    Examples
    --------
    >>> from lrrec import spark
    >>> spark.fit_als(df, n_factors=64).save("model.lrrec")  # doctest: +SKIP
    """
    options = {
        "rank": check_int(n_factors, "n_factors", low=1), "alpha": check_real(alpha, "alpha", low=0, open_low=True),
        "regParam": check_real(reg, "reg", low=0, open_low=True), "maxIter": check_int(n_iter, "n_iter", low=1),
        "numUserBlocks": check_int(n_blocks, "n_blocks", low=1), "numItemBlocks": n_blocks,
        "seed": int(check_rng(random_state).integers(2**31)),
    }  # fmt: skip
    rows = _rows(df, "df", user=user, item=item, value=value)
    value_column = functions.col("value") if value is not None else functions.lit(1.0)
    with _cached(rows.select("user", "item", value_column.alias("value"))) as rows:
        _check_complete(rows)
        maps = [IdMap(_distinct(rows, name)) for name in ("user", "item")]
        pairs = rows.groupBy("user", "item").agg(functions.sum("value").alias("value"))
        for name, ids in zip(("user", "item"), maps, strict=True):
            pairs = pairs.join(_numbered(df.sparkSession, ids, name), name).drop(name)
        als = import_extra("pyspark.ml.recommendation", "spark", "fit_als()").ALS(
            implicitPrefs=True, userCol="user_index", itemCol="item_index", ratingCol="value", **options
        )
        with _cached(pairs) as pairs:
            fitted, seen = als.fit(pairs), pairs.toArrow()
    U, V = (
        matrix_of_lists(factors.toArrow().sort_by("id")["features"])
        for factors in (fitted.userFactors, fitted.itemFactors)
    )
    cells = seen["user_index"].to_numpy(), seen["item_index"].to_numpy()
    matrix = sp.csr_array((seen["value"].to_numpy(), cells), shape=(len(U), len(V)))
    return from_factors(
        U, V, users=maps[0].ids, items=maps[1].ids, seen=matrix, objective="hu", alpha=alpha, reg=reg,
        reg_exponent=1.0, n_iter=n_iter,
    )  # fmt: skip


def _path(path: Any, name: str = "model_path") -> str:
    path = as_path(path, name)
    return str(path.absolute() if path.exists() else path)  # workers may run in another folder


def _ids_for_all(ids: Any, name: str) -> Any:
    """Ids that are the same for all users, or a mapping from their ids: a list for each row would be by position."""
    return ids if ids is None or isinstance(ids, Mapping) else as_ids(ids, name)


def _rows(df: Any, frame_name: str, **names: Any) -> Any:
    """The named columns of a DataFrame, called by their roles: ids as 64-bit integers or strings, values as doubles."""
    roles = check_roles(**names)
    if not isinstance(df, sql.DataFrame):
        raise DataError(
            f"{frame_name} must be a DataFrame of Spark, got {type(df).__name__}: spark.createDataFrame(frame) makes "
            "one of a pandas frame"
        )
    columns = []
    for role, name in roles.items():
        if df.columns.count(name) != 1:
            raise DataError(f"{role} must name one of the columns {', '.join(df.columns)}, got {name!r}")
        kind = df.schema[name].dataType
        if role == "value" and isinstance(kind, types.NumericType | types.BooleanType):
            kind = types.DoubleType()
        elif role != "value" and isinstance(kind, types.IntegralType):
            kind = types.LongType()
        elif role != "value" and isinstance(kind, types.StringType):
            kind = types.StringType()  # compared by bytes, whatever the collation
        else:
            wanted = "numbers" if role == "value" else "integers or strings"
            raise DataError(f"column {name!r} ({role}) must hold {wanted}, got {kind.simpleString()}: convert it")
        columns.append(functions.col("`" + name.replace("`", "``") + "`").cast(kind).alias(role))
    return df.select(*columns)


def _by_user(rows: Any) -> Any:
    """Rows with all rows of a user in one partition, next to each other."""
    return rows.repartition("user").sortWithinPartitions("user")


@contextmanager
def _cached(frame: Any) -> Iterator[Any]:
    """A DataFrame that is computed once."""
    try:
        yield frame.cache()
    finally:
        frame.unpersist()


def _check_sizes(rows: Any, by: str, max_rows: int) -> int:
    """The number of domains; refuse those that are too large for a worker, or without a name."""
    with _cached(rows.groupBy("domain").count()) as sizes:
        wrong = sizes.where((functions.col("count") > max_rows) | functions.col("domain").isNull())
        for name, n_rows in wrong.orderBy(functions.desc("count")).limit(1).collect():
            if name is None:
                raise DataError(f"column {by!r} (by) must not be missing, got {n_rows:,} missing")
            raise DataError(
                f"domain {name!r} has {n_rows:,} interactions, and max_rows is {max_rows:,}: one worker would have to "
                f"hold them. Sample its users, leave it out, or pass max_rows={n_rows}"
            )
        n_domains: int = sizes.count()
    if not n_domains:
        raise DataError("df must have at least one row, got none")
    return n_domains


def _check_complete(rows: Any) -> None:
    """Refuse interactions that MLlib would drop, or take for something else."""
    value = functions.col("value")
    usable = (value > 0) & (value <= float(np.finfo(np.float32).max))  # NaN is larger than all
    ids = functions.col("user").isNotNull() & functions.col("item").isNotNull()
    wrong = rows.where(~(ids & functions.coalesce(usable, functions.lit(False)))).limit(1).collect()
    if wrong:
        raise DataError(f"user and item must not be missing, and value must be > 0, got the row {tuple(wrong[0])}")


def _distinct(rows: Any, name: str) -> np.ndarray:
    """The distinct ids of a column, sorted."""
    ids = as_ids(rows.select(name).distinct().toArrow()[name].to_numpy(), name)
    if not len(ids):
        raise DataError("df must have at least one row, got none")
    return np.sort(ids)


def _numbered(session: Any, ids: IdMap, name: str) -> Any:
    """A DataFrame of ids and their indices: MLlib takes integers of 32 bits alone."""
    arrow = import_extra("pyarrow", "spark", "lrrec.spark")
    return session.createDataFrame(arrow.table({name: ids.ids, f"{name}_index": np.arange(len(ids), dtype=np.int32)}))
