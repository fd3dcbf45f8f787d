"""The command line, as a user meets it: in a process of its own where it matters, else by main()."""

import io
import json
import os
import re
import subprocess
import sys
import time

import pandas as pd
import pytest

import lrrec
from lrrec.cli import inputs


@pytest.fixture
def table(tmp_path, made_up):
    path = tmp_path / "table.csv"
    made_up.ratings.to_csv(path, index=False)
    return path


def test_help_answers_at_once():
    command = [sys.executable, "-m", "lrrec", "--help"]
    subprocess.run(command, capture_output=True, check=True)
    begun = time.perf_counter()
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert time.perf_counter() - begun < 2  # 0.2 s on an idle machine: it loads neither numpy nor pandas
    for name in ("demo", "data", "fit", "evaluate", "benchmark", "recommend", "adapt"):
        assert name in shown
    code = "import sys, lrrec.cli; print(sorted({'numpy', 'pandas', 'sklearn', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "words",
    [
        ("fit",),
        ("evaluate",),
        ("benchmark",),
        ("recommend",),
        ("demo",),
        ("data", "list"),
        ("data", "get"),
        ("data", "info"),
    ],
)
def test_every_command_has_an_example(run, words):
    code, out, _ = run(*words, "--help")
    assert code == 0
    assert f"Example:  {'LRREC_DATA=~/data ' if words[-1] == 'info' else ''}lrrec {' '.join(words)}" in out


def test_fit_and_recommend(run, table, tmp_path, made_up):
    model = tmp_path / "model"
    code, out, _ = run("fit", table, "--value-column", "rating", "--min-rating", 4, "-p", "n_factors=4", "-o", model)
    assert code == 0
    assert "IALS(n_factors=4, random_state=0)" in out
    code, out, _ = run("recommend", model, "--user", 5, "--user", 3, "-k", 4)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "user,item,rank,score"
    assert [line.split(",")[0] for line in lines[1:]] == ["5"] * 4 + ["3"] * 4
    code, out, _ = run("recommend", model, "-o", tmp_path / "all.csv")
    everybody = pd.read_csv(tmp_path / "all.csv")
    assert set(everybody.user) == set(made_up.ratings.user[made_up.ratings.rating >= 4])
    fitted = lrrec.load(model)
    assert everybody["item"][:10].tolist() == fitted.recommend(everybody.user[:1]).items[0].tolist()


def test_fit_of_a_data_set_by_name(run, tmp_path):
    code, out, _ = run("fit", "made-up", "--min-rating", 4, "--model", "popularity", "-o", tmp_path / "m")
    assert code == 0
    assert "Popularity() fitted on Interactions(420 users, 319 items" in out


@pytest.mark.parametrize("split", ["by-user", "leave-last", "by-time", "random"])
def test_evaluate(run, split, tmp_path):
    out_file = tmp_path / "values.csv"
    code, out, _ = run("evaluate", "made-up", "--min-rating", 4, "--split", split, "-m", "popularity",
                       "--metric", "ndcg@5", "--metric", "hit@3", "-o", out_file)  # fmt: skip
    assert code == 0
    assert "ndcg@5" in out
    assert "candidates: all 319 items" in out
    assert list(pd.read_csv(out_file).columns) == ["user", "ndcg@5", "hit@3"]


def test_evaluate_offers_every_protocol(run):
    """The choices, what they mean and what makes them are one table."""
    _, out, _ = run("evaluate", "--help")
    for name in (*inputs.PROTOCOLS, "published"):
        assert f"{name}: " in " ".join(out.replace("│", " ").split())
    with pytest.warns(lrrec.errors.DataWarning, match="candidates are 100 given items per user"):
        _, out, _ = run("evaluate", "made-up", "--split", "ncf", "-m", "ease", "--metric", "hit@10")
    assert "99 negatives a user" in out


