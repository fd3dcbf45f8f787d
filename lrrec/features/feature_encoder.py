"""FeatureEncoder: features of items or users from the columns of a table."""

import json
from collections.abc import Mapping
from typing import Any, Self

import narwhals as nw
import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec import files
from lrrec.data import frames, id_columns
from lrrec.data.features import Features
from lrrec.data.ids import IdMap
from lrrec.errors import DataError, FileFormatError, NotFittedError, ParameterError, ParameterTypeError
from lrrec.features.columns import Category, Column, Number, Tags, Vector
from lrrec.features.text import Text
from lrrec.typing import FrameLike, PathLike
from lrrec.validate import first_three

KINDS: dict[str, type[Column]] = {kind.__name__.lower(): kind for kind in (Number, Category, Tags, Text, Vector)}
MOST_TAGS = 2000  # of a column whose kind nobody named


class FeatureEncoder:
    """Make features from the columns of a table; one transformer for each column.

    A model that is fitted with the features remembers the encoder, saves it in its file, and then takes tables like
    that one in `with_items` and `recommend_from`.

    Parameters
    ----------
    columns : dict of column name to Column or its name in lower case, optional
        The columns to encode, and how: `{"genres": Tags(), "year": "number"}`. When not given, all columns beside the
        ids: those of numbers as `Number`, of truth values as `Category`, of lists and text as `Tags`. Text of more than
        2,000 different tags has to be named, as it may be a title or a description.
    id : str, optional
        The column of the ids of items or users. When not given, the index of a pandas frame, which has to be named, or
        other than 0, 1, 2 and so on.

    Attributes
    ----------
    columns_ : dict of column name to fitted Column
    feature_names_ : IdMap
        Of the features, all columns after each other: "year", "genres=Drama", "title=night".

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec import ItemContent, Interactions
    >>> from lrrec.features import FeatureEncoder, Number, Tags
    >>> genres, years = ["Drama|War", "Drama", "Comedy"], [1970, 1972, 1974]
    >>> films = pd.DataFrame({"film": ["x", "y", "z"], "genres": genres, "year": years})
    >>> encoder = FeatureEncoder({"genres": Tags(), "year": Number(weight=0.1)}, id="film")
    >>> features = encoder.fit_transform(films)
    >>> list(features.names)
    ['genres=Comedy', 'genres=Drama', 'genres=War', 'year']
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "y", "z"])
    >>> model = ItemContent().fit(train, item_features=features)
    >>> new = pd.DataFrame({"film": ["w"], "genres": ["War"], "year": [1971]})
    >>> model.with_items(["w"], new).recommend(["ann"], k=1).items.tolist()
    [['w']]
    """

    def __init__(self, columns: Mapping[str, Column | str] | None = None, *, id: str | None = None) -> None:
        self.columns = columns
        self.id = id

    def fit(self, table: FrameLike) -> Self:
        """Learn the values, words and sizes of the columns, forgetting any earlier fit.

        Parameters
        ----------
        table : pandas, polars or Arrow frame
            A row for each item, or user; their ids are distinct.

        Raises
        ------
        DataError
            If a column is missing or has values that its kind cannot encode, or ids repeat.
        ParameterError
            If a column has an unknown kind.
        """
        if self.columns is not None and not isinstance(self.columns, Mapping):
            raise ParameterTypeError(f"columns must be a dict of column name to kind, got {self.columns!r}")
        if self.id is not None and not isinstance(self.id, str):
            raise ParameterTypeError(f"id must be the name of a column, got {type(self.id).__name__}")
        frame = frames.eager(table)
        self._ids(frame)
        wanted = guess_columns(frame, self.id) if self.columns is None else dict(self.columns)
        if not wanted:
            raise ParameterError("columns must name a column at least, got none")
        fitted = {name: _column(kind, name) for name, kind in wanted.items()}
        for name, column in fitted.items():
            column._fit(_values(frame, name), name)
        self.columns_ = fitted
        names = [name for key, column in fitted.items() for name in column._feature_names(key)]
        self.feature_names_: IdMap = IdMap(names)
        return self

    def transform(self, table: FrameLike) -> Features:
        """Return the features of a table that has the columns of `fit`.

        Parameters
        ----------
        table : pandas, polars or Arrow frame

        Returns
        -------
        Features
            Sparse if most numbers are 0.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            If a column is missing or has values that it cannot encode, or ids repeat.
        """
        if not hasattr(self, "columns_"):
            raise NotFittedError("FeatureEncoder is not fitted: call fit() first")
        frame = frames.eager(table)
        ids = self._ids(frame)
        parts = [
            column._transform(_values(frame, name), name) * np.float32(column.weight)
            for name, column in self.columns_.items()
        ]
        n_dense = sum(part.shape[1] for part in parts if isinstance(part, np.ndarray))
        if 2 * n_dense > len(self.feature_names_):
            whole = [part if isinstance(part, np.ndarray) else part.toarray() for part in parts]
            features = Features(np.concatenate(whole, axis=1), ids, self.feature_names_)
        else:
            stacked = sp.hstack([sp.csr_array(part) for part in parts], format="csr")
            features = Features(stacked, ids, self.feature_names_)
        features.encoder = self
        return features

    def fit_transform(self, table: FrameLike) -> Features:
        """Return `fit(table).transform(table)`.

        Parameters
        ----------
        table : pandas, polars or Arrow frame
        """
        return self.fit(table).transform(table)

    def reads(self, table: Any) -> bool:
        """Return whether something is a frame with the columns that this encoder was fitted on.

        Parameters
        ----------
        table : Any
        """
        return frames.is_frame(table) and set(self.columns_) <= set(frames.eager(table).columns)

    def __repr__(self) -> str:
        columns = "" if self.columns is None else repr(dict(self.columns))
        return f"FeatureEncoder({columns}{', ' * bool(columns and self.id)}{f'id={self.id!r}' if self.id else ''})"

    def _ids(self, frame: nw.DataFrame[Any]) -> IdMap:
        """The ids of a table's rows, in their order."""
        name = self.id
        native = frame.to_native()
        if name is None or (isinstance(native, pd.DataFrame) and name not in native and native.index.name == name):
            index = native.index if isinstance(native, pd.DataFrame) else None
            if index is None or (index.name is None and isinstance(index, pd.RangeIndex)):  # rows are no ids
                raise DataError("id must name the column of ids, FeatureEncoder(..., id=...): the table has no index")
            name = "index" if native.index.name is None else str(native.index.name)
            series = nw.from_native(native.index.to_series().reset_index(drop=True), series_only=True)
        else:
            series = frames.column(frame, name, "id")
        distinct, places = id_columns.factorized(series, str(name))
        if len(distinct) < len(places):
            twice = distinct[np.bincount(places) > 1]
            raise DataError(f"{name} must have each id in one row, got {first_three(twice)} more than once")
        return IdMap(id_columns.final_ids(distinct, str(name))[places])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what `from_arrays` makes an equal encoder of."""
        spec = [[name, type(column).__name__, column._params()] for name, column in self.columns_.items()]
        text = json.dumps({"id": self.id, "columns": spec})
        arrays = {"json": np.frombuffer(text.encode(), dtype=np.uint8)}
        for place, column in enumerate(self.columns_.values()):
            arrays |= {f"{place}.{name}": getattr(column, name) for name in column._learned}
            for name in column._learned_ids:
                arrays |= files.pack_ids(f"{place}.{name}", getattr(column, name))
        return arrays

    @classmethod
    def from_arrays(cls, path: PathLike, arrays: dict[str, np.ndarray]) -> "FeatureEncoder":
        """Return the encoder that `to_arrays` was called on; the arrays are used up.

        Parameters
        ----------
        path : str
            Where the arrays are from, for errors.
        arrays : dict of str to ndarray

        Raises
        ------
        FileFormatError
            If the arrays are no encoder's.
        """
        try:
            spec = json.loads(arrays.pop("json").tobytes())
            kinds = [(name, KINDS[kind.lower()](**params)) for name, kind, params in spec["columns"]]
            columns = {name: _column(kind, name) for name, kind in kinds}
            encoder = cls(columns, id=spec["id"])
            for place, column in enumerate(columns.values()):
                for name in column._learned_ids:
                    setattr(column, name, files.unpack_ids(path, f"{place}.{name}", arrays))
                for name in column._learned:
                    setattr(column, name, arrays.pop(f"{place}.{name}"))
                column._check_loaded()
            encoder.columns_ = columns
            names = [name for key, column in columns.items() for name in column._feature_names(key)]
            encoder.feature_names_ = IdMap(names)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise FileFormatError(f"{path} must hold a consistent FeatureEncoder: {error}") from None
        files.check_names(path, arrays, ())
        return encoder


def guess_columns(frame: nw.DataFrame[Any], id: str | None) -> dict[str, Column]:
    """Return a kind for each column of a table beside the ids; see `FeatureEncoder`."""
    kinds: dict[str, Column] = {}
    for name in frame.columns:
        if name == id:
            continue
        if frame[name].dtype.is_numeric():
            kinds[name] = Number()
        elif frame[name].dtype == nw.Boolean:
            kinds[name] = Category()
        else:
            kinds[name] = Tags()
            n_tags = len(Tags()._fit(_values(frame, name), name).values_)
            if n_tags > MOST_TAGS:
                raise DataError(
                    f"column {name!r} must have at most {MOST_TAGS} different values to become a feature each, got "
                    f"{n_tags}: name the columns to encode, and Text() for free text, as in "
                    f"FeatureEncoder({{{name!r}: Text()}})"
                )
    return kinds


def encoded(features: Any, encoder: FeatureEncoder | None) -> Any:
    """Return features as they are, or those of a table that a model's encoder reads."""
    return encoder.transform(features) if encoder is not None and encoder.reads(features) else features


def _column(kind: Column | str, name: str) -> Column:
    """A new transformer of a kind, its parameters checked."""
    if isinstance(kind, str) and kind in KINDS:
        kind = KINDS[kind]()
    if not isinstance(kind, Column):
        shown = ", ".join(f"{known.__name__}()" for known in KINDS.values())
        raise ParameterError(f"columns[{name!r}] must be one of {shown}, or its name in lower case, got {kind!r}")
    kind._check()
    return type(kind)(**kind._params())


def _values(frame: nw.DataFrame[Any], name: str) -> pd.Series:
    """A column of a table as a pandas Series of Python's values, numbered from 0."""
    if name not in frame.columns:
        raise DataError(f"columns must name columns of the table, {first_three(frame.columns)}, got {name!r}")
    return pd.Series(frame[name].to_list(), dtype=object)
