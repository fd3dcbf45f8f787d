"""Tables that are read in parts are what they are when read at once: ids, order, duplicates, times, errors."""

import itertools
import warnings

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrrec import Interactions
from lrrec.data import id_counts, parquet, streaming, text_ids
from lrrec.data.id_counts import IdCounts
from lrrec.data.merging import POLICIES
from lrrec.data.text_ids import TextIds, is_text
from lrrec.errors import DataError, DataWarning

BIG = 2**60
POOLS = {
    "close": np.arange(-3, 9),
    "far": np.array([0, 7, 2**40, -(2**62), 2**62]),
    "text": np.array(["a", "B", "007", "7", "é"], dtype=object),
}


@pytest.fixture
def in_parts(monkeypatch, tmp_path):
    """Reads a frame from a Parquet file, a few rows at a time."""
    monkeypatch.setattr(parquet, "BATCH", 3)
    monkeypatch.setattr(parquet, "AT_ONCE", 0)
    monkeypatch.setattr(streaming, "BLOCK", 4)
    monkeypatch.setattr(id_counts, "MIN_SPAN", 20)
    monkeypatch.setattr(text_ids, "MIN_PENDING", 4)

    def read(frame, **options):
        frame.to_parquet(tmp_path / "t.parquet", row_group_size=5)
        return Interactions.from_parquet(tmp_path / "t.parquet", **options)

    return read


def columns(data):
    """All that interactions hold, as lists."""
    parts = data if data.events is None else data.events.unmerged
    return [
        (one.users.ids.tolist(), one.items.ids.tolist(), one.matrix.indptr.tolist(), one.matrix.indices.tolist(),
         one.matrix.data.tolist(), None if one.times is None else one.times.tolist())
        for one in (data, parts)
    ]  # fmt: skip


@pytest.mark.parametrize("ids", POOLS)
@pytest.mark.parametrize("duplicates", [None, *POLICIES])
@pytest.mark.parametrize("roles", [(), ("value",), ("time",), ("value", "time")])
@pytest.mark.parametrize("n_rows", [1, 40])
def test_parts_are_the_whole(in_parts, ids, duplicates, roles, n_rows):
    rng = np.random.default_rng(n_rows)
    frame = pd.DataFrame({
        "user": rng.choice(POOLS[ids], n_rows), "item": rng.choice(POOLS["text"], n_rows),
        "value": rng.choice([1.0, 0.1, -2.0, 0.0], n_rows), "time": rng.integers(0, 9, n_rows),
    })  # fmt: skip
    options = {role: role for role in roles} | {"duplicates": duplicates}

    def result(read):
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", DataWarning)
                return columns(read(frame, **options)), [str(one.message) for one in caught]
        except DataError as error:
            return str(error).split(":")[0]  # of duplicates, those of a part are named

    assert result(in_parts) == result(Interactions.from_frame)


def test_indices_take_as_little_memory_as_those_of_small_tables(in_parts):
    frame = pd.DataFrame({"user": [1, 2, 2], "item": [5, 5, 7]})
    for matrix in (in_parts(frame).matrix, Interactions.from_frame(frame).matrix):
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32


@given(
    st.lists(arrays(np.int64, st.integers(1, 5), elements=st.integers(-9, 9) | st.integers(-BIG, BIG)), min_size=1),
    st.sampled_from([1, 20, 2**22]),
)
def test_ids_are_counted(parts, span):
    counts = IdCounts("x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(id_counts, "MIN_SPAN", span)
        series = [nw.from_native(pd.Series(part), series_only=True) for part in parts]
        for one in series:
            counts.add(one)
        ids, numbers = counts.finish()
        want, inverse, how_often = np.unique(np.concatenate(parts), return_inverse=True, return_counts=True)
        assert ids.ids.tolist() == want.tolist()
        assert numbers.tolist() == how_often.tolist()
        assert np.concatenate([counts.codes(len(one), one) for one in series]).tolist() == inverse.tolist()


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "B", "007", "7", "é", "", "\U0001f600"]), min_size=1, max_size=5), min_size=1
    ),
    st.sampled_from(["plain", "dictionary", "larger dictionary", "slices of one"]),
    st.sampled_from([1, 3, 100]),
)
def test_ids_of_text_are_counted(parts, form, pending):
    """Of text, of dictionaries with more than occurs, and of slices that share one."""
    pa = pytest.importorskip("pyarrow")
    whole = pa.array([text for part in parts for text in part])
    cuts = np.cumsum([0, *map(len, parts)])
    encoded = pa.DictionaryArray.from_arrays(
        whole.dictionary_encode().indices,
        pa.concat_arrays([whole.dictionary_encode().dictionary, pa.array(["unused"])]),
    )
    arrays_of = {
        "plain": [pa.array(part) for part in parts],
        "dictionary": [pa.array(part).dictionary_encode() for part in parts],
        "larger dictionary": [encoded.take(pa.array(range(a, b))) for a, b in itertools.pairwise(cuts)],
        "slices of one": [encoded.slice(a, b - a) for a, b in itertools.pairwise(cuts)],
    }
    series = [nw.from_native(pa.chunked_array([array]), series_only=True) for array in arrays_of[form]]
    ids = TextIds("x", len(whole))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_ids, "MIN_PENDING", pending)
        for one in series:
            assert is_text(one)
            ids.add(one)
        id_map, numbers = ids.finish()
    want, inverse, how_often = np.unique(whole.to_pylist(), return_inverse=True, return_counts=True)
    assert id_map.ids.tolist() == want.tolist()
    assert numbers.tolist() == how_often.tolist()
    assert np.concatenate([ids.codes(len(one)) for one in series]).tolist() == inverse.tolist()


