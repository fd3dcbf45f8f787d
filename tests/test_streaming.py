"""Tables that are read in parts are what they are when read at once: ids, order, duplicates, times, errors."""

import warnings

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrrec import Interactions
from lrrec.data import id_counts, interactions, parquet, streaming
from lrrec.data.id_counts import IdCounts
from lrrec.data.merging import POLICIES
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
    monkeypatch.setattr(interactions, "AT_ONCE", 0)
    monkeypatch.setattr(streaming, "BLOCK", 4)
    monkeypatch.setattr(id_counts, "MIN_SPAN", 20)

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
        assert np.concatenate([counts.codes(one) for one in series]).tolist() == inverse.tolist()


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
        streaming.read_grouped(batches, {"user": "user", "item": "item"}, None)
