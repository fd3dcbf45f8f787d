"""On Spark as on one machine: what the workers run, without Spark; and Spark's answers, where there are it and Java."""

import itertools
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrrec
from lrrec import IALS, AdapterBank, Interactions, partitions
from lrrec.adapt import LowRank
from lrrec.errors import DataError, FileFormatError, ParameterError, ParameterTypeError, UnknownIdError
from lrrec.interop import from_spark

ROOT = Path(__file__).parents[1]
ADAPTER = LowRank(rank=2, reg=1.0, fold_in_reg=0.02, new_item_reg=1.0, n_iter=1)
METRICS = ["ndcg@10", "recall@20", "graded-ndcg@5"]


def named(frame):
    """The frame with strings as ids, which differ in little: "7" and "007"."""
    user = frame["user"].map(lambda n: f"{n // 2}" if n % 2 else f"00{n // 2}")
    return frame.assign(user=user, item="i " + frame["item"].astype(str))


@pytest.fixture(scope="module")
def plays(likes):
    """Values, and pairs that repeat: a row for each interaction."""
    frame = likes.to_frame().drop(columns="time").assign(value=lambda f: 1.0 + f["item"] % 3)
    return pd.concat([frame, frame[::5]], ignore_index=True)


@pytest.fixture(scope="module", params=["integers", "strings"])
def data(request, plays):
    return named(plays) if request.param == "strings" else plays


def read(frame):
    return Interactions.from_frame(frame, value="value", duplicates="sum")


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    """A model of half of the users, and its file."""
    half = data[data["item"].rank(method="dense") % 7 > 0]  # some items are unknown to it
    fitted = IALS(8, n_iter=3, alpha=0.5, random_state=0).fit(read(half[half.index % 2 == 0]))
    path = tmp_path_factory.mktemp("model") / "model.lrrec"
    fitted.save(path)
    return fitted, str(path)


def batches(frame, cuts=()):
    """Record batches of a frame that is cut at some rows."""
    bounds = [0, *sorted(cuts), len(frame)]
    for start, stop in itertools.pairwise(bounds):
        yield pa.RecordBatch.from_pandas(frame[start:stop], preserve_index=False)


def together(frame):
    """Each user's rows next to each other, the users in no order."""
    keys = frame["user"].astype(str).map(lambda name: name[::-1])
    return frame.loc[keys.sort_values(kind="stable").index]


def assert_same_lists(actual, expected):
    actual, expected = (f.sort_values(["user", "rank"], ignore_index=True) for f in (actual, expected))
    columns = ["user", "item", "rank"]
    pd.testing.assert_frame_equal(actual[columns], expected[columns], check_dtype=False)
    np.testing.assert_allclose(actual["score"], expected["score"], rtol=1e-6, atol=1e-6)


def frame_of(record_batches):
    return pa.Table.from_batches(record_batches).to_pandas()


def strangers(data):
    """Users of whose items the model knows none."""
    kind = data["item"].dtype
    items = [10**12, 10**12 + 1] if kind.kind == "i" else ["never", "heard"]
    users = [10**13, 10**13] if kind.kind == "i" else ["stranger", "stranger"]
    return pd.DataFrame({"user": users, "item": items, "value": 1.0})


# Without Spark.


@given(st.lists(st.integers(0, 5), max_size=30), st.sets(st.integers(0, 30)), st.integers(1, 12))
def test_the_rows_of_a_user_stay_together_and_none_is_lost(users, cuts, n_rows):
    users = sorted(users)
    frame = pd.DataFrame({"user": np.array(users, dtype=np.int64), "item": np.arange(len(users))})
    tables = [*partitions.whole_users(batches(frame, {min(cut, len(frame)) for cut in cuts}), n_rows)]
    assert [user for table in tables for user in table["user"].to_pylist()] == users
    assert [item for table in tables for item in table["item"].to_pylist()] == [*range(len(users))]
    parts = [set(table["user"].to_pylist()) for table in tables]
    assert sum(map(len, parts)) == len(set(users))
    assert all(parts)


