"""Public things are documented, with an example each, and the examples in their docstrings run."""

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest
from test_architecture import HERE, ROOT

import lrrec

MODULES = [".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for p in HERE]
# Seconds; the guide's fits under guard are always run.
GUARDED = ("lrrec.adapt.selection.selector", "lrrec.adapt.selection.low_rank_adapter", "lrrec.adapt.transfer")
PUBLIC = [name for name in lrrec.__all__ if name != "__version__" and not inspect.ismodule(getattr(lrrec, name))]

# The modules of the reference: those that docs/_ext/api_pages.py writes pages of.
PAGES = ast.parse((Path(__file__).parents[1] / "docs" / "_ext" / "api_pages.py").read_text()).body
REFERENCE = next(
    list(ast.literal_eval(node.value))
    for node in PAGES
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES"
)
# Classes and functions have an example each, leaf classes of errors too. These have none:
NO_EXAMPLE = {
    "lrrec.typing": "types of arguments: the functions that take them show values",
    "lrrec.__version__": "a string",
    "lrrec.adapt.ADAPTERS": "a dict: it has no docstring",
    "lrrec.metrics.METRICS": "a dict: it has no docstring",
    "lrrec.models.MODELS": "a dict: it has no docstring",
}
# Examples that are shown and not run: `make test` does not install what they need.
NOT_RUN = {
    "lrrec.Report": "writes a file into the working folder",
    "lrrec.interop.ItemIndex": "usearch",
    "lrrec.interop.from_hub": "huggingface_hub",
    "lrrec.interop.from_spark": "a folder that Spark wrote",
    "lrrec.interop.open_index": "usearch",
    "lrrec.interop.push_to_hub": "huggingface_hub",
    "lrrec.interop.to_onnx": "onnx",
    "lrrec.spark.adapt": "pyspark",
    "lrrec.spark.evaluate": "pyspark",
    "lrrec.spark.fit_als": "pyspark",
    "lrrec.spark.recommend": "pyspark",
}
IMPLICIT = [  # of what that library warns, nothing matters here
    pytest.mark.filterwarnings("ignore:.*:RuntimeWarning"), pytest.mark.filterwarnings("ignore:Method expects CSR"),
]  # fmt: skip


def public_things():
    """Full name and docstring of every public name of the reference, modules apart."""
    for home in REFERENCE:
        if home == "lrrec.spark":  # which cannot be imported without pyspark
            body = ast.parse((ROOT / "spark.py").read_text()).body
            functions = (node for node in body if isinstance(node, ast.FunctionDef) and node.name[0] != "_")
            yield from ((f"{home}.{node.name}", ast.get_docstring(node)) for node in functions)
        elif home not in NO_EXAMPLE:
            module = importlib.import_module(home)
            own = (n for n in dir(module) if getattr(getattr(module, n), "__module__", "") == home and n[0] != "_")
            things = ((name, getattr(module, name)) for name in getattr(module, "__all__", own))
            yield from (
                (f"{home}.{name}", inspect.cleandoc(thing.__doc__ or ""))
                for name, thing in things
                if not inspect.ismodule(thing)
            )


THINGS = dict(public_things())


@pytest.mark.parametrize("name", sorted(THINGS.keys() - NO_EXAMPLE))
def test_every_public_name_has_an_example(name):
    section = re.search(r"^Examples\n--------\n(.*)", THINGS[name], re.M | re.S)
    assert section, f"{name} has no section of examples"
    assert re.search(r"^>>> ", section[1], re.M), f"{name} has no example"


def test_exemptions_are_needed():
    exempt = THINGS.keys() & NO_EXAMPLE.keys()
    assert exempt | {"lrrec.typing"} == NO_EXAMPLE.keys()
    assert not {name for name in exempt if ">>>" in THINGS[name]}
    assert {name for name, text in THINGS.items() if "+SKIP" in text} == NOT_RUN.keys()


class Finder(doctest.DocTestFinder):
    """Finds the examples of decorated methods, too: the decorator is another module's."""

    def _from_module(self, module, thing):
        return super()._from_module(module, inspect.unwrap(thing))


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name in GUARDED else IMPLICIT if name.endswith(".implicit") else [])
    for name in MODULES if name != "lrrec.__main__"
])  # fmt: skip
def test_examples_run(name):
    runner = doctest.DocTestRunner()
    for example in Finder().find(importlib.import_module(name), name):
        runner.run(example)
    assert runner.failures == 0


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
