"""Data sets of several markets: made-up files of their formats, and the real ones where they are."""

import sys

import numpy as np
import pytest

import lrrec
from lrrec import cli, datasets
from lrrec.errors import DataError, FetchError, ParameterError

UK = "userId itemId rate date\nann NA 5.0 2015-01-02\nann 007 4.0 2015-01-01\nbob 007 1.0 2016-01-01\n"
FR = "userId itemId rate date\nzoe 007 2.0 2014-05-05\nzoe 007 3.0 2014-05-06\nzoe B00 5.0 2014-05-01\n"
FILES = {
    "xmarket/uk.txt": UK,
    "xmarket/fr_5core.txt": FR,
    "wsdm-xmrec/s1/train_5core.tsv": "userId\titemId\trating\ns1U1\tP1\t1.0\ns1U1\tP2\t1.0\ns1U1\tP1\t1.0\n",
    "wsdm-xmrec/t1/train.tsv": "userId\titemId\trating\nt1U2\tP2\t5.0\nt1U1\tP1\t3.0\n",
    "wsdm-xmrec/t1/train_5core.tsv": "userId\titemId\trating\nt1U1\tP1\t1.0\nt1U1\tP3\t1.0\n",
    "wsdm-xmrec/t1/valid_qrel.tsv": "userId\titemId\trating\nt1U2\tP7\t1\nt1U1\tP2\t1\n",
    "wsdm-xmrec/t1/valid_run.tsv": "t1U1\tP9,P2,P8\nt1U2\tP7,P1,P9\n",
}


@pytest.fixture
def home(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_all_markets_in_one(home):
    whole = datasets.load("xmarket", home)
    assert repr(whole) == "Dataset(xmarket: 3 users, 3 items, 6 ratings)"
    assert (whole.markets, whole.parts) == (("fr", "uk"), ())
    assert whole.ratings.groupby("market")["user"].unique().map(list).to_dict() == {"fr": ["zoe"], "uk": ["ann", "bob"]}
    assert whole.ratings["time"].astype(str).tolist()[0] == "2014-05-05"
    assert whole.items["item"].tolist() == ["007", "B00", "NA"]
    for table in ("ratings", "items", "users"):
        assert list(getattr(whole, table).columns) == whole.recipe.columns[table]


def test_one_market_by_name(home):
    """Ids are text, whatever they look like; of ratings that were revised the latest counts."""
    market = datasets.load("xmarket/fr", home)
    assert repr(market) == "Dataset(xmarket/fr: 1 users, 2 items, 3 ratings)"
    assert market.interactions().to_frame()[["item", "value"]].to_numpy().tolist() == [["007", 3.0], ["B00", 5.0]]
    assert market.interactions(min_rating=4).to_frame()["item"].tolist() == ["B00"]
    both = datasets.load("xmarket/uk+fr", home)
    assert both.name == "xmarket/uk+fr"
    assert both.statistics() == datasets.load("xmarket", home).statistics()
    assert datasets.load("xmarket/uk", home).items["item"].tolist() == ["007", "NA"]


def test_names_of_markets(home):
    for name in ("xmarket", "xmarket/jp", "xmarket/jp+uk", "made-up"):
        assert datasets.is_name(name)
    for name in ("made-up/ratings.csv", "xmarket/uk+xmarket/ca", "xmarket/jp/x", "jp"):
        assert not datasets.is_name(name)
    with pytest.raises(ParameterError, match="the market in 'xmarket/jp' must be one of 'fr', 'uk', got 'jp'"):
        datasets.load("xmarket/jp", home)
    with pytest.raises(ParameterError, match="name must be 'made-up', which has no markets, got 'made-up/jp'"):
        datasets.load("made-up/jp", home)
    with pytest.raises(DataError, match="xmarket/uk has no published split: make one of interactions"):
        datasets.load("xmarket/uk", home).split()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("xmarket/uk.txt", UK.replace("rate", "stars"), "'rate'"),
        ("xmarket/uk.txt", UK.replace("bob 007 1.0 2016-01-01", "bob 007 1.0"), "line with too few fields"),
        ("xmarket/uk.txt", UK.replace("bob 007", "bob the 007"), "Expected 4 fields in line 4, saw 5"),
        ("xmarket/uk.txt", UK.replace("1.0", "one"), "could not convert string to float"),
        ("xmarket/uk.txt", UK.replace("2016-01-01", "2016-13-01"), "2016-13-01"),
        ("xmarket/fr.txt", FR, "two files of the market fr"),
        ("wsdm-xmrec/t1/valid_run.tsv", "t1U1\tP9,P2\nt1U2\tP7,P1,P9\n", "lists of several lengths"),
        ("wsdm-xmrec/t1/valid_run.tsv", "t1U1\tP9,P2,P8\n", "'t1U2'"),
    ],
)
def test_other_files_are_refused(home, name, text, words):
    (home / name).write_text(text)
    with pytest.raises(DataError, match=words):
        datasets.load(name.partition("/")[0], home)


