"""The report: one page that needs nothing else, says what was found, and believes nobody's titles."""

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import lrrec
from lrrec.adapt import LowRank
from lrrec.errors import DataError, DataWarning, MissingDependencyError, ParameterError, ParameterTypeError

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

VOID = {"meta", "link", "br", "img", "path", "use", "rect"}
METRICS = ["ndcg@10", "recall@20"]


class Page(HTMLParser):
    """What is in a page, and whether its elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.elements, self.words = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if "id" in dict(attrs):
            self.ids.append(dict(attrs)["id"])
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.words.append(text)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def comparison(split):
    models = {"popularity": lrrec.Popularity(), "ease": lrrec.EASE(300.0), "knn": lrrec.ItemKNN()}
    return lrrec.compare(models, split, metrics=METRICS)


@pytest.fixture(scope="module")
def titles(made_up):
    return {item: f"Film {item}" for item in made_up.items["item"]}


@pytest.fixture(scope="module")
def adapter(made_up, likes):
    table = likes.to_frame()
    abroad = table["user"].isin(made_up.users.user[made_up.users.population == "target"])
    base = lrrec.IALS(4, n_iter=3, random_state=0).fit(lrrec.Interactions.from_frame(table[~abroad]))
    target = lrrec.Interactions.from_frame(table[abroad])
    candidates = [LowRank(2, reg=1.0, fold_in_reg=0.02, new_item_reg=1.0)]
    return lrrec.AdapterSelector(candidates, random_state=0).fit(target, base=base)


@pytest.fixture(scope="module")
def curves():
    rows = [
        (n, method, n / 100 + len(method) / 10 + noise)
        for n in (10, 50)
        for method in ("a", "bb")
        for noise in (0, 0.02)
    ]
    return pd.DataFrame(rows, columns=["users", "method", "ndcg@20"])


@pytest.fixture(scope="module")
def full(comparison, split, titles, adapter, curves):
    pytest.importorskip("optuna")
    with pytest.warns(DataWarning, match="model's own parameters"):  # of three trials on few users
        tunings = lrrec.tune({"ease": lrrec.EASE(), "popularity": lrrec.Popularity()}, split, n_trials=3)
    return lrrec.Report(
        "All there is", comparison, split=split, tunings=tunings, transfer=adapter, curves=curves, titles=titles,
        command="lrrec benchmark made-up",
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(full, tmp_path_factory):
    """The page of everything, from its file."""
    path = tmp_path_factory.mktemp("full") / "report.html"
    full.save(path)
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_one_file_that_needs_nothing_else(text):
    page = Page(text)
    for tag, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "action"):
            assert attrs.get(name, "#").startswith(("#", "data:")), (tag, attrs)
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert "default-src 'none'" in page.all("meta")[3]["content"]
    assert page.all("meta")[1]["content"] == "width=device-width, initial-scale=1"
    assert "prefers-color-scheme: dark" in text


def test_everything_is_in_it(text, comparison, split):
    page = Page(text)
    headings = [attrs["id"] for attrs in page.all("section")]
    assert headings == ["models", "history", "transfer", "tuning", "examples", "data", "protocol", "repeat"]
    words = " ".join(page.words)
    for name, one in comparison.evaluations.items():
        assert name in words
        assert f"{one.mean()['ndcg@10']:.4f}" in words
    low, high = comparison.evaluations["ease"].interval()["ndcg@10"]
    assert f"{low:.4f} to {high:.4f}" in words
    assert split.sha256 in words
    assert split.description in words
    assert "lrrec benchmark made-up" in words
    assert np.__version__ in words
    assert "Film " in words
    assert "Kept: " in words


def test_pictures_are_told_in_words_and_follow_the_page(text):
    page = Page(text)
    pictures = page.all("svg")
    assert len(pictures) == 6
    for attrs in pictures:
        assert attrs["role"] == "img"
        assert len(attrs["aria-label"]) > 30
        assert "width" not in attrs  # as wide as the page lets it be
    assert len(page.ids) == len(set(page.ids))  # of several pictures in one page
    named = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))
    assert named <= set(page.ids)
    svg = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    assert "currentColor" in svg
    assert "var(--series-0)" in svg
    assert "#000000" not in svg  # black would not be seen in the dark
    assert "#0a0b" not in svg
    defined = set(re.findall(r"(--[a-z0-9-]+):", text))
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", text)) <= defined


def test_tables_name_rows_and_columns(text):
    page = Page(text)
    assert {attrs.get("scope") for attrs in page.all("th")} == {"col", "row"}
    assert len(page.all("caption")) == len(page.all("table"))
    regions = [attrs for attrs in page.all("div") if attrs.get("role") == "region"]
    assert len(regions) == len(page.all("table"))
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)


def test_models_are_in_the_order_of_their_means(comparison, split):
    report = lrrec.Report("x", comparison, split=split)
    assert list(report.comparison.evaluations) == ["knn", "ease", "popularity"]
    assert list(comparison.evaluations) == ["popularity", "ease", "knn"]
    text = report.html()
    assert "knn has the best mean ndcg@10" in text
    pairs = comparison.pairs("ndcg@10").set_index(["model", "other"])
    p_value = pairs.loc[("ease", "knn"), "p holm"]
    assert f"(p = {p_value:.4f}, corrected for 3 pairs)" in text
    other = lrrec.Report("x", comparison, metric="recall@20").html()
    assert "best mean recall@20" in other


def test_evaluations_alone(comparison):
    page = Page(lrrec.Report("x", evaluations=comparison.evaluations).html())
    assert [attrs["id"] for attrs in page.all("section")] == ["models", "history", "protocol", "repeat"]
    one = {"ease": comparison.evaluations["ease"]}
    assert "best mean" in lrrec.Report("x", evaluations=one).html()


def test_parts_alone(split, curves, adapter):
    for given, names in (
        ({"split": split}, ["data"]), ({"curves": curves}, ["transfer"]), ({"transfer": adapter.report_}, ["transfer"])
    ):  # fmt: skip
        page = Page(lrrec.Report("x", **given).html())
        assert [attrs["id"] for attrs in page.all("section")] == [*names, "repeat"]


def test_the_code_repeats_it(comparison, split, likes):
    page = Page(lrrec.Report("x", comparison, split=split).html())
    (code,) = [words for words in page.words if words.startswith("import lrrec")]
    made = {"data": likes}
    exec(code.replace("print(comparison)", ""), made)
    assert made["split"].sha256 == split.sha256
    for name, one in comparison.evaluations.items():
        assert made["comparison"].evaluations[name].mean() == one.mean()


def test_the_code_repeats_a_blend_of_many_models(likes, split):
    members = [lrrec.EASE(reg=20.0 + place) for place in range(30)]  # longer than what scikit-learn prints
    found = lrrec.compare({"blend": lrrec.Blend(members, weights=list(range(1, 31)))}, split, metrics=["ndcg@10"])
    (code,) = [words for words in Page(lrrec.Report("x", found, split=split).html()).words if "import lrrec" in words]
    made = {"data": likes}
    exec(code.replace("print(comparison)", ""), made)
    assert made["comparison"].evaluations["blend"].mean() == found.evaluations["blend"].mean()


def test_the_code_repeats_drawn_candidates(likes):
    split = lrrec.splits.random(likes, random_state=0)
    with pytest.warns(DataWarning, match="sampled"):
        found = lrrec.compare(
            {"knn": lrrec.ItemKNN()}, split, metrics=["hit@10"], candidates=20, random_state=3, exclude_seen=False
        )
    page = Page(lrrec.Report("x", found, split=split).html())
    (code,) = [words for words in page.words if words.startswith("import lrrec")]
    assert "candidates=20, random_state=3, exclude_seen=False)" in code


@pytest.mark.parametrize(
    "make",
    ["by_time", pytest.param("leave_last", marks=pytest.mark.slow), pytest.param("random", marks=pytest.mark.slow)],
)
def test_other_splits(likes, make):
    cut = getattr(lrrec.splits, make)
    split = cut(likes, random_state=0) if make == "random" else cut(likes)
    found = lrrec.compare({"ease": lrrec.EASE(), "popularity": lrrec.Popularity()}, split, metrics=["hit@10"])
    page = Page(lrrec.Report("x", found, split=split).html())
    assert {"examples", "data", "models"} <= {attrs.get("id") for attrs in page.all("section")}


def test_titles_are_not_believed(comparison, split, titles):
    evil = dict.fromkeys(titles, "<script>alert(1)</script>")
    named = {"<b>": comparison.evaluations["ease"], "$x_1$ & \"'": comparison.evaluations["knn"]}
    text = lrrec.Report("<img src=x onerror=alert(1)>", comparison, split=split, titles=evil).html()
    page = Page(text)
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert "&lt;script&gt;alert(1)" in text
    page = Page(lrrec.Report("x", evaluations=named).html())
    assert not page.all("b")
    assert page.words.count("$x_1$ & \"'") >= 4  # in tables and pictures, and no formula


def test_saved_whole_or_not_at_all(comparison, tmp_path, monkeypatch):
    report = lrrec.Report("x", comparison)
    path = tmp_path / "report.html"
    path.write_text("before")
    monkeypatch.setattr(lrrec.Report, "html", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.save(path)
    assert path.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ParameterError, match="path must be a file in a folder that exists"):
        report.save(tmp_path / "no" / "report.html")


def test_arguments_are_checked(comparison, split, likes, curves):
    for wrong, error, message in (
        ({}, ParameterError, "comparison must be given, or another part of a report, got none"),
        ({"comparison": 3}, ParameterTypeError, "comparison must be a Comparison, got int"),
        ({"comparison": comparison, "evaluations": comparison.evaluations}, ParameterError, "got both"),
        ({"comparison": comparison, "metric": "hit@3"}, ParameterError, "metric must be one of ndcg@10, recall@20"),
        ({"split": likes}, ParameterTypeError, "split must be a Split, got Interactions"),
        ({"comparison": comparison, "split": lrrec.splits.by_user(likes, 0.1, random_state=7)}, DataError, "others"),
    ):
        with pytest.raises(error, match=message):
            lrrec.Report("x", **wrong)
    with pytest.raises(ParameterTypeError, match="transfer must be an adapter fitted with guard=True"):
        lrrec.Report("x", transfer=lrrec.EASE()).html()
    with pytest.raises(DataError, match="curves must have the columns users, method and a metric, got users, method"):
        lrrec.Report("x", curves=curves[["users", "method"]]).html()


def test_what_it_needs_is_asked_for(comparison, monkeypatch):
    for name in ("jinja2", "matplotlib"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(MissingDependencyError, match=r"pip install 'lrrec\[report\]'"):
                lrrec.Report("x", comparison).html()
