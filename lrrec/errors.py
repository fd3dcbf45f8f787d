"""Every error and warning of lrrec. Each derives from LrrecError and from the matching builtin."""

from typing import Any


class LrrecError(Exception):
    """Base of all errors raised by lrrec on purpose."""


class ParameterError(LrrecError, ValueError):
    """A parameter has a value that cannot work."""


class ParameterTypeError(LrrecError, TypeError):
    """A parameter has a type that cannot work."""


class DataError(LrrecError, ValueError):
    """The data handed in cannot be used as they are."""


class UnknownIdError(LrrecError, KeyError):
    """An id is not known to the map or model that was asked."""

    def __str__(self) -> str:
        """The message itself; KeyError would show its repr."""
        return str(self.args[0]) if self.args else ""


class FileFormatError(LrrecError, ValueError):
    """A file is not what it should be: truncated, of another kind, or inconsistent in itself."""


class MissingDependencyError(LrrecError, ImportError):
    """A package that this part of lrrec needs is not installed."""


class FetchError(LrrecError, OSError):
    """A data set could not be had from any of its sources."""


class DataWarning(UserWarning):
    """The data are usable, but something about them changes the result, and the caller can act on it."""


class ModelWarning(DataWarning):
    """A DataWarning about one of several models: `model` is its name, `message` the warning without it."""

    def __init__(self, model: str, message: str) -> None:
        super().__init__(model, message)
        self.model, self.message = model, message

    def __str__(self) -> str:
        return f"{self.model}: {self.message}"


def __getattr__(name: str) -> Any:
    """Define NotFittedError at its first use: it derives from scikit-learn's, which takes long to load."""
    if name != "NotFittedError":
        raise AttributeError(f"module 'lrrec.errors' has no attribute {name!r}")
    from sklearn import exceptions

    class NotFittedError(LrrecError, exceptions.NotFittedError):
        """A model is used before it is fitted."""

    NotFittedError.__qualname__ = name
    globals()[name] = NotFittedError
    return NotFittedError
