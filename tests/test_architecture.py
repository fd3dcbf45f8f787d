"""The shape of the house: imports point down, heavy packages stay where they belong, importing stays light."""

import ast
import importlib
import inspect
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import lrrec

ROOT = Path(lrrec.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = [
    {"errors", "typing", "progress"}, {"validate"}, {"plots"}, {"linalg", "file_format"}, {"metrics"}, {"data"},
    {"splits", "files"}, {"datasets", "interaction_files", "features"}, {"models"}, {"evaluation", "rerank"}, {"adapt"},
    {"tuning"}, {"report"}, {"loading"}, {"interop", "partitions"}, {"spark"}, {"__init__"}, {"cli"}, {"__main__"},
]  # fmt: skip
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
ONLY_IN = {
    "torch": (
        "models/neural/torch_import.py",
        "models/neural/towers.py",
        "models/neural/training.py",
        "adapt/kinds/lora.py",
        "adapt/kinds/tower_training.py",
    ),
    "matplotlib": ("plots/", "report/figures.py"),
    "jinja2": ("report/page.py",),
    "optuna": ("tuning/search.py",),
    "pyspark": ("spark.py",),
    "numba": ("linalg/jit.py", "linalg/kernels/", "metrics/kernels.py", "data/csv_kernel.py"),
    "typer": ("cli/",),
}
MAX_LINES = 400
LACKING = [path for name in ("torch", "pyspark") if not find_spec(name) for path in ONLY_IN[name]]
HERE = [path for path in FILES if str(path.relative_to(ROOT)) not in LACKING]


@cache
def nodes(path):
    """All nodes of a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path):
    for node in nodes(path):
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


def module_name(path):
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def test_there_are_no_import_circles():
    """Between modules, imports inside of functions included; what is imported for types alone is left out."""
    modules = {module_name(path): path for path in FILES}
    edges = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                node.body = []
        targets = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                targets |= {name if name in modules else node.module for name in names.values()}
        edges[name] = {target for target in targets if target in modules and target != name}
    finished, path = set(), []

    def visit(name):
        assert name not in path, f"a circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in finished:
            path.append(name)
            for target in sorted(edges[name]):
                visit(target)
            path.pop()
            finished.add(name)

    for name in modules:
        visit(name)


def test_no_two_files_have_one_name():
    stems = sorted(path.stem for path in FILES if not path.stem.startswith("__"))
    assert len(stems) == len(set(stems)), {stem for stem in stems if stems.count(stem) > 1}


def test_no_package_exports_a_function_of_a_modules_name():
    """Whichever is imported last would hide the other."""
    for path in FILES:
        if path.name == "__init__.py" and path.parent != ROOT:
            package = importlib.import_module(module_name(path))
            siblings = {file.stem for file in path.parent.glob("*.py")}
            for name in siblings & set(getattr(package, "__all__", ())):
                assert inspect.ismodule(getattr(package, name)), f"{package.__name__}.{name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_are_short(path):
    """At most 50 lines of body a function, kernels apart; docstrings do not count."""
    if "kernels" in str(path.relative_to(ROOT)):
        return
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 50, f"{path.name}: {node.name} has {length} lines"


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
