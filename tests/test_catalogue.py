"""Adding a model takes one file and one line, those in CONTRIBUTING.md: the contract, tuning and the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sketches

import lrrec

FILE, LINE = sketches.code("lrrec/models/link_prop.py"), sketches.added_lines("lrrec/models/__init__.py")
ENV = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
CONTRACT = """
import inspect, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import lrrec
from checks import all_checks
from sklearn.base import clone
model = lrrec.LinkProp()
assert "LinkProp" in dir(lrrec) and lrrec.models.LinkProp is type(model)
likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
checks = all_checks(model)
for check in checks:
    extra = {"tmp_path": Path(".")} if "tmp_path" in inspect.signature(check).parameters else {}
    check(clone(model), likes, **extra)
print(len(checks), "checks")
"""
TUNE = """
split = lrrec.splits.by_user(likes, random_state=0)
tuned = lrrec.tune(lrrec.LinkProp(), split, n_trials=5)
assert list(tuned.best_params_) == ["end_power", "start_power", "user_power"] and len(tuned.trials_) == 5
models = {"popularity": lrrec.Popularity(), "linkprop": tuned.model_}
comparison = lrrec.compare(models, split, metrics=["ndcg@10"])
means = {name: result.mean()["ndcg@10"] for name, result in comparison.evaluations.items()}
assert means["linkprop"] > means["popularity"]
"""
COMMANDS = """
from lrrec import cli
data = ["made-up", "--min-rating", "4", "--model", "linkprop"]
for words in (
    ["fit", *data, "--param", "user_power=0.25", "--out", "model"],
    ["recommend", "model", "--user", "7", "-k", "3"],
    ["evaluate", *data],
):
    print("----", flush=True)
    sys.argv[1:] = words
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an lrrec that has one file and one line more; everything else is linked."""
    folder, original = tmp_path_factory.mktemp("catalogue"), Path(lrrec.__file__).parent
    models = folder / "lrrec" / "models"
    models.mkdir(parents=True)
    for source, copy in ((original, folder / "lrrec"), (original / "models", models)):
        for path in source.iterdir():
            if path.name not in ("models", "__pycache__") and path != original / "models" / "__init__.py":
                (copy / path.name).symlink_to(path)
    if (original.parent / "datasets").is_dir():
        (folder / "datasets").symlink_to(original.parent / "datasets")
    before, end, after = (original / "models" / "__init__.py").read_text().partition("}\n__all__")
    (models / "__init__.py").write_text(before + LINE + end + after)
    (models / "link_prop.py").write_text(FILE)
    return folder


@pytest.mark.slow
def test_it_meets_the_contract_is_tuned_compared_and_a_command(folder):
    pytest.importorskip("optuna")
    pytest.importorskip("typer")
    words = [sys.executable, "-c", CONTRACT + TUNE + COMMANDS, str(Path(__file__).parent)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env=ENV)
    assert done.returncode == 0, done.stderr
    n_checks, fitted, lists, evaluated = done.stdout.split("----\n")
    assert int(n_checks.split()[0]) > 25
    assert "user_power=0.25" in fitted
    assert lists.splitlines()[0] == "user,item,rank,score"
    assert len(lists.splitlines()) == 4
    assert "ndcg@10" in evaluated