def test_a_file_that_changes_meanwhile_is_refused(in_parts, monkeypatch, tmp_path):
    """Ids of text are read once; a file of as many other rows must not give its values to them."""
    frame = pd.DataFrame({"user": list("abcd"), "item": list("xyxz"), "value": [1.0, 2.0, 3.0, 4.0]})
    other = frame.assign(user=frame["user"].str.upper())
    counted = streaming._count_ids

    def change(*args):
        result = counted(*args)
        other.to_parquet(tmp_path / "t.parquet", row_group_size=5, compression="none")
        return result

    monkeypatch.setattr(streaming, "_count_ids", change)
    with pytest.raises(DataError, match="must stay as it is while it is read"):
        in_parts(frame, value="value")


def test_errors_name_rows_of_the_file(in_parts):
    frame = pd.DataFrame({"user": list("abcdefg"), "item": range(7), "value": [1.0] * 7})
    for column, wrong, match in (
        ("user", None, r"column 'user' \(user\) must not be missing, got 1 missing \(first at row 5\)"),
        ("value", np.inf, "column 'value' must be finite, got inf at position 5"),
    ):
        broken = frame.copy()
        broken.loc[5, column] = wrong
        with pytest.raises(DataError, match=match):
            in_parts(broken, value="value")
    with pytest.raises(DataError, match="at least one row"):
        in_parts(frame.iloc[:0])


def test_an_open_file_is_read_in_parts(in_parts, tmp_path):
    frame = pd.DataFrame({"user": [3, 1, 3, 2, 1], "item": list("yxzxy"), "value": [1.0, 2.0, 3.0, 4.0, 5.0]})
    expected = columns(in_parts(frame, value="value"))
    with (tmp_path / "t.parquet").open("rb") as file:
        assert columns(Interactions.from_parquet(file, value="value")) == expected


def test_several_files_are_read_in_the_order_of_their_names(in_parts, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, value in (("b", 2), ("a", 1), ("c", 3), ("other", 9)):
        pd.DataFrame({"user": ["u"], "item": ["i"], "value": [value]}).to_parquet(folder / f"{name}.parquet")
    data = Interactions.from_parquet(str(folder / "?.parquet"), value="value", duplicates="last")
    assert data.matrix.data.tolist() == [3]
    assert Interactions.from_parquet(folder, value="value", duplicates="max").matrix.data.tolist() == [9]


@pytest.mark.parametrize("change", [
    {"user": [1, 1, 2, 99]}, {"user": [1, 1, 2]}, {"user": [1, 1, 2, 2]}, {"user": [1, 2, 2, 2]}, {"user": [1] * 9},
    {"user": [-5, 1, 1, 2]},
])  # fmt: skip
def test_a_table_that_changes_meanwhile_is_refused(change):
    tables = [pd.DataFrame({"user": users, "item": 0}) for users in ([1, 1, 1, 2], *change.values())]

    def batches(names):
        frame = tables.pop(0)
        yield from (nw.from_native(frame[names].iloc[begin : begin + 2]) for begin in range(0, len(frame), 2))

    with pytest.raises(DataError, match="must stay as it is while it is read"):
        streaming.read_grouped(batches, 4, {"user": "user", "item": "item"}, None)


def test_folders_and_types_of_files_are_the_same_in_parts(in_parts, tmp_path, monkeypatch):
    """A column that the names of folders hold, and files whose integers and columns are of another type and order."""
    for market, dtype, order in (("uk", "int64", ["user", "item"]), ("jp", "int32", ["item", "user"])):
        folder = tmp_path / "data" / f"market={market}"
        folder.mkdir(parents=True)
        frame = pd.DataFrame({"user": [1, 2, 2], "item": [7, 8, 9]}, dtype=dtype)
        frame[order].to_parquet(folder / "a.parquet")
    for item in ("item", "market"):
        read = []
        for at_once in (0, 100):
            monkeypatch.setattr(parquet, "AT_ONCE", at_once)
            read.append(columns(Interactions.from_parquet(tmp_path / "data", item=item, duplicates="sum")))
        assert read[0] == read[1]
    assert read[0][0][1] == ["jp", "uk"]


def test_memory_does_not_grow_with_the_table(tmp_path, monkeypatch):
    """What was read is let go, and little is read ahead: Arrow holds a small part of the file at any time."""
    arrow = pytest.importorskip("pyarrow")
    monkeypatch.setattr(parquet, "BATCH", 2**16)
    path, n_rows = tmp_path / "t.parquet", 2**21
    ids = np.random.default_rng(0).integers(0, 2**60, n_rows)
    frame = pd.DataFrame({"user": ids, "item": ids[::-1]})
    frame.to_parquet(path, row_group_size=2**16, compression=None)
    table, before = parquet.ParquetTable(path, {"user": "user", "item": "item"}), arrow.total_allocated_bytes()
    held = [arrow.total_allocated_bytes() - before for _ in table(["user", "item"])]
    assert len(held) == 32
    assert max(held) < path.stat().st_size / 3