def test_adapting_other_models(run, likes, tmp_path):
    likes.to_frame().to_csv(tmp_path / "likes.csv", index=False)
    run("fit", tmp_path / "likes.csv", "-m", "popularity", "-o", tmp_path / "base")
    code, _, err = run("adapt", "--base", tmp_path / "base", "--data", tmp_path / "likes.csv", "-o", tmp_path / "a")
    assert (code, err.count("\n")) == (1, 1)
    assert "base must be" in err


@pytest.mark.slow
def test_demo_on_made_up_data_when_there_is_no_network(run, no_network):
    code, out, err = run("demo")
    assert code == 0
    assert "MADE-UP data" in err
    assert "IALS recommends" in out
    assert "ndcg@10" in out
    assert out.count("The ") >= 10
    assert "lrrec fit ratings.csv" in out.partition("Where to go next")[2]
    assert "docs/start.md" in out.splitlines()[-1]


def test_data_list_and_info(run, no_network):
    code, out, _ = run("data", "list")
    assert code == 0
    assert all(name in out for name in lrrec.datasets.names())
    code, out, _ = run("data", "info", "ml-1m")
    assert "6,040 users, 3,706 items, 1,000,209 ratings\nas published; not downloaded yet" in out
    code, out, _ = run("data", "get", "made-up")
    assert out.strip().endswith("made-up")


@pytest.mark.realdata
def test_data_info_counts(run, real_data):
    _, out, _ = run("data", "info", "ml-100k", "--data-home", real_data)
    assert "943 users, 1,682 items, 100,000 ratings\ncounted in" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fit", "none.csv", "-o", "m"), "Error: DATA must be an existing file or one of citeulike-a"),
        (("fit", "made-up", "-o", "m", "-m", "magic"), "--model must be one of 'ials', 'popularity', 'svd'"),
        (("fit", "made-up", "-o", "m", "-p", "rank=3"), "--param must be NAME=VALUE with NAME one of"),
        (("fit", "made-up", "-o", "m", "-p", "help"), "--param must be NAME=VALUE with NAME one of alpha, "),
        (("fit", "made-up", "-o", "m", "--time-column", "t"), "columns are for tables"),
        (("fit", "made-up", "-o", "m", "-p", "n_factors=0"), "n_factors must be an integer >= 1, got 0"),
        (("fit", "made-up", "-o", "no/where/m"), "--out must be a file in a folder that exists"),
        (("recommend", "none"), "does not exist"),
        (("evaluate", "made-up", "--split", "fair"), "--split must be one of"),
        (("evaluate", "made-up", "--metric", "auc@5"), "NAME@K"),
        (("evaluate", "made-up", "--metric", "ndgc@10"), "NAME@K"),
        (("evaluate", "made-up", "--split", "published"), "made-up has no published split"),
        (("data", "info", "ml-2m"), "name must be one of"),
        (
            ("fit", "made-up", "-o", "m", "-m", "popularity", "-p", "x=1"),
            "--param must be NAME=VALUE with NAME one of weighted, got 'x=1'",
        ),
    ],
)
def test_errors_are_one_line(run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*words)
    assert code != 0
    assert message in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line and "IALS:" not in line]) == 1


def test_unknown_users_of_a_model(run, table, tmp_path):
    run("fit", table, "-m", "popularity", "-o", tmp_path / "m")
    popular = "unknown users: -7 have no interaction in the training data; add --popular to recommend popular items"
    for user, words in (("ann", "--user must be an integer"), ("-7", popular)):
        code, _, err = run("recommend", tmp_path / "m", f"--user={user}")
        assert code == 1
        assert words in err
    assert run("recommend", tmp_path / "m", "--user=-7", "--popular")[0] == 0


