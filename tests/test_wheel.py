"""The wheel is complete: installed elsewhere, it knows its data sets and runs the demo's data."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_carries_recipes_and_made_up_data(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as contents:
        names = set(contents.namelist())
        contents.extractall(tmp_path / "installed")
    recipes = {f"lrrec/datasets/recipes/{path.name}" for path in (ROOT / "datasets").glob("*.toml")}
    assert recipes <= names
    assert "lrrec/py.typed" in names
    code = "import lrrec; print(lrrec.__file__, lrrec.datasets.load('made-up'), len(lrrec.datasets.names()))"
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); {code}"]
    shown = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert str(tmp_path) in shown
    assert "420 users" in shown
    assert shown.split()[-1] == str(len(recipes))
