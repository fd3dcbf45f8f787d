"""What a cluster runs: functions of the Arrow batches of a partition, or of the Arrow table of a group.

They can be pickled, and need no Spark. Each process opens a model's file once, memory-mapped: the processes of a
machine share one copy. Columns are called user, item, value and domain. All rows of a user are next to each other in
one partition, in as many batches as they come in.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.domain_fitter import DomainFitter
from lrrec.data.alignment import align
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError
from lrrec.evaluation.evaluator import evaluate
from lrrec.linalg.threads import on_one_thread
from lrrec.loading import load
from lrrec.models.base.recommender import Recommender
from lrrec.splits import Split
from lrrec.typing import FrameLike
from lrrec.validate import as_path, import_extra

BLOCK_ROWS = 2**16  # interactions of whole users that are worked on at once


def recommend(batches: Iterable[Any], *, path: str, k: int, **options: Any) -> Iterator[Any]:
    """Yield record batches of user, item, rank and score: `Recommender.recommend_from` of a partition's users.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Of user, item and, optionally, value.
    path : str
        The file of a model.
    k, **options
        As for `Recommender.recommend_from`.
    """
    arrow, model = _pyarrow(), open_model(path)
    for table in whole_users(batches):
        lists = model.recommend_from(_interactions(table), k, n_threads=1, **options)
        frame = lists.to_frame("pyarrow")
        yield from frame.set_column(2, "rank", frame["rank"].cast(arrow.int32())).to_batches(BLOCK_ROWS)


def adapt(table: Any, *, path: str, adapter: Any, float16: bool = False) -> Any:
    """Return an Arrow table of a row for each domain, as `DomainFitter` does, on one thread.

    A domain whose data cannot be used has no adapter; the verdict says why.

    Parameters
    ----------
    table : pyarrow.Table
        All rows of one domain: domain, user, item and, optionally, value.
    path : str
        The file of the base.
    adapter : adapter
        Unfitted.
    float16 : bool, default False
    """
    fit = DomainFitter(open_model(path), adapter, value=_value(table), float16=float16)
    try:
        (row,) = on_one_thread(partial(fit, table)).to_dict("records")
    except DataError as error:
        row = {"domain": table["domain"][0].as_py(), "verdict": f"not adapted: {error}"}
    return _pyarrow().Table.from_pylist([row], _verdict_schema(table))


def evaluate_users(batches: Iterable[Any], *, path: str, metrics: Sequence[str], exclude_seen: bool) -> Iterator[Any]:
    """Yield record batches of the metrics of test users: `lrrec.evaluate`, on one thread.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Of user, item, value and is_test: interactions of the histories and of the test.
    path : str
        The file of a model.
    metrics : sequence of str
        Ranking metrics.
    exclude_seen : bool

    Yields
    ------
    pyarrow.RecordBatch
        user, history_size, values (a list in the order of the metrics); and, of the block that the user was in,
        n_items, lowest and highest (test values).
    """
    arrow, model = _pyarrow(), open_model(path)
    for table in whole_users(batches):
        test = table.filter(table["is_test"])
        if not test.num_rows:
            continue
        split = _split(model, _interactions(test), table.filter(arrow.compute.invert(table["is_test"])))
        result = on_one_thread(partial(evaluate, model, split, metrics=metrics, exclude_seen=exclude_seen))
        n, (lowest, highest) = len(result.users), result.protocol.value_range
        yield arrow.RecordBatch.from_pydict({
            "user": arrow.array(result.users),
            "history_size": arrow.array(result.history_sizes, arrow.int64()),
            "values": arrow.array(np.column_stack(list(result.values.values())).tolist()),
            "n_items": arrow.array(np.full(n, len(model.items_))),
            "lowest": arrow.array(np.full(n, lowest)),
            "highest": arrow.array(np.full(n, highest)),
        })  # fmt: skip


def open_model(path: str) -> Recommender:
    """Return the model of a file, memory-mapped; a process opens it again only when the file has been replaced."""
    replaced = os.stat(path).st_mtime_ns if as_path(path, "model_path").is_file() else None
    return _opened(path, replaced)


@lru_cache(maxsize=2)
def _opened(path: str, replaced: int | None) -> Recommender:
    return load(path, mmap=True)


def whole_users(batches: Iterable[Any], n_rows: int = BLOCK_ROWS) -> Iterator[Any]:
    """Yield tables of n_rows rows or a few more, with all rows of their users, of batches with each user's together."""
    arrow, pending, n_pending = _pyarrow(), [], 0
    for batch in batches:
        pending.append(batch)
        n_pending += batch.num_rows
        if n_pending < max(n_rows, 1):
            continue
        table = arrow.Table.from_batches(pending)
        start = arrow.compute.index(table["user"], table["user"][-1]).as_py()  # of the last user, who may go on
        if start > 0:
            yield table.slice(0, start)
            pending, n_pending = table.slice(start).to_batches(), n_pending - start
    if n_pending:
        yield arrow.Table.from_batches(pending)


def _split(model: Recommender, test: Interactions, history: Any) -> Split:
    """A split of test users who are served from their histories, over the model's items and what others there are."""
    users, parts = test.users, [test]
    if history.num_rows:
        parts.append(_interactions(history))
    others = [part.items.ids[model.items_.find(part.items.ids) < 0] for part in parts]
    items = model.items_
    if any(map(len, others)):
        items = IdMap(np.concatenate([items.ids, np.unique(np.concatenate([ids for ids in others if len(ids)]))]))
    nothing = Interactions(sp.csr_array((len(users), len(items)), dtype=np.float32), users, items)
    aligned = [align(part, users, items) for part in parts]
    return Split(nothing, aligned[1] if len(aligned) > 1 else align(nothing, users, items), aligned[0])


def _interactions(table: FrameLike) -> Interactions:
    return Interactions.from_frame(table, value=_value(table), duplicates="sum")


def _value(table: Any) -> str | None:
    return "value" if "value" in table.column_names else None


def _verdict_schema(table: Any) -> Any:
    """Of a row for each domain."""
    arrow = _pyarrow()
    return arrow.schema([
        ("domain", table.schema.field("domain").type), ("method", arrow.string()), ("users", arrow.int64()),
        ("parameters", arrow.int64()), ("verdict", arrow.string()), ("adapter", arrow.binary()),
    ])  # fmt: skip


def _pyarrow() -> Any:
    import_extra("pyarrow.compute", "spark", "lrrec.partitions")
    return import_extra("pyarrow", "spark", "lrrec.partitions")
