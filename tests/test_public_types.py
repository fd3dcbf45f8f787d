"""The types of the public names are complete: every parameter and result has one, and no lazy name is hidden."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from test_hostile_input import CALLABLES

import lrrec
from lrrec import adapt, metrics, models

ROOT = Path(lrrec.__file__).parents[1]
LAZY = {  # module: its public names, and the modules that define them
    lrrec: {**lrrec._HOME, **dict.fromkeys(models.MODELS, "lrrec.models")},
    models: {name: entry.module for name, entry in models.MODELS.items()},
    adapt: adapt._HOME,
    metrics: {name: f"lrrec.metrics.{module}" for name, module in metrics._HOME.items()},
}


def names_for_type_checkers(module):
    """Name -> module, of the imports that type checkers alone see."""
    tree = ast.parse(Path(module.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {
        alias.name: f"lrrec.{alias.name}" if node.module == "lrrec" else node.module
        for block in blocks for node in block.body for alias in node.names
    }  # fmt: skip


@pytest.mark.parametrize("module", LAZY, ids=lambda module: module.__name__)
def test_type_checkers_see_the_names_that_are_imported_when_they_are_used(module):
    assert names_for_type_checkers(module) == LAZY[module], "add the name below TYPE_CHECKING"


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_every_parameter_and_result_has_a_type(name):
    signature = inspect.signature(CALLABLES[name])
    untyped = [
        parameter.name
        for place, parameter in enumerate(signature.parameters.values())
        if parameter.annotation is parameter.empty and not (place == 0 and parameter.name in ("self", "cls"))
    ]
    assert not untyped
    assert signature.return_annotation is not signature.empty


def test_the_package_says_that_it_is_typed():
    assert (Path(lrrec.__file__).parent / "py.typed").exists()


@pytest.mark.slow
def test_a_type_checker_infers_the_public_types():
    """Mypy on the file of assertions, alone: what it infers does not depend on lrrec's own files being checked."""
    pytest.importorskip("mypy")
    use = Path(__file__).parent / "typed_use.py"
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", str(use)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
