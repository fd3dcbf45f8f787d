"""Write the pages of the reference: one for each public name, by module."""

import importlib
import inspect
import re
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import mock

import lrrec

MODULES = {  # in the order of the reference, and what each is for
    "lrrec": "Data, models, evaluation, tuning and adaptation: what most programs need.",
    "lrrec.adapt": "Ways to adapt a trained model, and tools around them.",
    "lrrec.splits": "Training, validation and test parts.",
    "lrrec.metrics": "What lists are measured by.",
    "lrrec.rerank": "New orders of lists: more diverse, with quotas, with boosts.",
    "lrrec.features": "Columns of items or users as a sparse matrix.",
    "lrrec.datasets": "Public data sets by name.",
    "lrrec.interop": "Models from and for other libraries.",
    "lrrec.spark": "Fitting and recommending on a cluster.",
    "lrrec.linalg": "Solvers and decompositions that the models are made of.",
    "lrrec.models": "The catalogue of models.",
    "lrrec.errors": "What is raised and warned.",
    "lrrec.typing": "Types of arguments.",
}
CONSTANTS = {
    "lrrec.adapt.ADAPTERS": "The kinds of adapters: a dict of class name to module.",
    "lrrec.models.MODELS": "The models: a dict of class name to `Entry`.",
    "lrrec.typing.ArrayLike": "That of numpy.typing: an array, or nested sequences of numbers.",
}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", write)  # before Sphinx looks for pages
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", as_literal, priority=400)  # before numpydoc reads it
    return {"parallel_read_safe": True}


def write(app: Sphinx, config: Any) -> None:
    folder = Path(app.srcdir) / "api"
    for name, about in MODULES.items():
        with mock(config.autodoc_mock_imports):
            text = page(importlib.import_module(name), about)
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:  # an equal page is not built again
            path.write_text(text)


def page(module: ModuleType, about: str) -> str:
    name = module.__name__
    lines = [name, "=" * len(name), "", about, "", f".. currentmodule:: {name}", "", ".. autosummary::",
             "   :toctree: generated", "   :nosignatures:", ""]  # fmt: skip
    return "\n".join([*lines, *(f"   {member}" for member in documented(module)), ""])


def documented(module: ModuleType) -> list[str]:
    """The public names of a module that have a page there: those of lrrec itself have theirs at the top."""
    names = [name for name in public(module) if not inspect.ismodule(getattr(module, name))]
    top = lrrec.__all__ if module is not lrrec else ()
    return [name for name in names if name not in top or getattr(lrrec, name) is not getattr(module, name)]


def public(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items()
        if name[0] != "_" and getattr(value, "__module__", "") == module.__name__
    ]  # fmt: skip
    return [name for name in names if name[:2] != "__"]


def skip(app: Sphinx, what: str, name: str, member: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what is inherited from other libraries, and the fields of named tuples, which are attributes."""
    if isinstance(member, cached_property):
        member = member.func
    function = inspect.unwrap(member.fget if isinstance(member, property) and member.fget else member)
    home = getattr(function, "__module__", None) or ""
    foreign = inspect.isroutine(function) and not home.startswith("lrrec")
    return True if foreign or str(function.__doc__).startswith("Alias for field number") else None


def as_literal(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Show indented formulas of a docstring line by line, and bars as bars; say what constants are."""
    if what == "data":
        lines[:] = constant(name)
        return
    shown: list[str] = []
    section, literal, example = "", False, False
    for n, line in enumerate(lines):
        if n + 1 < len(lines) and set(lines[n + 1].strip()) == {"-"}:
            section = line.strip()
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))  # what it prints, too
        indented = section in ("", "Notes") and line.startswith("    ")
        if indented and not literal and not lines[n - 1].strip():
            shown += ["::", ""]
        literal = (indented or not line.strip()) and (literal or indented)
        shown.append(line if literal or example else line.replace("|", "\\|"))
    lines[:] = shown


def constant(name: str) -> list[str]:
    """What the page of a constant says: its comment in the module, or a text from here."""
    module, _, last = name.rpartition(".")
    if name == "lrrec.metrics.METRICS":
        rows = [
            f"   * - ``{metric.name}{'@K' * metric.has_cutoff}``\n     - ``{metric.formula}``\n"
            f"     - {'greater' if metric.greater_is_better else 'smaller'}\n     - {metric.kind}"
            for metric in lrrec.metrics.METRICS.values()
        ]
        head = "The metrics: a dict of name to `Metric`.\n\n.. list-table::\n   :header-rows: 1\n\n"
        head += "   * - Metric\n     - Formula\n     - Better\n     - Kind\n"
        return [*(head + "\n".join(rows)).split("\n"), ""]
    if name in CONSTANTS:
        return [CONSTANTS[name], ""]
    source = inspect.getsource(importlib.import_module(module))
    match = re.search(rf"^{last}: TypeAlias = (.*?)(?:  # (.*))?$", source, re.M)
    return (
        [f"``{match[1]}``", "", *([match[2][0].upper() + match[2][1:] + ".", ""] if match[2] else [])] if match else []
    )
