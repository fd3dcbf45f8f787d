"""ItemIndex: recommendations of a factor model from an approximate-search index of its item factors."""

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec import files
from lrrec.errors import DataError, FileFormatError, ParameterTypeError
from lrrec.linalg.inner_product_search import GRAPHS, Graph
from lrrec.linalg.ranking import BLOCK_CELLS, top_k
from lrrec.linalg.threads import even_blocks
from lrrec.metrics import find_hits
from lrrec.models.base.finite import check_finite
from lrrec.models.base.model_files import fingerprint
from lrrec.models.base.recommends import Options, Recommends
from lrrec.models.base.results import Recommendations, masked_ids
from lrrec.typing import FileLike
from lrrec.validate import check_option

FILE_KIND = "ItemIndex"
GROWTH = 4  # of the number of candidates, for users whom too few are left


def write(path: FileLike, model: Any, kind: str) -> None:
    """Write an index of the model's items that have evidence."""
    check_option(kind, "kind", tuple(GRAPHS))
    graph = GRAPHS[kind].build(model.item_factors_[model.item_evidence_])
    arrays = {"index": np.frombuffer(graph.to_bytes(), dtype=np.uint8)} | files.pack_ids("items_", model.items_)
    of_model = fingerprint(model)
    files.write(path, FILE_KIND, {"kind": kind, "fingerprint": of_model}, arrays, fingerprint=of_model)


