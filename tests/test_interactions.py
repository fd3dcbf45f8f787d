"""Interactions: every way in, every refusal."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import interactions

from lrrec import IdMap, Interactions
from lrrec.errors import DataError, ParameterError

FRAME = pd.DataFrame({
    "user": [7, 3, 7, 7, 3], "item": ["x", "y", "y", "x", "x"],
    "value": [1.0, 2.0, 3.0, 4.0, 5.0], "time": [5, 1, 2, 3, 4],
})  # fmt: skip


def dense(data):
    return data.matrix.toarray().tolist()


@pytest.mark.parametrize(
    "make", [lambda f: f, pl.from_pandas, lambda f: pl.from_pandas(f).lazy(), pa.Table.from_pandas]
)
@pytest.mark.parametrize("as_text", [False, True])
def test_frames_of_every_library(make, as_text):
    frame = FRAME.assign(user=FRAME.user.astype(str)) if as_text else FRAME
    data = Interactions.from_frame(make(frame), value="value", time="time", duplicates="sum")
    assert list(data.users) == (["3", "7"] if as_text else [3, 7])
    assert list(data.items) == ["x", "y"]
    assert dense(data) == [[5, 2], [5, 3]]
    assert data.times.tolist() == [4, 1, 5, 2]


@pytest.mark.parametrize(
    "dtype", ["category", "string", "object", "string[pyarrow]", "int8", "uint32", "Int64", "int64[pyarrow]"]
)
def test_columns_of_every_type(dtype):
    ids = pd.Series(["3", "1", "3"]) if dtype[0] in "cso" else pd.Series([3, 1, 3])
    data = Interactions.from_frame(pd.DataFrame({"user": ids.astype(dtype), "item": [1, 2, 3]}))
    assert list(data.users) == (["1", "3"] if dtype[0] in "cso" else [1, 3])
    assert dense(data) == [[0, 1, 0], [1, 0, 1]]


def test_duplicates():
    read = lambda how, **more: Interactions.from_frame(FRAME, value="value", duplicates=how, **more)  # noqa: E731
    assert dense(read("sum")) == [[5, 2], [5, 3]]
    assert dense(read("last")) == [[5, 2], [4, 3]]
    assert dense(read("last", time="time")) == [[5, 2], [1, 3]]
    assert dense(Interactions.from_frame(FRAME)) == [[1, 1], [2, 1]]
    with pytest.raises(DataError, match=r"repeated pairs of user and item: \(7, 'x'\); merge them"):
        read("error")
    with pytest.raises(ParameterError, match=r"duplicates must be one of 'sum', .*, 'error', got 'latest'"):
        read("latest")


def test_times_follow_their_interactions():
    stamps = pd.to_datetime(["2020-01-05", "2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"])
    data = Interactions.from_frame(FRAME.assign(time=stamps.tz_localize("UTC")), time="time")
    assert data.times.dtype.kind == "M"
    assert data.times.astype("M8[D]").astype(str).tolist() == ["2020-01-04", "2020-01-01", "2020-01-05", "2020-01-02"]


@given(interactions(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_does_not_matter(data, random):
    frame = data.to_frame()
    order = list(range(len(frame)))
    random.shuffle(order)
    again = Interactions.from_frame(frame.iloc[order], value="value", time="time")
    assert again.users == data.users
    np.testing.assert_array_equal(again.matrix.toarray(), data.matrix.toarray())
    np.testing.assert_array_equal(again.times, data.times)


@given(interactions())
@settings(max_examples=30, deadline=None)
def test_the_matrix_is_canonical(data):
    assert data.matrix.has_canonical_format
    assert data.matrix.dtype == np.float32
    assert (data.matrix.data > 0).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": [1, 2, np.nan, 4, 5]}, "must (not be missing|be finite)"),
        ({"value": [1, 2, np.inf, 4, 5]}, "must be finite, got inf at position 2"),
        ({"value": ["1", "2", "3", "4", "5"]}, "column 'value' must hold numbers"),
        ({"value": [1e39, 2, 3, 4, 5]}, "fit a float32"),
        ({"user": [7, None, 7, 7, 3]}, r"'user' \(user\) must not be missing, got 1 missing \(first at row 1\)"),
        ({"user": [7.5, 1, 7, 7, 3]}, "column 'user' must be integers or strings"),
        ({"user": [7, "a", 7.5, 7, 3]}, "all of one kind"),
        ({"item": [True] * 5}, "integers or strings"),
        ({"time": ["noon"] * 5}, "column 'time' must hold times"),
        ({"time": [1, 2, np.inf, 4, 5]}, "finite times"),
    ],
)
def test_bad_columns(change, words):
    with pytest.raises(DataError, match=words):
        Interactions.from_frame(FRAME.assign(**change), value="value", time="time", duplicates="sum")


def test_bad_frames():
    with pytest.raises(DataError, match="value must name one of the columns user, item, value, time, got 'stars'"):
        Interactions.from_frame(FRAME, value="stars")
    with pytest.raises(DataError, match="at least one row"):
        Interactions.from_frame(FRAME[:0])
    with pytest.raises(DataError, match="pandas, polars or Arrow"):
        Interactions.from_frame({"user": [1]})
    with pytest.raises(ParameterError, match="name of a column"):
        Interactions.from_frame(FRAME, user=0)


def test_pairs():
    assert dense(Interactions.from_pairs([7, 7, 9], ["a", "b", "a"])) == [[1, 1], [1, 0]]
    with pytest.raises(DataError, match="equally long, got 2 users, 1 items"):
        Interactions.from_pairs([1, 2], [1])
    with pytest.raises(DataError, match="users must be a sequence"):
        Interactions.from_pairs("ab", [1, 2])


def test_matrices():
    coo = sp.coo_matrix(([1.0, 2.0, 3.0, 0.0], ([1, 1, 0, 0], [0, 0, 2, 1])), shape=(2, 3))
    data = Interactions.from_matrix(coo, users=["a", "b"])
    assert dense(data) == [[0, 0, 3], [3, 0, 0]]
    assert data.matrix.nnz == 2
    assert list(data.users) == ["a", "b"]
    assert list(data.items) == [0, 1, 2]
    assert dense(Interactions.from_matrix([[0, 1], [2, 0]])) == [[0, 1], [2, 0]]
    with pytest.raises(DataError, match="one id for each of the 3 items of X, got 2"):
        Interactions.from_matrix(coo, items=[1, 2])
    unsorted = sp.csr_array((np.ones(2, np.float32), np.array([2, 0]), np.array([0, 2, 2])), shape=(2, 3))
    Interactions.from_matrix(unsorted)
    assert unsorted.indices.tolist() == [2, 0], "the caller's matrix was changed"


def test_csv(tmp_path):
    path = tmp_path / "table.csv"
    FRAME.assign(note="x").to_csv(path, index=False)
    assert dense(Interactions.from_csv(path, value="value", duplicates="sum")) == [[5, 2], [5, 3]]
    with pytest.raises(DataError, match="must have the columns 'user', 'film', got user, item, value, time, note"):
        Interactions.from_csv(path, item="film")
    with pytest.raises(DataError, match="does not exist"):
        Interactions.from_csv(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="header line"):
        Interactions.from_csv(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match="header line"):
        Interactions.from_csv(tmp_path / "binary.csv")


def test_more_cells_than_32_bits_count():
    n = 70_000
    users = np.concatenate((np.arange(n), [n - 1]))
    items = np.concatenate((np.arange(n), [0]))
    data = Interactions.from_pairs(users[::-1], items[::-1], values=np.arange(1, n + 2))
    assert data.n_users * data.n_items > 2**31
    assert len(data) == n + 1
    assert data.matrix[[n - 1]].toarray()[0, [0, n - 1]].tolist() == [1, 2]


def test_implicit_keeps_the_maps():
    data = Interactions.from_frame(FRAME, value="value", duplicates="sum")
    likes = data.binarize(5)
    assert likes.users is data.users
    assert likes.items is data.items
    assert dense(likes) == [[1, 0], [1, 0]]
    assert dense(data) == [[5, 2], [5, 3]]
    assert dense(data.binarize()) == [[1, 1], [1, 1]]
    with pytest.raises(ParameterError, match="min_value"):
        data.binarize(np.nan)


def test_parts_must_fit():
    with pytest.raises(DataError, match="users x items"):
        Interactions(sp.csr_array((2, 2)), IdMap.range(3), IdMap.range(2))
    with pytest.raises(DataError, match="mask"):
        Interactions.from_frame(FRAME).filter(np.ones(2, bool))


def test_frames_out():
    data = Interactions.from_frame(FRAME, value="value", time="time", duplicates="sum")
    for backend, library in (("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.Table)):
        frame = data.to_frame(backend)
        assert isinstance(frame, library)
        assert dense(Interactions.from_frame(frame, value="value")) == dense(data)
    with pytest.raises(ParameterError, match="backend"):
        data.to_frame("spark")


def test_series_are_paired_by_position_where_their_labels_agree():
    users = pd.Series([1, 2], index=[1, 0])
    data = Interactions.from_pairs(users, pd.Series([7, 8], index=[1, 0]))
    assert data.to_frame()[["user", "item"]].to_numpy().tolist() == [[1, 7], [2, 8]]
    with pytest.raises(DataError, match="same index"):
        Interactions.from_pairs(users, pd.Series([7, 8]))


@pytest.mark.parametrize("ids", [[1, True], [True, 1], [1, 1.0], [1.0, 1], [[1], [2]], ["a", "\ud800"]])
def test_ids_of_different_kinds_are_never_merged(ids):
    with pytest.raises(DataError):
        Interactions.from_pairs(ids, [1, 2])


def test_inconsistent_sparse_matrices_are_refused():
    for part, bad in (("indices", 10**6), ("indices", -1), ("indptr", 999)):
        matrix = sp.csr_array(np.eye(5))
        getattr(matrix, part)[2] = bad
        with pytest.raises(DataError, match="consistent sparse matrix"):
            Interactions.from_matrix(matrix)


def test_duplicates_of_small_types_do_not_wrap():
    for values in ([200, 100], [255, 255, 255]):
        n = len(values)
        matrix = sp.coo_array((np.array(values, np.uint8), ([0] * n, [0] * n)), shape=(1, 1))
        assert dense(Interactions.from_matrix(matrix)) == [[sum(values)]]


@pytest.mark.parametrize(
    "X",
    [
        np.ma.array([[1, 2]], mask=[[1, 0]]),
        pd.DataFrame({"user": [1, 2], "item": [10, 20]}),
        np.array([[1e-50, 1]]),
        np.array([["2020-01-01"]], "M8[D]"),
        sp.csr_array(np.eye(2, dtype=complex)),
    ],
)
def test_matrices_that_are_not_what_they_seem(X):
    with pytest.raises(DataError):
        Interactions.from_matrix(X)


def test_half_precision():
    assert dense(Interactions.from_matrix(np.eye(2, dtype=np.float16))) == [[1, 0], [0, 1]]


def test_frames_that_their_own_library_refuses():
    twice = pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
    with pytest.raises(DataError, match="distinct column names"):
        Interactions.from_frame(twice)
    with pytest.raises(DataError, match="must be csr_array"):
        Interactions(np.eye(2), IdMap.range(2), IdMap.range(2))


def test_csv_ids_are_read_as_they_are_written(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("user,item\n007,NA\n7,null\n07,x\n")
    data = Interactions.from_csv(path)
    assert list(data.users) == ["007", "07", "7"]
    assert list(data.items) == ["NA", "null", "x"]
    path.write_text("user,item\n-7,1\n10,2\n")
    assert list(Interactions.from_csv(path).users) == [-7, 10]
    path.write_text("user,item,item\n1,2,3\n")
    with pytest.raises(DataError, match="distinct column names"):
        Interactions.from_csv(path)
    path.write_text("user,item\n1,\n")
    with pytest.raises(DataError, match="missing"):
        Interactions.from_csv(path)
    (tmp_path / "t.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match="must be a CSV file"):
        Interactions.from_csv(tmp_path / "t.csv.gz")


def slow_merge(rows, duplicates):
    """A dictionary's view of duplicates."""
    merged = {}
    for user, item, value, when in rows:
        old = merged.get((user, item))
        if old is None:
            merged[user, item] = (value, when)
        elif duplicates == "sum":
            merged[user, item] = (old[0] + value, max(old[1], when))
        elif when >= old[1]:
            merged[user, item] = (value, when)
    return merged


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 9), st.integers(0, 4)), min_size=1))
@settings(max_examples=30, deadline=None)
def test_duplicates_are_merged_as_a_dictionary_would(rows):
    for duplicates in ("sum", "last"):
        users, items, values, times = zip(*rows, strict=True)
        data = Interactions.from_pairs(users, items, values=values, times=times, duplicates=duplicates)
        got = {(u, i): (v, t) for u, i, v, t in data.to_frame().itertuples(index=False)}
        assert got == slow_merge(rows, duplicates)


def test_matrices_that_no_reader_has_checked_are_refused():
    data = Interactions.from_pairs([1, 1, 2], ["x", "y", "x"], times=[1, 2, 3])
    parts = data.users, data.items
    unsorted = sp.csr_array((np.ones(3, np.float32), np.array([1, 0, 0]), np.array([0, 2, 3])), shape=(2, 2))
    for matrix, words in (
        (data.matrix * np.float32(np.nan), "finite"),
        (unsorted, "sorted"),
    ):
        with pytest.raises(DataError, match=words):
            Interactions(matrix, *parts)
    assert Interactions(data.matrix.astype(np.float64), *parts).matrix.dtype == np.float32
    with pytest.raises(DataError, match="times must not be missing"):
        Interactions(data.matrix, *parts, np.array([1, np.nan, 2]))