def test_users_without_an_interaction_are_not_left_out_silently(run, tmp_path):
    path = tmp_path / "stars.csv"
    rows = [f"{user},{item},5" for user in "abc" for item in "xyz"]
    path.write_text("\n".join(["user,item,stars", *rows, "low,x,1"]))
    run("fit", path, "--value-column", "stars", "--min-rating", 4, "-m", "popularity", "-o", tmp_path / "m")
    out_file = tmp_path / "lists.csv"
    code, out, err = run("recommend", tmp_path / "m", "--include-seen", "-o", out_file)
    assert (code, out) == (0, f"recommended to 3 users, in {out_file}\n")
    assert err == "1 users without an interaction are left out: add --popular\n"
    assert run("recommend", tmp_path / "m", "--include-seen", "--popular", "-o", out_file)[2] == ""
    assert set(pd.read_csv(out_file).user) == {"a", "b", "c", "low"}


def test_excluded_pairs_are_not_recommended(run, table, tmp_path):
    run("fit", table, "-m", "popularity", "-o", tmp_path / "m")
    _, out, _ = run("recommend", tmp_path / "m", "--include-seen")
    lists = pd.read_csv(io.StringIO(out))
    first = lists[lists["rank"] == 1]
    first.rename(columns={"user": "who"})[["who", "item"]].to_csv(tmp_path / "not.csv", index=False, sep=";")
    words = ("--exclude", tmp_path / "not.csv", "--user-column", "who", "--delimiter", ";")
    _, out, _ = run("recommend", tmp_path / "m", "--include-seen", *words)
    left = lists.merge(first[["user", "item"]], how="left", indicator=True)
    expected = left[left["_merge"] == "left_only"].groupby("user")["item"].agg(list)
    assert (
        pd.read_csv(io.StringIO(out))
        .groupby("user")["item"]
        .agg(list)
        .str[: expected.str.len().min()]
        .equals(expected.str[: expected.str.len().min()])
    )
    (tmp_path / "text.csv").write_text("user,item\nann,1\n")
    code, _, err = run("recommend", tmp_path / "m", "--exclude", tmp_path / "text.csv")
    assert code == 1
    assert "users of --exclude must be integers, as the others are, got 'ann'" in err


def test_histories_of_a_file_are_served(run, likes, tmp_path):
    """People whom the model does not know, as recommend_from serves them; ids of a file are those of the model."""
    named = lrrec.Interactions(likes.matrix, likes.users, lrrec.IdMap([f"{item:03}" for item in likes.items.ids]))
    model = lrrec.EASE().fit(named)
    model.save(tmp_path / "m")
    path = tmp_path / "new.csv"
    path.write_text("who;what;stars\nann;150;5\nann;207;4\nbob;310;5\neve;150;1\n")
    words = ("recommend", tmp_path / "m", "--history", path, "--user-column", "who", "--item-column", "what", "-k", 4,
             "--delimiter", ";", "--value-column", "stars", "--min-rating", 4)  # fmt: skip
    code, out, err = run(*words)
    assert (code, err) == (0, "1 users without an interaction are left out: add --popular\n")
    new = lrrec.Interactions.from_pairs(["ann", "ann", "bob"], ["150", "207", "310"])
    expected = model.recommend_from(new, 4).to_frame()
    pd.testing.assert_frame_equal(
        pd.read_csv(io.StringIO(out), dtype={"item": str}), expected, rtol=1e-5, check_dtype=False
    )
    _, out, err = run(*words, "--popular")
    assert (set(pd.read_csv(io.StringIO(out)).user), err) == ({"ann", "bob", "eve"}, "")
    numbers = tmp_path / "numbers.csv"  # users as integers, as no user of the model is
    numbers.write_text("who;what\n" + "".join(f"{user};{item}\n" for user, item in ((1, 150), (1, 207), (2, 310))))
    unlike = tmp_path / "unlike.csv"
    unlike.write_text(f"who;what\n1;{expected.item[0]}\n")
    named_columns = ("--user-column", "who", "--item-column", "what", "--delimiter", ";")
    lrrec.EASE().fit(
        lrrec.Interactions(named.matrix, lrrec.IdMap([f"u{n}" for n in likes.users.ids]), named.items)
    ).save(tmp_path / "texts")
    _, out, _ = run("recommend", tmp_path / "texts", "--history", numbers, "--exclude", unlike, "-k", 4, *named_columns)
    lists = pd.read_csv(io.StringIO(out), dtype={"item": str}).groupby("user")["item"].agg(list)
    assert expected.item[0] not in lists[1]
    assert lists[1][:3] == expected.item[1:4].tolist()
    code, _, err = run(*words, "--user", "ann")
    assert code == 1
    assert "--history must be without --user and --explain" in err