def read(path: FileLike, model: Any) -> "ItemIndex":
    """Return the index in a file, which must be of the model; see `lrrec.interop.open_index`."""
    if not hasattr(model, "to_index"):
        raise ParameterTypeError(f"model must be a factor model, got {type(model).__name__}")
    model._check_fitted()
    model = copy(model)
    name = files.name_of(path)
    stored_kind, params, arrays = files.read(path)
    if stored_kind != FILE_KIND:
        raise FileFormatError(f"{name} must be an index written by to_index(), got a file of {stored_kind!r}")
    kind, of_file, of_model = params.get("kind"), params.get("fingerprint"), fingerprint(model)
    if of_file != of_model:
        raise DataError(
            f"{name} is the index of another model (fingerprint {of_file}, this one is {of_model}): open it with the "
            "model that wrote it, or write it again by to_index()"
        )
    n = int(model.item_evidence_.sum())
    try:
        items = files.unpack_ids(name, "items_", arrays)
        files.check_names(name, arrays, ["index"])
        if items != model.items_:
            raise ValueError("its items are others than those of the model")
        graph = GRAPHS[str(kind)].from_bytes(arrays["index"].tobytes(), (n, model.item_factors_.shape[1]))
    except (KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{name} must be an index of the model's {n} items with evidence: {error}") from None
    return ItemIndex(model, graph)


class ItemIndex(Recommends):
    """A factor model that takes its candidates from an approximate-search index, with exact scores.

    Made by `lrrec.interop.open_index`. `recommend`, `recommend_from` and `recommend_all` take the options of
    `lrrec.Recommender` and return its `Recommendations`: the index finds candidates, as many as it takes until k are
    left of those that may be recommended, and the model scores them. Lists may lack an item of the model's lists where
    the index does not return it.

    Attributes
    ----------
    model : FactorModel
        As it was when the index was opened; it encodes the users.
    users_, items_, seen_, item_evidence_
        Of the model.

    Notes
    -----
    The model itself ranks all items where that costs less and where the index is of no use: when more than half of the
    catalogue would be candidates, with a list of candidates for each user, and for popular items.

    Examples
    --------
    With usearch, which `pip install 'lrrec[index]'` installs:

    >>> from lrrec import IALS, Interactions, interop
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = IALS(n_factors=2, random_state=0).fit(train)
    >>> model.to_index("items.index")  # doctest: +SKIP
    >>> index = interop.open_index("items.index", model)  # doctest: +SKIP
    >>> index.recommend(["bob"], k=1).items.tolist()  # doctest: +SKIP
    [['y']]
    """

    def __init__(self, model: Any, graph: Graph) -> None:
        self.model: Any = model
        self.graph: Graph = graph
        self._labels = np.flatnonzero(model.item_evidence_)  # the items of the graph's positions
        self._item_factors = model.item_factors_

    def __getattr__(self, name: str) -> Any:
        """What the model learned, and what `Recommends` needs of it."""
        if "model" not in vars(self) or name.startswith("__") or not (name.startswith("_") or name.endswith("_")):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.model, name)

    def _recommend(
        self, users: np.ndarray, encoded: Callable[[slice | np.ndarray], Any], cold: np.ndarray,
        seen: sp.csr_array, seen_rows: np.ndarray, options: Options,
    ) -> Recommendations:  # fmt: skip
        """Recommend as the model does, by the index where it helps."""
        indices = np.full((len(users), options.k), -1, dtype=np.int32)
        values = np.full((len(users), options.k), np.nan, dtype=np.float32)
        allowed, left_out = self._filters(seen, seen_rows, options)
        pending = np.flatnonzero(~cold)
        count = self._first_count(pending, options.k, allowed, left_out)
        while len(pending) and options.candidates.own is None and 2 * count <= len(self._labels):
            size = max(1, BLOCK_CELLS // (count * (self._item_factors.shape[1] + 1)))
            short = []
            for start, stop in even_blocks(len(pending), size):
                rows = pending[start:stop]
                not_for_them = [matrix[places[rows]] for matrix, places in left_out]
                done, *lists = self._search(encoded(rows), count, allowed, not_for_them, options)
                indices[rows[done]], values[rows[done]] = (part[done] for part in lists)
                short.append(rows[~done])
            pending, count = np.concatenate(short), GROWTH * count
        rest = np.union1d(pending, np.flatnonzero(cold))
        if len(rest):
            lists = self.model._recommend(
                users[rest], lambda part: encoded(rest[part]), cold[rest], seen, seen_rows[rest], options.of_rows(rest)
            )
            indices[rest], values[rest] = lists.indices, lists.scores.filled(np.nan)
        scores = np.ma.MaskedArray(values, mask=np.isnan(values))
        return Recommendations(scores=scores, users=users, items=masked_ids(self.items_, indices), indices=indices)

    def _filters(
        self, seen: sp.csr_array, seen_rows: np.ndarray, options: Options
    ) -> tuple[np.ndarray, list[tuple[sp.csr_array, np.ndarray]]]:
        """Which items may be recommended, and matrices of what may not be, with each user's row in them."""
        candidates, allowed = options.candidates, self.item_evidence_
        if candidates.shared is not None:
            allowed = allowed & np.isin(np.arange(len(allowed)), candidates.shared)
        if candidates.excluded is not None:
            allowed = allowed.copy()
            allowed[candidates.excluded] = False
        left_out = [(seen, seen_rows)] if options.exclude_seen else []
        if candidates.excluded_by_row is not None:
            left_out.append((candidates.excluded_by_row.sorted_indices(), np.arange(len(seen_rows))))
        return allowed, left_out

    def _first_count(
        self, users: np.ndarray, k: int, allowed: np.ndarray, left_out: list[tuple[sp.csr_array, np.ndarray]]
    ) -> int:
        """How many candidates to ask for first: enough for the average user, if filters leave out items at random."""
        n_allowed = np.count_nonzero(allowed)
        if not n_allowed or not len(users):
            return len(self._labels)
        ends = [(matrix.indptr, places[users]) for matrix, places in left_out]
        mean = sum(float((indptr[rows + 1] - indptr[rows]).mean()) for indptr, rows in ends)
        return int(np.ceil((k + mean) * len(self._labels) / n_allowed))

    def _search(
        self, U: np.ndarray, count: int, allowed: np.ndarray, left_out: list[sp.csr_array], options: Options
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which users (B, D) have k of `count` candidates left, and the k best of all, (B, k), with scores."""
        usable = np.isfinite(U).all(axis=1) & U.any(axis=1)  # the model refuses or masks others
        positions = self.graph.search(np.where(usable[:, None], U, np.float32(1)), count, options.n_threads)
        columns = np.sort(np.where(positions < 0, -1, self._labels[positions]), axis=1)  # rising, which breaks ties
        scores = np.einsum("bd,bmd->bm", U, self._item_factors[columns])
        check_finite(scores[usable])
        scores[(columns < 0) | ~allowed[columns]] = -np.inf
        for matrix in left_out:
            scores[find_hits(columns, matrix)] = -np.inf
        done = usable & (np.isfinite(scores).sum(axis=1) >= options.k)
        if options.threshold is not None:
            scores[scores < np.float32(options.threshold)] = -np.inf
        places, values = top_k(scores, options.k)
        if options.unknown == "popular":
            done &= places[:, -1] >= 0
        indices = np.where(places < 0, -1, np.take_along_axis(columns, np.maximum(places, 0), axis=1))
        return done, indices, values
