"""Public things are documented, and the examples in their docstrings run."""

import doctest
import importlib
import inspect
import re

import pytest
from test_architecture import HERE, ROOT

import lrrec

MODULES = [".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for p in HERE]
# Seconds; the guide's fits under guard are always run.
GUARDED = ("lrrec.adapt.selection.selector", "lrrec.adapt.selection.low_rank_adapter", "lrrec.adapt.transfer")
PUBLIC = [name for name in lrrec.__all__ if name != "__version__" and not inspect.ismodule(getattr(lrrec, name))]


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow) if name in GUARDED else name
    for name in MODULES if name != "lrrec.__main__"
])  # fmt: skip
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def functions_of(thing):
    if inspect.isclass(thing):
        yield from (
            m
            for n, m in inspect.getmembers(thing, inspect.isfunction)
            if n[0] != "_" and m.__module__.startswith("lrrec")
        )
    else:
        yield thing


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_is_documented(name):
    """Each parameter of a public function is named in its docstring, or in that of its class."""
    thing = getattr(lrrec, name)
    whole = inspect.getdoc(thing)
    for function in functions_of(thing):
        text = inspect.getdoc(function) or ""
        assert text, f"{name}.{function.__name__} has no docstring"
        for parameter in inspect.signature(function).parameters.values():
            found = re.search(rf"\b{parameter.name}\b", text) or re.search(rf"\b{parameter.name}\b", whole)
            referred = re.search(r"[Ss]ee `|As for `", text)
            assert parameter.name == "self" or found or referred, f"{name}.{function.__name__}({parameter.name})"


@pytest.mark.parametrize("name", lrrec.models.MODELS)
def test_estimators_document_every_parameter_with_its_default(name):
    cls = getattr(lrrec, name)
    for parameter, default in cls().get_params().items():
        shown = re.escape(repr(default).replace("'", '"'))
        assert re.search(rf"{parameter} : .*(default {shown}|optional)", cls.__doc__), f"{name}: {parameter}"
