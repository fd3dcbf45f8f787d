"""Write the pages of the reference: one for each public name, by module."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

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


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", write)  # before Sphinx looks for pages
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", as_literal, priority=400)  # before numpydoc reads it
    return {"parallel_read_safe": True}


def write(app: Sphinx, config: Any) -> None:
    folder = Path(app.srcdir) / "api"
    for name, about in MODULES.items():
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
    return [name for name in names if module is lrrec or getattr(lrrec, name, None) is not getattr(module, name)]


def public(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items()
        if name[0] != "_" and getattr(value, "__module__", "") == module.__name__
    ]  # fmt: skip
    return [name for name in names if name[:2] != "__"]


def skip(app: Sphinx, what: str, name: str, member: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what is inherited from other libraries."""
    function = inspect.unwrap(member.fget if isinstance(member, property) and member.fget else member)
    home = getattr(function, "__module__", None) or ""
    return True if inspect.isroutine(function) and not home.startswith("lrrec") else None


def as_literal(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Show indented formulas of a docstring line by line, and bars as bars."""
    text, headings = list(lines), [n for n, line in enumerate(lines) if line and set(line.strip()) == {"-"}]
    end = headings[0] - 1 if headings else len(text)
    shown: list[str] = []
    inside = False
    for n, line in enumerate(text):
        indented = n < end and line.startswith("    ")
        if indented and not inside and not text[n - 1].strip():
            shown += ["::", ""]
        inside = (indented or not line.strip()) and (inside or indented)
        code = inside or line.lstrip().startswith((">>>", "..."))
        shown.append(line if code else line.replace("|", "\\|"))
    lines[:] = shown
