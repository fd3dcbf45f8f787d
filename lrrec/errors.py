"""Every error and warning of lrrec. Each derives from LrrecError and from the matching builtin."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn import exceptions


class LrrecError(Exception):
    """Base of all errors that lrrec raises."""


class ParameterError(LrrecError, ValueError):
    """A parameter has an invalid value."""


class ParameterTypeError(LrrecError, TypeError):
    """A parameter has an invalid type."""


class DataError(LrrecError, ValueError):
    """The data cannot be used as they are."""


class UnknownIdError(LrrecError, KeyError):
    """An id is not in the map or the model.

    Parameters
    ----------
    message : str
    hint : str, optional
        What to do, in terms of the Python interface; shown after the message.

    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message: str = message
        self.hint: str = hint

    def __str__(self) -> str:
        """The message itself; KeyError would show its repr."""
        return str(self.args[0])


class FileFormatError(LrrecError, ValueError):
    """A file is truncated, of another kind, or inconsistent."""


class MissingDependencyError(LrrecError, ImportError):
    """An optional dependency is not installed."""


class FetchError(LrrecError, OSError):
    """A data set could not be fetched from any of its sources."""


class DataWarning(UserWarning):
    """The data are usable, but something about them changes the result, and the caller can do something about it.

    Parameters
    ----------
    text : str
    model : str, optional
        Of several models, the name of the one that the warning is about; shown before the text.
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
        """A model is used before it is fitted."""

    NotFittedError.__qualname__ = name
    globals()[name] = NotFittedError
    return NotFittedError


def __dir__() -> list[str]:
    return sorted({*globals(), "NotFittedError"})