def test_several_models_are_compared_user_by_user(run, likes, tmp_path):
    words = ("evaluate", "made-up", "--min-rating", 4, "-m", "ease", "-m", "popularity", "--metric", "ndcg@10")
    code, out, _ = run(*words, "-o", tmp_path / "users.csv")
    assert code == 0
    models = {"EASE()": lrrec.EASE(), "Popularity()": lrrec.Popularity()}
    pairs = lrrec.compare(models, lrrec.splits.by_user(likes, random_state=0), metrics=["ndcg@10"]).pairs("ndcg@10")
    row = pairs.iloc[0]
    text = " ".join(out.replace("\n", " ").split())
    assert (
        f"ndcg@10: EASE() - Popularity(): {row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]; better for" in text
    )
    assert pd.read_csv(tmp_path / "users.csv").groupby("model").size().to_dict() == dict.fromkeys(models, 84)
    for more, message in (
        (("-p", "reg=1"), "--param must be for one model"), (("--split", "k-folds"), "--model must be one"),
        (("-m", "ease"), "--model must name different models"),
    ):  # fmt: skip
        code, _, err = run(*words, *more)
        assert code == 1
        assert message in err


def test_errors_of_reading_name_the_options(run, tmp_path):
    path = tmp_path / "export.csv"
    path.write_bytes(
        "Leser;Titel;Note;Datum\n1;Bücher;4,5;31.01.2024 10:00\n2;;3,5;31.01.2024 11:00\n".encode("latin-1")
    )
    words = ["fit", path, "-m", "popularity", "-o", tmp_path / "m"]
    for hint, more in (
        ("--user-column, --item-column, --value-column and --time-column, or pass --delimiter",
         ["--delimiter", ";", "--user-column", "Leser", "--item-column", "Titel", "--value-column", "Note",
          "--time-column", "Datum"]),
        ("Pass --read encoding=, e.g. 'latin-1'", ["--read", "encoding=latin-1"]),
        ("pass --read missing='drop'", ["--read", "missing=drop"]),
        ("pass --read decimal=','", ["--read", "decimal=,"]),
        ("Pass --read time_format='%d.%m.%Y %H:%M'", ["--read", "time_format=%d.%m.%Y %H:%M"]),
    ):  # fmt: skip
        code, _, err = run(*words)
        assert code == 1
        assert hint in err
        words += more
    assert run(*words)[0] == 0


def test_debug_shows_the_traceback(run):
    with pytest.raises(lrrec.errors.LrrecError):
        run("fit", "none.csv", "-o", "m", "--debug")


def test_help_names_what_there_is(run):
    _, out, _ = run("fit", "--help")
    words = [word.strip(",.;") for word in out.replace("│", " ").split()]
    assert {entry.command_name for entry in lrrec.models.MODELS.values()} <= set(words)
    _, out, _ = run("evaluate", "--help")
    words = [word.strip(",.;") for word in out.replace("│", " ").split()]
    assert "NAME@K" in words
    assert set(lrrec.metrics.METRICS) <= set(words)


