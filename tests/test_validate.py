"""Checks of arguments, and optional dependencies."""

import sys
import tomllib
from pathlib import Path

import pytest

from lrrec.errors import MissingDependencyError
from lrrec.validate import import_extra

ROOT = Path(__file__).parents[1]


def test_import_extra_returns_the_module():
    assert import_extra("xml.dom", None, "this test") is sys.modules["xml.dom"]


@pytest.mark.parametrize(("extra", "install"), [("tune", "'lrrec[tune]'"), (None, "optuna")])
def test_import_extra_says_how_to_install(monkeypatch, extra, install):
    monkeypatch.delitem(sys.modules, "optuna.trial", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError) as error:
        import_extra("optuna.trial", extra, "tune()")
    assert str(error.value) == f"tune() needs optuna: pip install {install}"


def test_every_extra_is_used():
    """By code that names it when the package is missing."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = set(metadata["project"]["optional-dependencies"]) - {"bench", "dev", "docs"}
    code = "".join(path.read_text() for path in (ROOT / "lrrec").rglob("*.py"))
    assert extras == {name for name in extras if f"lrrec[{name}]" in code or f', "{name}", ' in code}


def test_import_extra_names_what_is_broken(monkeypatch, tmp_path):
    (tmp_path / "broken_extra.py").write_text("raise ImportError('libsomething.so: no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"needs broken_extra: .* \(libsomething.so: no such file\)"):
        import_extra("broken_extra", None, "this test")
