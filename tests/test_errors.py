"""The tree of errors."""

import inspect
import pickle

import pytest
from sklearn import exceptions

from lrrec import errors


@pytest.mark.parametrize("name", [name for name in dir(errors) if name.endswith("Error")])
def test_every_error_is_lrrecs_and_a_builtin_ones(name):
    cls = getattr(errors, name)
    assert issubclass(cls, errors.LrrecError)
    builtin = {base for base in inspect.getmro(cls) if base.__module__ == "builtins"} - {
        Exception,
        BaseException,
        object,
    }
    assert builtin or name == "LrrecError"
    assert pickle.loads(pickle.dumps(cls("why"))).args == ("why",)


def test_not_fitted_error_is_seen_and_is_scikit_learns():
    assert "NotFittedError" in dir(errors)
    assert issubclass(errors.NotFittedError, exceptions.NotFittedError)
    assert errors.NotFittedError is errors.NotFittedError
    with pytest.raises(AttributeError, match="no attribute 'NoSuchError'"):
        errors.NoSuchError


def test_the_hint_of_an_unknown_id_is_shown_and_apart():
    error = errors.UnknownIdError("unknown users: 'ann'", hint="pass unknown='popular'")
    assert str(error) == "unknown users: 'ann'; pass unknown='popular'"
    assert (error.message, error.hint) == ("unknown users: 'ann'", "pass unknown='popular'")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.message, again.hint) == (str(error), error.message, error.hint)