@pytest.mark.parametrize("options", [
    {}, {"exclude_seen": False}, {"unknown": "mask"}, {"unknown": "popular"}, {"threshold": 0.2}, {"items": 40},
    {"exclude": 40, "unknown_items": "ignore"},
], ids=str)  # fmt: skip
def test_a_partition_gets_the_lists_of_recommend_from(data, model, options, monkeypatch):
    monkeypatch.setattr(partitions.whole_users, "__defaults__", (500,))
    fitted, path = model
    options = {name: fitted.items_.ids[:value] if name in ("items", "exclude") else value
               for name, value in options.items()}  # fmt: skip
    if "unknown" in options:
        data = pd.concat([data, strangers(data)], ignore_index=True)
    work = pickle.loads(pickle.dumps(partial(partitions.recommend, path=path, k=7, **options)))
    actual = frame_of(work(batches(together(data), range(100, len(data), 177))))
    assert_same_lists(actual, fitted.recommend_from(read(data), 7, **options).to_frame())
    assert frame_of(work(batches(together(data)))).dtypes["rank"] == np.int32


def test_a_list_for_each_user_is_matched_by_id(data, model, monkeypatch):
    monkeypatch.setattr(partitions.whole_users, "__defaults__", (500,))
    fitted, path = model
    lists = {user: fitted.items_.ids[n % 9 : n % 9 + 20].tolist() for n, user in enumerate(read(data).users)}
    for options in ({"items": lists}, {"exclude": dict([*lists.items()][:99])}):
        actual = frame_of(partitions.recommend(batches(together(data)), path=path, k=7, **options))
        assert_same_lists(actual, fitted.recommend_from(read(data), 7, **options).to_frame())


def test_a_partition_without_rows_has_no_lists(data, model):
    assert [*partitions.recommend([], path=model[1], k=3)] == []
    assert [*partitions.recommend(batches(data[:0]), path=model[1], k=3)] == []
    assert [*partitions.recommend(batches(strangers(data)), path=model[1], k=3, unknown="mask")] == []


def test_what_workers_refuse(data, model, tmp_path):
    def run(frame, **options):
        return [*partitions.recommend(batches(frame), **({"path": model[1], "k": 3} | options))]

    with pytest.raises(UnknownIdError, match="have no item of the model in their history"):
        run(strangers(data))
    with pytest.raises(DataError, match=r"column 'user' \(user\) must not be missing"):
        run(data.assign(user=None))
    with pytest.raises(UnknownIdError, match="ids must be"):
        run(data.assign(item="x" if data["item"].dtype.kind == "i" else 1))
    with pytest.raises(FileFormatError, match="does not exist"):
        run(data, path=str(tmp_path / "none"))


def test_a_replaced_model_is_opened_again(model, tmp_path):
    path = tmp_path / "model"
    shutil.copy(model[1], path)
    first = partitions.open_model(str(path))
    assert partitions.open_model(str(path)) is first
    model[0].save(path)
    os.utime(path, ns=(1, 1))
    assert partitions.open_model(str(path)) is not first


def parts_of(data, *, repeats):
    """History and test of each user: some have no history, some only items that nobody knows."""
    of_test = data.index.to_numpy() % 3 == 0
    again = data.duplicated(["user", "item"], keep=False)
    test, history = data[of_test & (repeats | ~again)], data[~of_test | (again & ~np.bool_(repeats))]
    cold = test["user"].drop_duplicates()[:5]
    news = strangers(data).assign(user=cold.iloc[0])
    return history[~history["user"].isin(cold)], pd.concat([test, news], ignore_index=True)


def evaluated(model, history, test):
    """The local figures."""
    split = lrrec.Split.from_frames(model[2], test, history, value="value")
    return lrrec.evaluate(model[0], split, metrics=METRICS)


