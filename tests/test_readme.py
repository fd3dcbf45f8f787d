"""The README is true: its tour runs, its tables are what was stored, its facts are those of the code."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import lrrec
from benchmarks import report

README = Path(__file__).parents[1] / "README.md"


def test_the_tour_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        if find_spec("torch") or "NeuralMF" not in block:
            exec(block, names)
    shown = capsys.readouterr().out
    assert "Evaluation of" in shown
    assert "rank" in shown


def test_results_are_the_stored_ones():
    text = README.read_text()
    assert report.rendered(text) == text, "run: python -m benchmarks --readme"


def test_every_model_and_data_set_is_named():
    text = README.read_text()
    for name in lrrec.models.CATALOGUE:
        assert f"| `{name}` |" in text
    for name in lrrec.datasets.names():
        counts = lrrec.datasets.recipe(name).statistics
        row = f"| `{name}` | {counts['users']:,} × {counts['items']:,} | {counts['ratings']:,} |"  # noqa: RUF001
        assert row in text


@pytest.mark.parametrize("target", ["demo", "test", "lint", "typecheck", "test-slow", "install"])
def test_every_make_target_exists(target):
    assert f"\n{target}: " in (README.parent / "Makefile").read_text()
