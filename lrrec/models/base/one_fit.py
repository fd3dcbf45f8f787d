"""Methods that see one fit of their model, even where another thread fits it again meanwhile."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")
Model = TypeVar("Model")


def of_one_fit(method: Callable[Concatenate[Model, P], Result]) -> Callable[Concatenate[Model, P], Result]:
    """Make a method work on the attributes that its model has at the call.

    A fit puts a new `__dict__` in the place of the old one (`become`), and so does not touch a call in progress.
    """

    @wraps(method)
    def seeing_one_fit(self: Model, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        view: Any = object.__new__(type(self))
        view.__dict__ = self.__dict__
        return method(view, *args, **kwargs)

    return seeing_one_fit


def become(model: Model, other: Any) -> Model:
    """Give a model all attributes of another one, at once."""
    model.__dict__ = other.__dict__
    return model