def assert_same_figures(actual, expected):
    np.testing.assert_array_equal(actual.users, expected.users)
    np.testing.assert_array_equal(actual.history_sizes, expected.history_sizes)
    for name in METRICS:
        np.testing.assert_allclose(actual.values[name], expected.values[name], rtol=0, atol=1e-9)
        assert actual.mean()[name] == pytest.approx(expected.mean()[name], abs=1e-9)
        assert expected.mean()[name] > 0


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A model of other users, its file, and what it was trained on."""
    few = data.assign(user=data["user"] + (10**6 if data["user"].dtype.kind == "i" else " b"))[data.index % 2 == 0]
    fitted = IALS(8, n_iter=3, alpha=0.5, random_state=0).fit(read(few))
    path = tmp_path_factory.mktemp("trained") / "model.lrrec"
    fitted.save(path, histories=False)
    return fitted, str(path), few


@pytest.mark.parametrize("repeats", [True, False])
def test_partitions_have_the_figures_of_evaluate(data, trained, repeats, monkeypatch):
    monkeypatch.setattr(partitions.whole_users, "__defaults__", (500,))
    history, test = parts_of(data, repeats=repeats)
    both = pd.concat([history.assign(is_test=False), test.assign(is_test=True)], ignore_index=True)
    work = partial(partitions.evaluate_users, path=trained[1], metrics=METRICS, exclude_seen=not repeats)
    actual = frame_of(work(batches(together(both), range(100, len(both), 177)))).sort_values("user")
    expected = evaluated(trained, history, test)
    assert expected.protocol.exclude_seen is not repeats
    np.testing.assert_allclose(np.array([*actual["values"]]).T, [*expected.values.values()], atol=1e-9)
    np.testing.assert_array_equal(actual["history_size"], expected.history_sizes)
    assert (actual["lowest"].min(), actual["highest"].max()) == expected.protocol.value_range


@pytest.fixture(scope="module")
def domains(data):
    """Two domains, and one with which the base has nothing in common."""
    odd = data["user"].astype(str).str[-1].isin([*"13579"])
    return pd.concat([data.assign(domain=np.where(odd, "de/at", "fr")), strangers(data).assign(domain="")])


@pytest.mark.filterwarnings("ignore:column 'value'")  # whose repeated rows are added
def test_a_group_gets_the_adapter_of_its_domain_and_the_folder_is_a_bank(domains, model, tmp_path):
    fitted, path = model
    work = pickle.loads(pickle.dumps(partial(partitions.adapt, path=path, adapter=ADAPTER)))
    rows = [work(pa.Table.from_pandas(part, preserve_index=False)).to_pylist()[0]
            for _, part in domains.groupby("domain")]  # fmt: skip
    assert [row["method"] for row in rows] == [None, "low-rank", "low-rank"]
    assert "not adapted: " in rows[0]["verdict"]
    contents = {row["domain"]: row["adapter"] for row in rows[1:]}
    lrrec.adapt.bank_files.write(tmp_path / "bank", contents)
    check_bank(tmp_path / "bank", fitted, domains)


def check_bank(path, base, domains):
    """The bank of a folder serves as adapters that are fitted here do."""
    bank = AdapterBank.load(path, base)
    assert set(bank) == {"de/at", "fr"}
    for name in bank:
        target = read(domains[domains["domain"] == name])
        alone = lrrec.adapt.LowRank(**ADAPTER.get_params()).fit(target, base=base)
        actual, expected = bank.recommend_from(target, name, k=5), alone.recommend_from(target, 5)
        np.testing.assert_array_equal(actual.items, expected.items)
        np.testing.assert_allclose(actual.scores, expected.scores, rtol=1e-4, atol=1e-6)


# Banks as folders.


@pytest.fixture(scope="module")
def bank(source, target):
    base = IALS(8, n_iter=2, random_state=0).fit(source)
    by = np.where(target.users.ids % 2, "a/b", "A/B")
    return AdapterBank(base).fit_many(target, by, adapter=ADAPTER, n_jobs=1)


def test_a_bank_is_saved_and_replaced_as_a_whole(bank, target, tmp_path):
    folder = tmp_path / "new" / "bank"
    bank.save(folder, histories=True)
    loaded, users = AdapterBank.load(folder, bank.base), target.users.ids[:4]
    assert {*loaded} == {"a/b", "A/B"}
    by = np.where(users % 2, "a/b", "A/B")
    np.testing.assert_array_equal(loaded.recommend(users, by, k=4).items, bank.recommend(users, by, k=4).items)
    AdapterBank(bank.base, {7: bank["a/b"]}).save(folder)
    assert [*AdapterBank.load(folder, bank.base)] == [7]
    assert len([*folder.iterdir()]) == 2  # the index and a file: what the old index named is gone


def test_an_interrupted_save_leaves_the_old_bank(bank, tmp_path, monkeypatch):
    bank.save(tmp_path)
    before = {name: adapter.change_.A.tolist() for name, adapter in bank.items()}
    written = []

    def failing(path, whole=lrrec.files.replacing):
        written.append(path)
        if path.name == "bank.json":
            raise OSError("no space left")
        return whole(path)

    monkeypatch.setattr(lrrec.files, "replacing", failing)
    with pytest.raises(OSError, match="no space"):
        AdapterBank(bank.base, {"a/b": bank["A/B"], "c": bank["A/B"]}).save(tmp_path)
    assert written
    loaded = AdapterBank.load(tmp_path, bank.base)
    assert {name: adapter.change_.A.tolist() for name, adapter in loaded.items()} == before


@pytest.mark.parametrize(("index", "words"), [
    ("{", "index of a bank"), ("[]", "index of a bank"), ('{"format": "x", "adapters": []}', "the format is 'x'"),
    ('{"format": "lrrec-bank-1", "adapters": [["a", "../x"]]}', "a file in the folder"),
    ('{"format": "lrrec-bank-1", "adapters": [["a", "gone"]]}', "does not exist"),
])  # fmt: skip
def test_folders_that_are_no_bank(bank, tmp_path, index, words):
    with pytest.raises(FileFormatError, match="must be the folder of a bank"):
        AdapterBank.load(tmp_path, bank.base)
    (tmp_path / "bank.json").write_text(index)
    with pytest.raises(FileFormatError, match=words):
        AdapterBank.load(tmp_path, bank.base)


def test_banks_that_cannot_be_saved(bank, tmp_path):
    with pytest.raises(DataError, match="domains must be integers or strings"):
        AdapterBank(bank.base, {("a", 1): bank["a/b"]}).save(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FileFormatError, match="path must be a folder"):
        bank.save(tmp_path / "file")
    bank.save(tmp_path)
    other = IALS(8, n_iter=1, random_state=1).fit([[1, 0], [1, 1]])
    with pytest.raises(FileFormatError, match="fitted to another base"):
        AdapterBank.load(tmp_path, other)


# Saved models of Spark.


def write_spark(folder, users, items, kind="org.apache.spark.ml.recommendation.ALSModel"):
    """What `ALSModel.save` writes: factors by integer, in several files and no order."""
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "part-00000-x.txt").write_text(json.dumps({"class": kind, "rank": 8}) + "\n")
    for name, (ids, factors) in {"userFactors": users, "itemFactors": items}.items():
        (folder / name).mkdir()
        (folder / name / "_SUCCESS").touch()
        order = np.random.default_rng(0).permutation(len(ids))
        for part in range(3):
            rows = order[part::3]
            table = pa.table({"id": pa.array(ids[rows], pa.int32()), "features": [*factors[rows]]})
            pq.write_table(table, folder / name / f"part-0000{part}.parquet")


@pytest.fixture(scope="module")
def hu(likes):
    return IALS(8, objective="hu", alpha=3.0, reg=0.2, reg_exponent=1.0, n_iter=3, random_state=0).fit(likes)


def test_a_saved_model_of_spark_is_read_without_spark(hu, likes, tmp_path):
    write_spark(tmp_path, (likes.users.ids, hu.user_factors_), (likes.items.ids, hu.item_factors_))
    model = from_spark(tmp_path, alpha=3.0, reg=0.2, seen=likes)
    np.testing.assert_array_equal(model.user_factors_, hu.user_factors_)
    np.testing.assert_allclose(model.transform(likes), hu.user_factors_, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(model.recommend(k=5).items, hu.recommend(k=5).items)


def test_the_integers_of_spark_stand_for_ids(hu, likes, tmp_path):
    users, items = np.flatnonzero(np.arange(likes.n_users) % 3), np.arange(likes.n_items)
    write_spark(tmp_path, (users, hu.user_factors_[users]), (items, hu.item_factors_))
    labels = [f"u{n}" for n in likes.users]
    model = from_spark(tmp_path, users=labels, items=[f"i{n}" for n in likes.items])
    assert [*model.users_] == [labels[n] for n in users]
    np.testing.assert_array_equal(model.user_factors_, hu.user_factors_[users])
    with pytest.raises(DataError, match="users must have an id for each of Spark's integers"):
        from_spark(tmp_path, users=labels[:5])


def test_folders_that_are_no_model_of_spark(hu, likes, tmp_path):
    with pytest.raises(FileFormatError, match="must be the folder of a saved Spark model"):
        from_spark(tmp_path / "none")
    factors = likes.items.ids, hu.item_factors_
    write_spark(tmp_path / "pipeline", factors, factors, "org.apache.spark.ml.PipelineModel")
    with pytest.raises(FileFormatError, match=r"saved ALSModel, got 'org.apache.spark.ml.PipelineModel'"):
        from_spark(tmp_path / "pipeline")
    write_spark(tmp_path / "torn", factors, factors)
    (tmp_path / "torn" / "itemFactors" / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(FileFormatError, match="must hold the Parquet files of factors"):
        from_spark(tmp_path / "torn")
    ragged = pa.table({"id": [1, 2], "features": [[1.0], [1.0, 2.0]]})
    shutil.rmtree(tmp_path / "torn" / "itemFactors")
    pq.write_table(ragged, tmp_path / "torn" / "itemFactors")
    with pytest.raises(FileFormatError, match="equally long"):
        from_spark(tmp_path / "torn")


def test_importing_without_pyspark_says_what_to_install():
    code = "import sys; sys.modules['pyspark'] = None; import lrrec.spark"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("lrrec.errors.MissingDependencyError: lrrec.spark needs pyspark: pip install 'lrrec[spark]'")


# With Spark.

needs_spark = pytest.mark.skipif(
    find_spec("pyspark") is None or not (shutil.which("java") or os.environ.get("JAVA_HOME")),
    reason="needs pyspark and Java: pip install 'lrrec[spark]'",
)
CONFIG = {
    "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "3", "spark.default.parallelism": "2",
    "spark.driver.host": "127.0.0.1", "spark.sql.execution.arrow.maxRecordsPerBatch": "50",
}  # fmt: skip


def environment():
    """What Spark's workers need: this interpreter, and lrrec and this module on the path."""
    path = [str(ROOT), str(ROOT / "tests"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(filter(None, path))}


@pytest.fixture(scope="module")
def session():
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment().items():
            patch.setenv(name, value)
        builder = SparkSession.builder.master("local[2,4]")
        for name, value in CONFIG.items():
            builder = builder.config(name, value)
        made = builder.getOrCreate()
        made.sparkContext.setLogLevel("OFF")
        yield made
        made.stop()


@pytest.fixture
def spark(session, recwarn):
    """The module; what Spark itself warns of does not matter."""
    import warnings

    from lrrec import spark

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield spark


def sent(session, frame):
    """A DataFrame, its rows in no order."""
    return session.createDataFrame(pa.Table.from_pandas(frame.sample(frac=1, random_state=0), preserve_index=False))


def dying(batches, *, folder, **options):
    """partitions.recommend in a worker that is killed at its first attempt, when some of its lists are out."""
    from pyspark import TaskContext

    task = TaskContext.get()
    for batch in partitions.recommend(batches, **options):
        yield batch
        if task.attemptNumber() == 0:
            (Path(folder) / str(task.partitionId())).touch()
            os.kill(os.getpid(), signal.SIGKILL)


@needs_spark
@pytest.mark.parametrize("options", [{}, {"unknown": "popular"}, {"unknown": "mask", "exclude_seen": False}], ids=str)
def test_spark_recommends_what_one_machine_does(data, model, session, spark, options):
    if options:
        data = pd.concat([data, strangers(data)], ignore_index=True)
    actual = spark.recommend(sent(session, data), model[1], 7, value="value", **options)
    assert actual.columns == ["user", "item", "rank", "score"]
    assert_same_lists(actual.toPandas(), model[0].recommend_from(read(data), 7, **options).to_frame())


@needs_spark
def test_a_killed_worker_changes_nothing(data, model, session, spark, monkeypatch, tmp_path):
    monkeypatch.setattr(partitions, "recommend", partial(dying, folder=tmp_path))
    actual = spark.recommend(sent(session, data), model[1], 7, value="value").toPandas()
    assert [*tmp_path.iterdir()]
    monkeypatch.undo()
    assert_same_lists(actual, model[0].recommend_from(read(data), 7).to_frame())


@needs_spark
def test_what_a_worker_refuses_is_said_on_the_driver(data, model, session, spark):
    with pytest.raises(Exception, match=r"UnknownIdError: users .* have no item of the model in their history"):
        spark.recommend(sent(session, strangers(data)), model[1]).count()


@needs_spark
@pytest.mark.slow
def test_the_lines_of_the_documentation(plays, session, spark, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    table = sent(session, plays.assign(market=plays["user"] % 2))
    lines = re.search(r"```py\n(.*?)```", (ROOT / "docs" / "how-to" / "scale.md").read_text(), flags=re.DOTALL)[1]
    names = {"plays": table, "history": table.where("item % 4 > 0"), "test": table.where("item % 4 = 0")}
    exec(lines.replace('"lists"', repr(str(tmp_path / "lists"))), names)  # Spark's own folder is another
    assert 0 < float(capsys.readouterr().out.split()[1].strip("}")) < 1
    assert session.read.parquet(str(tmp_path / "lists")).count() == 10 * plays["user"].nunique()
    base = lrrec.load("movies.lrrec")
    assert {*AdapterBank.load("markets", base)} == {*names["verdicts"]["market"]} == {0, 1}
    assert names["verdicts"]["verdict"].str.len().min() > 0


@needs_spark
def test_columns_of_any_name_and_width(plays, session, spark, tmp_path):
    fitted = IALS(4, n_iter=2, random_state=0).fit(likes := Interactions.from_frame(plays[["user", "item"]]))
    fitted.save(tmp_path / "m")
    odd = plays[["user", "item"]].astype("int32").rename(columns={"user": "the.user", "item": "a`b"})
    actual = spark.recommend(sent(session, odd), tmp_path / "m", 4, user="the.user", item="a`b").toPandas()
    assert_same_lists(actual, fitted.recommend_from(likes, 4).to_frame())


@needs_spark
def test_spark_evaluates_as_one_machine_does(data, trained, session, spark):
    for repeats in (True, False):
        history, test = parts_of(data, repeats=repeats)
        expected = evaluated(trained, history, test)
        actual = spark.evaluate(
            sent(session, history), sent(session, test), trained[1], metrics=METRICS, value="value"
        )  # fmt: skip
        assert_same_figures(actual, expected)
        np.testing.assert_allclose([*actual.interval().values()], [*expected.interval().values()], atol=1e-9)
        for name in ("exclude_seen", "n_cold", "value_range", "served_from", "n_users", "metrics"):
            assert getattr(actual.protocol, name) == getattr(expected.protocol, name), name


@needs_spark
def test_spark_adapts_as_one_machine_does(domains, model, session, spark, tmp_path):
    table = sent(session, domains.rename(columns={"domain": "market"}))
    actual = spark.adapt(table, model[1], tmp_path / "bank", by="market", value="value", adapter=ADAPTER)
    assert actual["market"].tolist() == ["", "de/at", "fr"]
    assert actual["method"].tolist()[1:] == ["low-rank"] * 2
    assert actual["verdict"].str.startswith("not adapted").tolist() == [True, False, False]
    assert actual["users"].tolist()[1:] == [domains[domains["domain"] == name]["user"].nunique()
                                           for name in ("de/at", "fr")]  # fmt: skip
    check_bank(tmp_path / "bank", model[0], domains)
    with pytest.raises(DataError, match=r"domain '(fr|de/at)' has [\d,]+ interactions, and max_rows is 100"):
        spark.adapt(table, model[1], tmp_path / "other", by="market", max_rows=100)
    assert not (tmp_path / "other").exists()


@needs_spark
def test_mllib_trains_a_model_that_folds_in_as_it_does(data, session, spark):
    for options in ({"value": "value", "alpha": 4.0}, {}):
        model = spark.fit_als(sent(session, data), 6, reg=0.05, n_iter=3, random_state=0, **options)
        columns = {name: options[name] for name in ("value",) if name in options}
        likes = Interactions.from_frame(data, duplicates="sum", **columns)
        assert (model.users_, model.items_) == (likes.users, likes.items)
        np.testing.assert_array_equal(model.seen_.toarray(), likes.matrix.toarray())
        U = model.user_factors_
        errors = np.linalg.norm(model.transform(likes) - U, axis=1) / np.linalg.norm(U, axis=1)
        assert errors.max() < 1e-3
        assert model.recommend(k=3).scores.count() == 3 * likes.n_users


@needs_spark
def test_a_model_that_spark_saved_folds_in_as_it_does(plays, session, spark, tmp_path):
    from pyspark.ml.recommendation import ALS

    data = Interactions.from_frame(plays, value="value", duplicates="sum")
    table = sent(session, data.to_frame().astype({"user": "int32", "item": "int32"}))
    als = ALS(rank=6, maxIter=2, regParam=0.3, alpha=2.0, implicitPrefs=True, ratingCol="value", seed=1)
    als.fit(table).save(str(tmp_path / "als"))
    model = from_spark(tmp_path / "als", alpha=2.0, reg=0.3, seen=data)
    U = model.user_factors_
    errors = np.linalg.norm(model.transform(data) - U, axis=1) / np.linalg.norm(U, axis=1)
    assert errors.max() < 1e-3


@needs_spark
def test_what_spark_is_refused(plays, session, spark, tmp_path):
    table = sent(session, plays)
    for call, error, words in [
        (lambda: spark.recommend(plays, "m"), DataError, "df must be a DataFrame of Spark, got DataFrame"),
        (lambda: spark.recommend(table, "m", 0), ParameterError, "k must be an integer >= 1"),
        (lambda: spark.recommend(table, "m", user="who"), DataError, "user must name one of the columns"),
        (lambda: spark.recommend(table, "m", user="value", value=None), DataError, "must hold integers or strings"),
        (lambda: spark.recommend(table, "m", items=[[1], [2]]), DataError, "items must be"),
        (lambda: spark.evaluate(table, table, "m", ["auc"]), ParameterError, "a metric must be NAME@K"),
        (lambda: spark.evaluate(table, sent(session, named(plays)), "m"), DataError, "in both df_history and df_test"),
        (lambda: spark.adapt(table, "m", tmp_path, adapter=3), ParameterTypeError, "adapter must be an adapter"),
        (lambda: spark.fit_als(table.limit(0)), DataError, "df must have at least one row"),
        (lambda: spark.fit_als(sent(session, plays.assign(value=0.0)), value="value"), DataError, "value must be > 0"),
        (lambda: spark.fit_als(table, reg=0), ParameterError, "reg must be a finite number > 0"),
    ]:  # fmt: skip
        with pytest.raises(error, match=words):
            call()


CONNECT = """
import sys
import pandas as pd, numpy as np, pyarrow as pa
from pyspark.sql import SparkSession
from lrrec import IALS, AdapterBank, Interactions, load, spark
from lrrec.adapt import LowRank

folder = sys.argv[1]
session = SparkSession.builder.remote("local[2]").getOrCreate()
frame = pd.read_parquet(folder + "/plays.parquet")
table = session.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False))
model = load(folder + "/model")
actual = spark.recommend(table, folder + "/model", 5).toPandas().sort_values(["user", "rank"])
expected = model.recommend_from(Interactions.from_frame(frame[["user", "item"]]), 5).to_frame()
assert actual["item"].tolist() == expected.sort_values(["user", "rank"])["item"].tolist()
test = table.where("item % 4 = 0")
assert spark.evaluate(table.where("item % 4 > 0"), test, folder + "/model").mean()["ndcg@10"] > 0
adapter = LowRank(rank=2, reg=1.0, fold_in_reg=0.02, new_item_reg=1.0, n_iter=1)
spark.adapt(table, folder + "/model", folder + "/bank", by="half", adapter=adapter)
assert {*AdapterBank.load(folder + "/bank", model)} == {0, 1}
trained = spark.fit_als(table, 4, n_iter=2)
assert trained.n_factors == 4
print("all is well")
"""


@needs_spark
@pytest.mark.slow
@pytest.mark.skipif(find_spec("grpc") is None, reason="needs Spark Connect: pip install 'pyspark[connect]'")
def test_spark_connect(plays, tmp_path):
    IALS(4, n_iter=2, random_state=0).fit(Interactions.from_frame(plays[["user", "item"]])).save(tmp_path / "model")
    plays.assign(half=plays["user"] % 2).to_parquet(tmp_path / "plays.parquet")
    done = subprocess.run(
        [sys.executable, "-c", CONNECT, tmp_path], env=os.environ | environment(), capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.stdout.strip().endswith("all is well"), done.stderr[-3000:]
