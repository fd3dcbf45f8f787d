"""How a column of a table becomes numbers: standardized, or a feature for each value, tag, or place of a vector."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from inspect import signature
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.errors import DataError, ParameterError
from lrrec.validate import check_bool, check_int, check_option, check_real, first_three

UNSEEN = ("ignore", "error")


class Column(ABC):
    """How the values of a column become numbers; `FeatureEncoder` has one for each column that it uses.

    A value is missing where it is None or NaN, and where it is empty text: its numbers are all 0, which says nothing.
    Attributes that end in an underscore hold what `fit` learned: arrays, and one `IdMap`.

    Parameters
    ----------
    weight : float, default 1.0
        Factor of the numbers, > 0. Of two columns, that with the larger weight explains more.

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec.features import Column, FeatureEncoder, Number
    >>> films = pd.DataFrame({"film": ["x", "y"], "price": [1.0, 3.0]})
    >>> encoder = FeatureEncoder({"price": Number(weight=0.5)}, id="film").fit(films)
    >>> encoder.columns_["price"], isinstance(encoder.columns_["price"], Column)
    (Number(weight=0.5), True)
    >>> encoder.transform(films).matrix.tolist()
    [[-0.5], [0.5]]
    """

    _learned: ClassVar[tuple[str, ...]] = ()  # names of the arrays
    _learned_ids: ClassVar[tuple[str, ...]] = ()
    weight: float

    def _params(self) -> dict[str, Any]:
        """Return the parameters, by name."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def __repr__(self) -> str:
        defaults = {name: parameter.default for name, parameter in signature(type(self)).parameters.items()}
        changed = (f"{name}={value!r}" for name, value in self._params().items() if value != defaults[name])
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check(self) -> None:
        """Refuse parameters that are out of range."""
        check_real(self.weight, "weight", low=0, open_low=True)

    @abstractmethod
    def _fit(self, values: pd.Series, name: str) -> Self:
        """Learn from the values of a column; `name` is for errors."""

    @abstractmethod
    def _transform(self, values: pd.Series, name: str) -> sp.csr_array | np.ndarray:
        """Return float32 numbers, (n_rows, n_features), without the weight."""

    @abstractmethod
    def _feature_names(self, name: str) -> list[str]:
        """Return the names of the features of the column that is called so."""

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape that each learned array must have, given the others and the ids."""
        return {}

    def _check_loaded(self) -> None:
        """Refuse learned arrays, from a file, that do not fit together."""
        for name in self._learned:
            array = getattr(self, name)
            if array.dtype.kind != "f" or not np.isfinite(array).all() or array.shape != self._shapes()[name]:
                raise ValueError(f"{name} of {self!r} must be finite numbers of another shape")


class Number(Column):
    """A number, standardized: the mean of the table becomes 0, and a standard deviation 1.

    Parameters
    ----------
    log : bool, default False
        Take log(1 + x) first: for prices, counts and other numbers >= 0 of very different size.
    weight : float, default 1.0
        As for all columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec.features import FeatureEncoder, Number
    >>> films = pd.DataFrame({"film": ["x", "y", "z"], "year": [1970, 1990, None]})
    >>> FeatureEncoder({"year": Number()}, id="film").fit_transform(films).matrix.tolist()
    [[-1.0], [1.0], [0.0]]
    """

    log: bool

    _learned = ("mean_", "scale_")

    def __init__(self, *, log: bool = False, weight: float = 1.0) -> None:
        self.log, self.weight = log, weight

    def _check(self) -> None:
        super()._check()
        check_bool(self.log, "log")

    def _fit(self, values: pd.Series, name: str) -> Self:
        from sklearn.preprocessing import StandardScaler

        numbers = self._numbers(values, name)
        if not np.isfinite(numbers).any():
            raise DataError(f"column {name!r} must have a number, got none: leave it out")
        scaler = StandardScaler().fit(numbers[:, None])
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        return self

    def _transform(self, values: pd.Series, name: str) -> np.ndarray:
        standardized = (self._numbers(values, name)[:, None] - self.mean_) / self.scale_
        return np.nan_to_num(standardized, nan=0.0).astype(np.float32)

    def _numbers(self, values: pd.Series, name: str) -> np.ndarray:
        given = values[~missing(values)]
        numbers = pd.to_numeric(given, errors="coerce")
        wrong = given[~np.isfinite(numbers.astype(np.float64)) | given.map(lambda value: isinstance(value, bool))]
        if len(wrong):
            raise DataError(
                f"column {name!r} must hold finite numbers, got {first_three(wrong)}: encode it as Category() or Tags()"
            )
        out = np.full(len(values), np.nan)
        out[~missing(values)] = numbers.astype(np.float64)
        if not self.log:
            return out
        if (out < 0).any():
            raise DataError(f"column {name!r} must hold numbers >= 0 with log=True, got {np.nanmin(out):g}")
        return np.log1p(out)

    def _feature_names(self, name: str) -> list[str]:
        return [name]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"mean_": (1,), "scale_": (1,)}


class Tags(Column):
    """Several words of a fixed vocabulary, such as genres: a feature of 0 or 1 for each.

    Parameters
    ----------
    separator : str, default "|"
        Text between the tags of a row, where rows are text. They may also be lists.
    min_count : int, default 1
        Tags in fewer rows are left out.
    unseen : {"ignore", "error"}, default "ignore"
        Whether `FeatureEncoder.transform` ignores or refuses tags that the table of `fit` lacked.
    weight : float, default 1.0
        As for all columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec.features import FeatureEncoder, Tags
    >>> films = pd.DataFrame({"film": ["x", "y"], "genres": ["Drama|War", "Comedy"]})
    >>> features = FeatureEncoder({"genres": Tags()}, id="film").fit_transform(films)
    >>> list(features.names), features.matrix.toarray().tolist()
    (['genres=Comedy', 'genres=Drama', 'genres=War'], [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    """

    separator: str
    min_count: int
    unseen: str
    values_: IdMap

    _learned_ids = ("values_",)

    def __init__(
        self, separator: str = "|", *, min_count: int = 1, unseen: str = "ignore", weight: float = 1.0
    ) -> None:
        self.separator, self.min_count, self.unseen, self.weight = separator, min_count, unseen, weight

    def _check(self) -> None:
        super()._check()
        check_int(self.min_count, "min_count", low=1)
        check_option(self.unseen, "unseen", UNSEEN)
        if not isinstance(self.separator, str) or not self.separator:
            raise ParameterError(f"separator must be text of at least one character, got {self.separator!r}")

    def _fit(self, values: pd.Series, name: str) -> Self:
        _, tags = self._rows_and_tags(values, name)
        counts = pd.Series(tags, dtype=object).value_counts()
        frequent = counts.index[counts >= self.min_count]
        if not len(frequent):
            raise DataError(f"column {name!r} must have a value in {self.min_count} rows, got none: leave it out")
        self.values_ = IdMap(sorted(frequent))
        return self

    def _transform(self, values: pd.Series, name: str) -> sp.csr_array:
        rows, tags = self._rows_and_tags(values, name)
        columns = self.values_.find(tags) if len(tags) else np.zeros(0, dtype=np.int64)
        strange = columns < 0
        if self.unseen == "error" and strange.any():
            unseen = first_three(np.unique(np.array(tags, dtype=object)[strange]))
            raise DataError(f"column {name!r} must have values that the encoder was fitted with, got {unseen}")
        shape = len(values), len(self.values_)
        ones = np.ones(int((~strange).sum()), dtype=np.float32)
        return sp.csr_array((ones, (rows[~strange], columns[~strange])), shape=shape)

    def _rows_and_tags(self, values: pd.Series, name: str) -> tuple[np.ndarray, list[str]]:
        """Row numbers and tags, without repetition."""
        pairs: dict[tuple[int, str], None] = {}
        for row, value in zip(np.flatnonzero(~missing(values)).tolist(), values[~missing(values)], strict=True):
            pairs |= dict.fromkeys((row, tag) for tag in self._split(value, name))
        return np.array([row for row, _ in pairs], dtype=np.int64), [tag for _, tag in pairs]

    def _split(self, value: Any, name: str) -> Iterable[str]:
        if isinstance(value, str):
            value = value.split(self.separator)
        elif isinstance(value, dict) or not isinstance(value, Iterable):
            raise DataError(f"column {name!r} must hold text or lists of tags, got {value!r}: encode it as Category()")
        given = (tag for tag in value if not (pd.api.types.is_scalar(tag) and pd.isna(tag)))
        return filter(None, (_as_text(tag).strip() for tag in given))

    def _feature_names(self, name: str) -> list[str]:
        return [f"{name}={value}" for value in self.values_]


class Category(Tags):
    """One of several values, such as a country or a colour: a feature of 0 or 1 for each.

    Parameters
    ----------
    min_count : int, default 1
        Values in fewer rows are left out.
    unseen : {"ignore", "error"}, default "ignore"
        Whether `FeatureEncoder.transform` ignores or refuses values that the table of `fit` lacked.
    weight : float, default 1.0
        As for all columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec.features import Category, FeatureEncoder
    >>> users = pd.DataFrame({"user": ["ann", "bob"], "country": ["fr", "de"]})
    >>> features = FeatureEncoder({"country": Category()}, id="user").fit_transform(users)
    >>> list(features.names), features.matrix.toarray().tolist()
    (['country=de', 'country=fr'], [[0.0, 1.0], [1.0, 0.0]])
    """

    def __init__(self, *, min_count: int = 1, unseen: str = "ignore", weight: float = 1.0) -> None:
        super().__init__(min_count=min_count, unseen=unseen, weight=weight)

    def _split(self, value: Any, name: str) -> Iterable[str]:
        if isinstance(value, Iterable) and not isinstance(value, str):
            raise DataError(f"column {name!r} must hold one value a row, got {value!r}: encode it as Tags()")
        return (_as_text(value).strip(),)


class Vector(Column):
    """A vector, such as an embedding of text or an image, scaled so that the mean square of its length is 1.

    Parameters
    ----------
    weight : float, default 1.0
        As for all columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec.features import FeatureEncoder, Vector
    >>> films = pd.DataFrame({"film": ["x", "y"], "embedding": [[1.0, 0.0], [-1.0, 0.0]]})
    >>> FeatureEncoder({"embedding": Vector()}, id="film").fit_transform(films).matrix.tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """

    mean_: np.ndarray
    scale_: np.ndarray

    _learned = ("mean_", "scale_")

    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = weight

    def _fit(self, values: pd.Series, name: str) -> Self:
        vectors, given = self._vectors(values, name)
        if not given.any():
            raise DataError(f"column {name!r} must have a vector, got none: leave it out")
        self.mean_ = vectors[given].mean(axis=0)
        size = np.sqrt(np.square(vectors[given] - self.mean_).sum(axis=1).mean())
        self.scale_ = np.array([size or 1.0])
        return self

    def _transform(self, values: pd.Series, name: str) -> np.ndarray:
        vectors, given = self._vectors(values, name, len(self.mean_))
        return np.where(given[:, None], (vectors - self.mean_) / self.scale_, 0).astype(np.float32)

    def _vectors(self, values: pd.Series, name: str, width: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of a column, zeros where one is missing, and where there are vectors."""
        given = ~missing(values)
        try:
            rows = [np.asarray(value, dtype=np.float64) for value in values[given]]
        except (TypeError, ValueError) as error:
            raise DataError(f"column {name!r} must hold lists of numbers: {error}") from None
        shapes = {row.shape for row in rows} | ({(width,)} if width is not None else set())
        if len(shapes) > 1 or any(len(shape) != 1 or not shape[0] for shape in shapes):
            raise DataError(f"column {name!r} must hold lists of as many numbers each, got shapes {sorted(shapes)}")
        out = np.zeros((len(values), shapes.pop()[0] if shapes else 0))
        out[given] = rows
        if not np.isfinite(out).all():
            raise DataError(f"column {name!r} must hold finite numbers, got NaN or infinity")
        return out, given

    def _feature_names(self, name: str) -> list[str]:
        return [f"{name}[{place}]" for place in range(len(self.mean_))]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"mean_": (max(1, self.mean_.size),), "scale_": (1,)}


def missing(values: pd.Series) -> np.ndarray:
    """Return where the values of a column are missing: None, NaN, or empty text."""
    blank = values.map(lambda value: isinstance(value, str) and not value.strip())
    return np.asarray(values.isna() | blank.astype(bool), dtype=bool)


def _as_text(value: Any) -> str:
    """A value as text; a whole number as an integer, however its column was read."""
    return str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value)
