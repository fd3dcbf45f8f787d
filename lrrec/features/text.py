"""Text: how a column of free text becomes numbers."""

from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.errors import DataError
from lrrec.features.columns import Column, missing
from lrrec.linalg.svd import truncated_svd
from lrrec.validate import check_int


class Text(Column):
    """Free text, such as a title or a description: TF-IDF of its words, in few directions or in all.

    The length of a row's numbers is 1 at most.

    Parameters
    ----------
    n_components : int or None, default 100
        Keep so many leading singular directions of the words (latent semantic analysis); None keeps a sparse feature
        for each word, which is more accurate where there are many rows.
    min_count : int, default 2
        Words in fewer rows are left out.
    weight : float, default 1.0
        As for all columns.

    Notes
    -----
    Words are what `sklearn.feature_extraction.text.TfidfVectorizer` takes for words: two letters or digits at least, in
    lower case. Frequencies within a row are damped (`sublinear_tf`).

    References
    ----------
    Deerwester, Dumais, Furnas, Landauer & Harshman (1990), "Indexing by latent semantic analysis".

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec.features import FeatureEncoder, Text
    >>> films = pd.DataFrame({"film": ["x", "y"], "title": ["Night train", "Night and day"]})
    >>> features = FeatureEncoder({"title": Text(n_components=None, min_count=1)}, id="film").fit_transform(films)
    >>> list(features.names)
    ['title=and', 'title=day', 'title=night', 'title=train']
    """

    n_components: int | None
    min_count: int
    words_: IdMap
    idf_: np.ndarray
    directions_: np.ndarray

    _learned = ("idf_", "directions_")
    _learned_ids = ("words_",)

    def __init__(self, n_components: int | None = 100, *, min_count: int = 2, weight: float = 1.0) -> None:
        self.n_components, self.min_count, self.weight = n_components, min_count, weight

    def _check(self) -> None:
        super()._check()
        check_int(self.min_count, "min_count", low=1)
        if self.n_components is not None:
            check_int(self.n_components, "n_components", low=1)

    def _fit(self, values: pd.Series, name: str) -> Self:
        vectorizer, texts = _vectorizer(min_df=self.min_count), _texts(values, name)
        try:
            weights = vectorizer.fit_transform(texts)
        except ValueError:
            raise DataError(
                f"column {name!r} must have a word of two letters in {self.min_count} rows, got none: lower min_count, "
                "or leave it out"
            ) from None
        self.words_ = IdMap(vectorizer.get_feature_names_out().tolist())
        self.idf_ = vectorizer.idf_.astype(np.float64)
        self.directions_ = np.zeros((0, len(self.words_)), dtype=np.float32)
        if self.n_components is not None and self.n_components < min(weights.shape):
            svd = truncated_svd(sp.csr_array(weights, dtype=np.float32), self.n_components, random_state=0)
            self.directions_ = np.ascontiguousarray(svd.Vt, dtype=np.float32)
        return self

    def _transform(self, values: pd.Series, name: str) -> sp.csr_array | np.ndarray:
        vectorizer = _vectorizer(vocabulary=list(self.words_))
        vectorizer.idf_ = self.idf_
        weights = sp.csr_array(vectorizer.transform(_texts(values, name)), dtype=np.float32)
        return np.asarray(weights @ self.directions_.T) if len(self.directions_) else weights

    def _feature_names(self, name: str) -> list[str]:
        if len(self.directions_):
            return [f"{name}[{place}]" for place in range(len(self.directions_))]
        return [f"{name}={word}" for word in self.words_]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_kept = 0 if self.n_components is None else min(self.n_components, len(self.directions_))
        return {"idf_": (len(self.words_),), "directions_": (n_kept, len(self.words_))}


def _vectorizer(**options: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(sublinear_tf=True, **options)


def _texts(values: pd.Series, name: str) -> list[str]:
    """The texts of a column, empty where they are missing."""
    wrong = values[~missing(values) & ~values.map(lambda value: isinstance(value, str)).astype(bool)]
    if len(wrong):
        raise DataError(f"column {name!r} must hold text, got {wrong.iloc[0]!r}: encode it as another kind of column")
    return values.where(~missing(values), "").tolist()
