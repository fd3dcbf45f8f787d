"""The shape of the house: imports point down, heavy packages stay where they belong, importing stays light."""

import ast
import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import lrrec

ROOT = Path(lrrec.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = [
    {"errors", "typing"}, {"validate"}, {"linalg"}, {"metrics"}, {"data"}, {"splits", "files"}, {"datasets"},
    {"models"}, {"adapt", "evaluation", "interop"}, {"tuning"}, {"report"}, {"persist"}, {"spark"}, {"__init__"},
    {"cli"}, {"__main__"},
]  # fmt: skip
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
ONLY_IN = {
    "torch": ("models/neural/towers.py", "models/neural/training.py", "adapt/lora.py", "adapt/two_tower.py"),
    "matplotlib": ("report/figures.py",),
    "jinja2": ("report/page.py",),
    "optuna": ("tuning/search.py",),
    "pyspark": ("spark.py",),
    "numba": ("linalg/kernels/", "metrics/kernels.py"),
    "typer": ("cli/",),
}
MAX_LINES = 400
HERE = [path for path in FILES if find_spec("torch") or str(path.relative_to(ROOT)) not in ONLY_IN["torch"]]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from names if node.module == "lrrec" else [node.module]


def layer(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    for name in imports(path):
        if name.startswith("lrrec."):
            there, here = name.split(".")[1], layer(path)
            assert there == here or RANK[there] < RANK[here], f"{path} imports {name}"
        elif name.split(".")[0] in ONLY_IN:
            allowed = ONLY_IN[name.split(".")[0]]
            assert str(path.relative_to(ROOT)).startswith(allowed), f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


def modules_after(code):
    """The top-level packages that are loaded after running code in a new interpreter."""
    shown = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split())


def test_importing_loads_no_third_party_package():
    before = modules_after("pass")
    after = modules_after("import lrrec")
    assert {name for name in after - before if name not in sys.stdlib_module_names} == {"lrrec"}


def test_fitting_loads_neither_torch_nor_matplotlib():
    code = "import lrrec; lrrec.IALS(n_factors=2, n_iter=1).fit([[1, 0], [1, 1]]).recommend([0])"
    assert not {"torch", "matplotlib", "typer", "pooch"} & modules_after(code)


def test_every_public_name_resolves():
    for path in HERE:
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        if module != "lrrec.__main__":
            importlib.import_module(module)
    for name, home in lrrec._HOME.items():
        value, module = getattr(lrrec, name), importlib.import_module(home)
        assert value is (module if home == f"lrrec.{name}" else getattr(module, name))
        assert name in dir(lrrec)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lrrec.nonsense