def test_nobody_may_fetch_them_for_you(no_network):
    """The error says where they are, and where to put them."""
    with pytest.raises(FetchError) as error:
        datasets.load("xmarket/jp")
    message = str(error.value)
    assert (
        "xmarket cannot be fetched by a program.\nWhat to do: get it from https://github.com/hamedrab/FOREC" in message
    )
    assert "put its files (*.txt) into DIR/xmarket/" in message


def test_published_candidates(home):
    """The test part is not in the ratings; its lists are in the order of the users."""
    dataset = datasets.load("wsdm-xmrec/t1", home)
    assert dataset.parts == ("test",)
    assert dataset.ratings[["user", "item"]].to_numpy().tolist() == [["t1U2", "P2"], ["t1U1", "P1"], ["t1U1", "P3"]]
    split = dataset.split()
    assert split.description == "published split of wsdm-xmrec/t1"
    assert split.train.to_frame()[["user", "item"]].to_numpy().tolist() == [
        ["t1U1", "P1"], ["t1U1", "P3"], ["t1U2", "P2"]
    ]  # fmt: skip
    assert split.test.to_frame()[["user", "item"]].to_numpy().tolist() == [["t1U1", "P2"], ["t1U2", "P7"]]
    assert split.candidates.tolist() == [["P9", "P2", "P8"], ["P7", "P1", "P9"]]
    assert split.items.ids.tolist() == ["P1", "P2", "P3", "P7", "P8", "P9"]
    with pytest.warns(lrrec.errors.DataWarning, match="3 given items per user"):
        evaluation = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["hit@1"])
    np.testing.assert_array_equal(evaluation.values["hit@1"], [1, 0])  # P2 is the one known candidate; P1 is popular
    with pytest.raises(DataError, match=r"no published validation part: make one of split\(\)\.train"):
        dataset.split("valid")


def test_candidates_go_with_their_market(home):
    assert datasets.load("wsdm-xmrec/s1", home).parts == ()
    whole = datasets.load("wsdm-xmrec", home)
    assert len(whole.interactions()) == len(whole.ratings) == 5
    split = whole.split()
    assert (len(split.train), len(split.test)) == (5, 2)
    assert split.users.ids[split.test_rows].tolist() == ["t1U1", "t1U2"]


def test_published_candidates_without_times_are_tuned_for(home):
    """On interactions that `tune` draws: the last ones of each user are not known."""
    source = cli.inputs.Source("wsdm-xmrec/t1", home)
    (split,) = source.splits("published")
    assert split.candidates.shape == (2, 3)
    assert source.validation(split, "published", 0) is None


@pytest.mark.parametrize("words", [("fit", "xmarket/uk", "--out", "m"), ("fit", "xmarket/uk+fr", "--out", "m")])
def test_commands_take_markets(home, monkeypatch, capsys, words):
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", ["lrrec", *words, "-p", "n_factors=1", "--data-home", str(home)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code, capsys.readouterr().err
    assert (home / "m").is_file()


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["xmarket", pytest.param("wsdm-xmrec", marks=pytest.mark.slow)])
def test_real_markets_are_what_the_recipe_says(name, real_data):
    whole = datasets.load(name, real_data)
    counts = whole.ratings.groupby("market").agg({"user": "nunique", "item": "nunique", "market": "size"})
    published = whole.recipe.markets
    assert {market: counts.loc[market].tolist() for market in published} == {
        market: list(statistics.values()) for market, statistics in published.items()
    }


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:the candidates are 100 given items")
def test_real_published_candidates(real_data):
    """EASE scores about what was published (0.677); a test item is in its user's list, and never in their history."""
    split = datasets.load("wsdm-xmrec/t1", real_data).split()
    assert split.candidates.shape == (2_697, 100)
    assert split.n_repeats == 0
    relevant = split.items.ids[split.test.matrix.indices]
    assert (split.candidates == relevant[:, None]).sum(axis=1).tolist() == [1] * 2_697
    evaluation = lrrec.evaluate(lrrec.EASE(100).fit(split.train), split, metrics=["ndcg@10"])
    assert evaluation.mean()["ndcg@10"] == pytest.approx(0.678, abs=0.003)