def test_files_with_their_own_ways(run, tmp_path):
    path = tmp_path / "table.tsv"
    rows = [("007", "a", 5, "2024-01-31"), ("7", "b", 4, "2024-02-01T10:00:00Z"), ("042", "a", 3, "2024-02-02"),
            ("007", "c", 1, "2024-03-01"), ("7", "a", 2, "2024-03-02")]  # fmt: skip
    path.write_text("user\titem\tstars\twhen\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    columns = ("--delimiter", "\t", "--value-column", "stars", "--time-column", "when")
    code, _, err = run("fit", path, *columns, "-m", "popularity", "-o", tmp_path / "m")
    assert code == 0, err
    assert list(lrrec.load(tmp_path / "m").users_) == ["007", "042", "7"]
    code, out, err = run("evaluate", path, *columns, "-m", "popularity", "--split", "by_time", "--test-size", 0.4)
    assert code == 0, err
    assert "at='2024-03-01" in out
    code, _, err = run("fit", path, "--delimiter", "\t", "--min-rating", 3, "-o", tmp_path / "m")
    assert "--min-rating needs the column of the values" in err
    code, _, err = run("evaluate", path, "--split", "published")
    assert "published splits come with data sets, got the file DATA" in err


def test_version(run):
    assert run("--version")[1].strip() == lrrec.__version__


def test_usage_errors(run):
    code, _, err = run("fit")
    assert code == 2
    assert "Missing argument" in err


def test_adapting(run, made_up, likes, tmp_path):
    table = likes.to_frame()
    abroad = table["user"].isin(made_up.users.user[made_up.users.population == "target"])
    for name, part in (("source", table[~abroad]), ("market", table[abroad])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    base, adapter = tmp_path / "base", tmp_path / "market.adapter"
    assert run("fit", tmp_path / "source.csv", "--out", base, "-p", "n_factors=8")[0] == 0
    words = ("adapt", "--base", base, "--data", tmp_path / "market.csv", "--out", adapter, "--rank", "2")
    code, out, _ = run(*words, "--histories", "--budget", "fast")
    assert code == 0
    for word in ("fold-in", "scratch", "anchored", "low-rank 2", "Kept: ", "parameters saved to"):
        assert word in out
    code, out, _ = run("recommend", adapter, "--base", base, "-k", 3)
    assert code == 0
    assert len(out.splitlines()) == 1 + 3 * likes.filter(abroad.to_numpy()).to_frame()["user"].nunique()
    code, _, err = run("recommend", adapter)
    assert (code, err.count("\n")) == (1, 1)
    assert "base must be the model" in err
    code, out, _ = run(*words, "--no-guard")
    assert "does not contain the users: add --histories" in out
    for asked in ((), ("--user", "m0"), ("--user", "1")):
        code, _, err = run("recommend", adapter, "--base", base, *asked)
        assert code == 1
        assert "has no users to recommend to" in err
        assert "--histories" in err
    code, out, _ = run(
        "recommend", adapter, "--base", base, "--user", "somebody", "--popular", "--include-seen", "-k", 3
    )
    assert (code, len(out.splitlines())) == (0, 4)
    code, _, err = run("adapt", "--base", base, "--data", tmp_path / "market.csv", "--out", adapter, "--rank", "x")
    assert "--rank must be an integer >= 1 or auto, got 'x'" in err


def test_adapting_several_models(run, made_up, likes, tmp_path):
    table, words = likes.to_frame(), []
    for name, part in (("one", table[::2]), ("two", table[1::2])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
        assert run("fit", tmp_path / f"{name}.csv", "-m", "ease", "-o", tmp_path / name, "-p", "reg=50")[0] == 0
        words += ["--base", tmp_path / name]
    adapter, data = tmp_path / "adapter", tmp_path / "one.csv"
    code, out, _ = run("adapt", *words, "--data", data, "--out", adapter, "--histories", "--budget", "fast")
    assert code == 0
    assert "item-item" in out
    code, _, err = run("adapt", *words, "--data", data, "--out", tmp_path / "x", "--catalogue", "own")
    assert (code, "--catalogue must be one of 'all', 'target', got 'own'" in err) == (1, True)
    code, out, _ = run("recommend", adapter, *words, "--user", "7", "-k", 3)
    assert (code, len(out.splitlines())) == (0, 4)
    code, _, err = run("recommend", adapter, "--base", tmp_path / "one", "--user", "7")
    assert (code, err.count("\n")) == (1, 1)
    assert "another base" in err


def test_benchmarking(run, tmp_path, made_up):
    """Tuned, compared, written; and again from the stored settings, to the same figures."""
    pytest.importorskip("optuna")
    pytest.importorskip("jinja2")
    out, page = tmp_path / "out", tmp_path / "report.html"
    words = ("benchmark", "made-up", "--models", "popularity,ease,itemknn", "--metric", "ndcg@5", "--metric", "hit@5",
             "--folds", 3)  # fmt: skip
    code, shown, err = run(*words, "--trials", 2, "--out", out, "--report", page)
    assert code == 0, err
    assert "Comparison of 3 models for 84 users" in shown
    assert sorted(one.name for one in out.iterdir()) == ["results.json", "settings.json", "study.db", "users.csv"]
    results = json.loads((out / "results.json").read_text())
    assert list(results["models"]) == ["popularity", "ease", "itemknn"]
    assert results["protocol"] == "by-user"
    assert results["split"]["seed"] == 0
    assert len(results["pairs"]) == 3
    assert [len(one["trials"]) for one in results["tuning"].values()] == [1, 2, 2]
    assert {one["validation"][-12:] for one in results["tuning"].values()} == {"folds 1 to 3"}
    warned = [line.split(": ")[1] for line in err.splitlines() if "model's own parameters" in line]
    doubtful = [
        name for name, one in results["tuning"].items()
        if len(one["trials"]) > 1 and not one["gain_interval"][0] > 0
    ]  # fmt: skip
    assert sorted(", ".join(warned).split(", ")) == sorted(doubtful)  # once each
    users = pd.read_csv(out / "users.csv")
    assert list(users.columns) == ["model", "user", "ndcg@5", "hit@5"]
    means = users.groupby("model")["ndcg@5"].mean()
    assert means["ease"] == pytest.approx(results["models"]["ease"]["metrics"]["ndcg@5"]["mean"])
    assert "lrrec benchmark made-up --models popularity,ease,itemknn" in page.read_text()

    again = tmp_path / "again"
    code, shown, err = run(*words, "--settings", out / "settings.json", "--out", again)
    assert code == 0, err
    stored = json.loads((again / "results.json").read_text())
    assert stored["tuning"] is None
    for name, one in results["models"].items():
        assert stored["models"][name]["metrics"] == one["metrics"]
        assert stored["models"][name]["params"] == one["params"]

    code, shown, err = run(*words, "--settings", out / "settings.json", "--out", again, "--blend", "--report", page)
    assert code == 0, err
    blended = json.loads((again / "results.json").read_text())["models"]
    made = [getattr(lrrec, cls)(**blended[name]["params"]) for name, cls in
            (("popularity", "Popularity"), ("ease", "EASE"), ("itemknn", "ItemKNN"))]  # fmt: skip
    blend = lrrec.Blend(made, metric="ndcg@5", random_state=0)
    split = lrrec.splits.by_user(made_up.interactions(min_rating=4), random_state=0)
    evaluation = lrrec.evaluate(blend.fit(split.train), split, metrics=["ndcg@5", "hit@5"])
    stored = blended.pop("blend")
    assert {metric: value["mean"] for metric, value in stored["metrics"].items()} == evaluation.mean()
    weights = dict(zip(["popularity", "ease", "itemknn"], blend.weights_, strict=True))
    assert stored["params"]["weights"] == {name: weight for name, weight in weights.items() if weight}
    assert list(blended) == list(results["models"])
    assert "blend" not in json.loads((again / "settings.json").read_text())
    assert re.search(r"^blend: (ease|itemknn) 0\.\d\d", shown, re.MULTILINE)

    code, shown, err = run(*words, "--trials", 2, "--out", out)  # goes on where it stopped: at the end
    assert code == 0, err
    other = json.loads((out / "results.json").read_text())
    assert other["tuning"] == results["tuning"]
    code, _, err = run(*words, "--seed", 1, "--out", out)
    assert code == 1
    assert "storage must hold trials of the same" in err
    code, _, err = run("benchmark", "made-up", "--models", "ease", "--protocol", "by-time", "--folds", 2)
    assert (code, "folds must be 1 or left out for by_time()" in err) == (1, True)


@pytest.mark.parametrize("protocol", ["leave-last", "by_time", "ncf"])
def test_benchmarking_by_other_protocols(run, protocol, tmp_path):
    pytest.importorskip("optuna")
    code, _, err = run("benchmark", "made-up", "--models", "popularity,itemknn", "--protocol", protocol,
                       "--trials", 1, "--metric", "hit@10", "--out", tmp_path / "out")  # fmt: skip
    assert code == 0, err
    done = json.loads((tmp_path / "out" / "results.json").read_text())["done"]
    if protocol == "ncf":
        assert done["candidates"] == "100 given items per user"
        assert "99 negatives a user" in done["split"]
        assert len([line for line in err.splitlines() if line.startswith("Warning: popularity, itemknn: ")]) == 1
    else:
        assert done["candidates"] == "all 319 items"
        assert done["split"].startswith(protocol.replace("-", "_"))


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:.*ties in time decide:lrrec.errors.DataWarning")
def test_benchmarking_with_the_published_lists(run, real_data, tmp_path):
    pytest.importorskip("optuna")
    code, _, err = run("benchmark", "ml-1m", "--models", "popularity", "--protocol", "ncf", "--data-home", real_data,
                       "--out", tmp_path / "out")  # fmt: skip
    assert code == 0, err
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["done"]["split"] == "published split of ncf-ml-1m"
    assert found["models"]["popularity"]["metrics"]["hit@10"]["mean"] == pytest.approx(0.4538, abs=5e-5)


def test_errors_of_benchmarking(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.json").write_text("{")
    (tmp_path / "other.json").write_text('{"ease": {"rge": 1}}')
    for words, message in (
        (("made-up", "--models", "ease", "--blend"), "--blend needs at least two --models"),
        (("made-up", "--models", "ease,blend", "--blend"), "--blend needs at least two --models, none of which is"),
        (("made-up", "--metric", "coverage@10", "--blend"), "coverage@10"),
        (("made-up", "--models", "magic"), "--models must be one of 'ials', 'popularity'"),
        (("made-up", "--models", "ease,ease"), "--models must be distinct"),
        (("made-up", "--protocol", "fair"), "--protocol must be one of 'by-user', 'leave-last'"),
        (("made-up", "--metric", "ndgc@10"), "NAME@K"),
        (("made-up", "--report", "no/where.html"), "must be a file in a folder that exists"),
        (("made-up", "--out", "no/where"), "--out must be a folder, in one that exists"),
        (("made-up", "--settings", "none.json"), "--settings must be a file"),
        (("made-up", "--models", "ease", "--settings", "odd.json"), "odd.json is not a settings.json"),
        (("made-up", "--models", "ease", "--settings", "other.json"), "has unknown parameters of EASE: rge"),
        (("made-up", "--models", "ials", "--settings", "other.json"), "does not have parameters for each of ials"),
        (("none.csv",), "DATA must be an existing file"),
        (("made-up", "--protocol", "published"), "made-up has no published split"),
    ):
        code, _, err = run("benchmark", *words)
        assert code == 1
        assert message in err
        assert len(err.splitlines()) == 1


def test_shells_can_complete():
    """What the script of --install-completion calls."""
    environment = os.environ | {"_LRREC_COMPLETE": "complete_bash", "COMP_WORDS": "lrrec fi", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "import sys; sys.argv = ['lrrec']; from lrrec.cli import main; main()"]
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout
    assert shown.split() == ["fit"]
