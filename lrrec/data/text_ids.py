"""The ids of a column of text that is read in parts: encoded by Arrow, so that only distinct ones become objects."""

from typing import Any

import numpy as np

from lrrec.data.frames import brief
from lrrec.data.id_columns import final_ids
from lrrec.data.id_counts import CHANGED
from lrrec.data.ids import IdMap, as_ids
from lrrec.errors import DataError
from lrrec.validate import import_extra

MIN_PENDING = 2**20  # distinct ids of parts that are put together whatever their share


def is_text(series: Any) -> bool:
    """Whether a narwhals series is an Arrow column of text, or of its dictionary."""
    native = series.to_native()
    if not hasattr(native, "dictionary_encode") or not hasattr(native, "chunks"):
        return False
    types = import_extra("pyarrow", None, "from_parquet").types
    values = native.type.value_type if types.is_dictionary(native.type) else native.type
    return bool(types.is_string(values) or types.is_large_string(values))


class TextIds:
    """As `IdCounts`, for text: `add` every part, `finish`, then `codes` of every part.

    The dictionaries of the parts are put together from time to time. The code of each row is kept, 4 bytes, so the
    column is read once.
    """

    def __init__(self, name: str, n_rows: int) -> None:
        self.name = name
        self._arrow = import_extra("pyarrow", None, "from_parquet")
        self._codes = np.empty(n_rows, dtype=np.int32)  # those of pending parts: in their own dictionaries
        self._begin = self._end = 0  # of the rows that are put together, or looked up; of all that were added
        self._known = self._arrow.array([], self._arrow.large_string())
        self._pending: list[tuple[int, Any]] = []  # rows, dictionary

    def add(self, series: Any) -> None:
        """Encode a part of the column, a narwhals series of Arrow without missing values."""
        for chunk in series.to_native().dictionary_encode().chunks:
            begin, self._end = self._end, self._end + len(chunk)
            if self._end > len(self._codes):
                raise DataError(f"{self.name} {CHANGED}")
            self._codes[begin : self._end] = chunk.indices.to_numpy()
            if self._pending and _is_same(self._pending[-1][1], chunk.dictionary):
                self._pending[-1] = self._pending[-1][0] + len(chunk), chunk.dictionary
            else:
                self._pending.append((len(chunk), chunk.dictionary))
        if sum(len(dictionary) for _, dictionary in self._pending) > max(MIN_PENDING, len(self._known)):
            self._put_together()

    def finish(self) -> tuple[IdMap, np.ndarray]:
        """Return the ids in sorted order, and how often each occurs, int64 (n,)."""
        self._put_together()
        counts = np.bincount(self._codes[: self._end], minlength=len(self._known))
        order = import_extra("pyarrow.compute", None, "from_parquet").sort_indices(self._known).to_numpy()
        order = order[counts[order] > 0]  # a dictionary may hold more than occurs
        try:
            texts = self._known.take(self._arrow.array(order)).to_numpy(zero_copy_only=False)
        except ValueError as error:
            raise DataError(f"{self.name} must be text that UTF-8 can hold: {brief(error)}") from None
        self._rank = np.zeros(len(counts), dtype=np.int32)
        self._rank[order] = np.arange(len(order))
        self._known, self._begin = None, 0
        return IdMap(final_ids(as_ids(texts, self.name), self.name)), counts[order]

    def codes(self, n_rows: int, series: Any = None) -> np.ndarray:
        """Return the index of the id of each of the next rows, int32 (n_rows,); the column is not needed again."""
        begin, self._begin = self._begin, self._begin + n_rows
        return self._rank[self._codes[begin : self._begin]]

    def _put_together(self) -> None:
        """Give the pending parts the codes of one dictionary of all."""
        if not self._pending:
            return
        text = self._arrow.large_string()
        known = [self._known] if len(self._known) else []  # first, so that its codes stay
        parts = [*known, *(dictionary.cast(text) for _, dictionary in self._pending)]
        encoded = self._arrow.chunked_array(parts, text).dictionary_encode().unify_dictionaries().chunks
        for (n_rows, _), part in zip(self._pending, encoded[len(known) :], strict=True):
            rows = slice(self._begin, self._begin + n_rows)
            self._codes[rows] = part.indices.to_numpy()[self._codes[rows]]
            self._begin += n_rows
        self._known, self._pending = encoded[0].dictionary, []


def _is_same(one: Any, other: Any) -> bool:
    """Whether two dictionaries are the same memory."""
    ours, theirs = ([part and part.address for part in array.buffers()] for array in (one, other))
    return len(one) == len(other) and one.offset == other.offset and ours == theirs
