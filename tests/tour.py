"""What a new user does, where lrrec is installed without extras: the commands, the Python interface, missing packages.

    python tour.py FOLDER

`tests/dist_check.py` runs it in a new environment. FOLDER is the repository, of which nothing may be imported.
"""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lrrec
from lrrec import adapt, interop
from lrrec.errors import MissingDependencyError

OPTIONAL = ("torch", "matplotlib", "jinja2", "optuna", "usearch", "onnx", "huggingface_hub", "pyspark", "polars")


def main(repository: Path) -> None:
    home = Path(lrrec.__file__).resolve()
    assert Path(sys.prefix).resolve() in home.parents, f"lrrec is imported from {home}"
    assert not any(Path(entry).resolve() == repository for entry in sys.path), sys.path
    assert not list(Path.cwd().iterdir()), "the folder must be empty"
    there = [name for name in OPTIONAL if find_spec(name)]
    assert not there, f"{there} must not be installed"
    commands()
    split, model = fit_and_save()
    adapt_and_save(model)
    missing(split, model)


def command(*words: str, code: int = 0) -> str:
    """Run lrrec as a user does; return what it prints."""
    done = subprocess.run(["lrrec", *words], capture_output=True, text=True)
    assert done.returncode == code, f"lrrec {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def commands() -> None:
    assert "lrrec demo" in command("--help")
    assert command("--version").strip() == lrrec.__version__
    assert "made-up" in command("data", "list")
    shown = command("demo", "--data", "made-up")
    assert "IALS recommends" in shown
    assert "Where to go next" in shown
    lrrec.datasets.load("made-up").ratings.to_csv("ratings.csv", index=False)
    options = ("--value-column", "rating", "--min-rating", "4", "-p", "n_factors=8")
    command("fit", "ratings.csv", *options, "--out", "movies.lrrec")
    command("recommend", "movies.lrrec", "-k", "3", "--out", "lists.csv")
    assert len(Path("lists.csv").read_text().splitlines()) == 1 + 3 * 420
    print("commands: help, version, data, demo, fit, recommend")


def fit_and_save() -> tuple[lrrec.Split, lrrec.IALS]:
    likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
    split = lrrec.splits.by_user(likes, history=0.8, random_state=0)
    model = lrrec.IALS(random_state=0).fit(split.train)
    means = [lrrec.evaluate(one, split).mean()["ndcg@10"] for one in (lrrec.Popularity().fit(split.train), model)]
    assert means[1] > means[0] > 0, means
    model.save("model.lrrec")
    loaded = lrrec.load("model.lrrec")
    lists = [one.recommend_from(split.history, k=5).items.tolist() for one in (model, loaded)]
    assert lists[0] == lists[1]
    print(f"fitted, evaluated ({means[0]:.3f} by popularity, {means[1]:.3f} by IALS), saved and loaded")
    return split, model


def adapt_and_save(base: lrrec.IALS) -> None:
    made_up = lrrec.datasets.load("made-up")
    table = made_up.interactions(min_rating=4).to_frame().merge(made_up.users, on="user")
    target = lrrec.Interactions.from_frame(table[table["population"] == "target"])
    adapter = adapt.LowRank(rank=2, reg=1.0, fold_in_reg=0.05).fit(target, base=base)
    adapter.save("target.adapter", histories=True)
    loaded = lrrec.load("target.adapter", base=base)
    users = target.users.ids[:5]
    assert adapter.recommend(users).items.tolist() == loaded.recommend(users).items.tolist()
    selector = lrrec.LowRankAdapter(rank=2, budget="fast", random_state=0).fit(target, base=base)
    assert len(selector.report_) > 3
    print(f"adapted: kept {selector.best_.name}")


def missing(split: lrrec.Split, model: lrrec.IALS) -> None:
    """Each extra is named by the error of what needs it."""
    result = lrrec.evaluate(model, split)
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("'lrrec[torch]'", lambda: lrrec.NeuralMF().fit(split.train)),
        ("'lrrec[tune]'", lambda: lrrec.tune(lrrec.EASE(), split, n_trials=1)),
        ("'lrrec[report]'", lambda: lrrec.Report("report", evaluations={"ials": result}).save("report.html")),
        ("'lrrec[report]'", lambda: result.plot_by_history()),
        ("'lrrec[index]'", lambda: model.to_index("index")),
        ("'lrrec[onnx]'", lambda: interop.to_onnx(model, "model.onnx")),
        ("'lrrec[hub]'", lambda: interop.push_to_hub(model, "owner/name")),
        ("'lrrec[spark]'", lambda: __import__("lrrec.spark")),
        ("implicit", lambda: interop.to_implicit(model)),
        ("polars", lambda: result.to_frame(backend="polars")),
    ]
    for package, call in calls:
        said = ""
        try:
            call()
        except MissingDependencyError as error:
            said = str(error)
        assert f"pip install {package}" in said, f"{package}: {said or 'no error'}"
    assert "pip install 'lrrec[torch]'" in command("fit", "made-up", "-m", "neural", "-o", "neural.lrrec", code=1)
    print(f"named where they are missing: {', '.join(dict.fromkeys(package for package, _ in calls))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
