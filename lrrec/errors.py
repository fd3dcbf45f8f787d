"""Every error and warning of lrrec. Each derives from LrrecError and from the matching builtin."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn import exceptions


class LrrecError(Exception):
    """Base of all errors that lrrec raises.

    Examples
    --------
    >>> import lrrec
    >>> try:
    ...     lrrec.load("missing.lrrec")
    ... except lrrec.errors.LrrecError as error:
    ...     print(type(error).__name__)
    FileFormatError
    """


class ParameterError(LrrecError, ValueError):
    """A parameter has an invalid value.

    Examples
    --------
    >>> import lrrec
    >>> try:
    ...     lrrec.EASE(reg=-1.0).fit([[1, 0], [1, 1]])
    ... except lrrec.errors.ParameterError as error:
    ...     print(error)
    reg must be a finite number > 0, got -1.0
    """


class ParameterTypeError(LrrecError, TypeError):
    """A parameter has an invalid type.

    Examples
    --------
    >>> import lrrec
    >>> try:
    ...     lrrec.metrics.parse("ndcg@10", kinds="ranking")
    ... except lrrec.errors.ParameterTypeError as error:
    ...     print(error)
    kinds must be a list of kinds of metrics, got 'ranking'
    """


class DataError(LrrecError, ValueError):
    """The data cannot be used as they are.

    Examples
    --------
    >>> import lrrec
    >>> try:
    ...     lrrec.Interactions.from_pairs(["ann", "bob"], ["x"])
    ... except lrrec.errors.DataError as error:
    ...     print(error)
    users, items, values and times must be equally long, got 2 users, 1 items
    """


class UnknownIdError(LrrecError, KeyError):
    """An id is not in the map or the model.

    Parameters
    ----------
    message : str
    hint : str, optional
        What to do, in terms of the Python interface; shown after the message.

    Examples
    --------
    >>> import lrrec
    >>> try:
    ...     lrrec.IdMap(["ann", "bob"]).indices(["eve"])
    ... except lrrec.errors.UnknownIdError as error:
    ...     print(error)
    unknown ids: 'eve' (the map holds 2 ids)
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message: str = message
        self.hint: str = hint

    def __str__(self) -> str:
        """The message itself; KeyError would show its repr."""
        return str(self.args[0])


class FileFormatError(LrrecError, ValueError):
    """A file is truncated, of another kind, or inconsistent.

    Examples
    --------
    >>> import io
    >>> import lrrec
    >>> try:
    ...     lrrec.load(io.BytesIO(b"no model"))
    ... except lrrec.errors.FileFormatError as error:
    ...     print(type(error).__name__)
    FileFormatError
    """


class MissingDependencyError(LrrecError, ImportError):
    """An optional dependency is not installed; the message says how to install it.

    Examples
    --------
    >>> from lrrec.errors import MissingDependencyError
    >>> issubclass(MissingDependencyError, ImportError)
    True
    """


class FetchError(LrrecError, OSError):
    """A data set could not be fetched from any of its sources; the message says what was tried.

    Examples
    --------
    >>> from lrrec.errors import FetchError
    >>> issubclass(FetchError, OSError)
    True
    """


class DataWarning(UserWarning):
    """The data are usable, but something about them changes the result, and the caller can do something about it.

    Parameters
    ----------
    text : str
    model : str, optional
        Of several models, the name of the one that the warning is about; shown before the text.

    Examples
    --------
    >>> import warnings
    >>> import lrrec
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     data = lrrec.Interactions.from_pairs(["ann", "ann"], ["x", "x"], values=[1, 2])
    >>> [warning.category.__name__ for warning in caught]
    ['DataWarning']
    """

    def __init__(self, text: str, *, model: str = "") -> None:
        super().__init__(f"{model}: {text}" if model else text)
        self.text: str = text
        self.model: str = model


if TYPE_CHECKING:

    class NotFittedError(LrrecError, exceptions.NotFittedError):
        """A model is used before it is fitted."""


def __getattr__(name: str) -> Any:
    """Define NotFittedError at its first use: it derives from scikit-learn's, which is slow to import."""
    if name != "NotFittedError":
        raise AttributeError(f"module 'lrrec.errors' has no attribute {name!r}")
    from sklearn import exceptions

    class NotFittedError(LrrecError, exceptions.NotFittedError):
        """A model is used before it is fitted.

        Examples
        --------
        >>> import lrrec
        >>> try:
        ...     lrrec.IALS().recommend(["ann"])
        ... except lrrec.errors.NotFittedError as error:
        ...     print(error)
        IALS must be fitted first: call fit(data)
        """

    NotFittedError.__qualname__ = name
    globals()[name] = NotFittedError
    return NotFittedError


def __dir__() -> list[str]:
    return sorted({*globals(), "NotFittedError"})
