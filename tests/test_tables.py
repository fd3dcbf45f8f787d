"""Tables of interactions: every line of a file is understood or refused, whatever the source, type or policy."""

import bz2
import csv
import datetime
import gzip
import io
import lzma
import re
import sys
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrrec
from lrrec import Interactions, cli
from lrrec.data import csv_blocks
from lrrec.data.csv_kernel import scan_records
from lrrec.errors import DataError, DataWarning, ParameterError


def read(text, **options):
    return Interactions.from_csv(io.StringIO(text), **options)


def table(data):
    return data.to_frame().to_numpy().tolist()


# Lines that do not fit the header.

HEADER = "user,item,title,value\n"


@pytest.mark.parametrize(
    ("lines", "line", "shown"),
    [
        ("1,5,Heat,4\n1,10,5,Heat,4\n", 3, "1,10,5,Heat,4"),  # longer
        ("10,1,5,Heat,4\n11,1,5,Heat,4\n", 2, "10,1,5,Heat,4"),  # all longer, as with row numbers
        ("1,5,Heat,4\n2,6,Good, Bad,3\n", 3, "2,6,Good, Bad,3"),  # an unquoted comma
        ("1,5,Heat,4\n2,6\n3,7,Alien,2\n", 3, "2,6"),  # shorter
        ("1,5,Heat,4,\n", 2, "1,5,Heat,4,"),  # a comma at the end
        ('1,5,Heat,4\n2,"6,Alien,3\n3,7,Up,2\n', 3, '2,"6,Alien,3'),  # a quote that nothing closes
        ('1,"a"b,Heat,4\n', 2, '1,"a"b,Heat,4'),
        ('\n1,5,"He\nat",4\n\n2,6,Alien\n', 6, "2,6,Alien"),  # lines are counted as editors do
    ],
)
def test_ragged_lines_are_refused_with_line_and_text(lines, line, shown, tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(HEADER + lines)
    for source in (path, io.BytesIO(path.read_bytes()), io.StringIO(path.read_text())):
        with pytest.raises(DataError, match=rf"({path}|the file), line {line} must have .*{re.escape(repr(shown))}"):
            Interactions.from_csv(source)


def test_quotes_that_join_lines_are_refused():
    with pytest.raises(DataError, match="ids over several lines"):
        read('user,item\n1,"a\n2,b\n3,c"\n')
    with pytest.raises(DataError, match="line 2"):
        read('user,item\n1,"a\n2,b\n3,c\n')


FIELDS = st.text(st.sampled_from("ab,\";\n '|7é"), max_size=5)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["x", "y,z", 'q"', "é", "a b"]), FIELDS), min_size=2),
    st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]), st.integers(8, 200), st.booleans(),
    st.randoms(use_true_random=False),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_what_the_csv_module_writes_is_read_in_blocks_of_any_size(rows, delimiter, newline, size, all_quoted, random):
    file = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(file, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerows([("user", "item", "note"), *rows])
    raw, before = file.getvalue().encode(), csv_blocks.BLOCK_BYTES
    csv_blocks.BLOCK_BYTES = size
    try:
        data = Interactions.from_csv(io.BytesIO(raw), delimiter=delimiter)
        users, items, _ = zip(*rows, strict=True)
        want = Interactions.from_pairs(users, items)
        assert table(data) == table(want)
        assert data.users == want.users
        cut = random.randrange(len(rows))
        for change in (lambda row: row[:2], lambda row: (*row, "more")):
            file = io.StringIO(newline="")
            writer = csv.writer(file, delimiter=delimiter, lineterminator=newline, quoting=quoting)
            writer.writerow(("user", "item", "note"))
            writer.writerows(rows[:cut])
            line = len(file.getvalue().encode().split(b"\n"))
            writer.writerows([change(rows[cut]), *rows[cut + 1 :]])
            with pytest.raises(DataError, match=f"line {line} must have a value for each column"):
                Interactions.from_csv(io.BytesIO(file.getvalue().encode()), delimiter=delimiter)
    finally:
        csv_blocks.BLOCK_BYTES = before


def test_large_blocks_are_read_in_parts(monkeypatch):
    """Their lines are those of small blocks, and so are the errors."""
    monkeypatch.setattr(csv_blocks, "PART_BYTES", 8)
    monkeypatch.setattr(csv_blocks, "check_threads", lambda _: 3)
    lines = [f"{user},{item},{user * item}" for user in range(7) for item in range(10**6, 10**6 + 9)]
    text = "user,item,value\n" + "\n".join(lines)
    got = read(text, value="value")
    assert table(got) == [[*map(int, line.split(","))] for line in lines]
    for broken, message in ((lines[40] + ",", "line 42 must"), (f"007,{10**6},1", None)):
        changed = text.replace(lines[40], broken)
        if message is None:
            assert "007" in read(changed, value="value").users.ids
        else:
            with pytest.raises(DataError, match=message):
                read(changed, value="value")


WRITTEN = st.one_of(st.integers(-(2**64), 2**64).map(str), st.text(st.sampled_from("0179-+ a"), max_size=21))


@given(st.lists(st.tuples(WRITTEN, WRITTEN), min_size=1, max_size=6), st.booleans())
def test_integers_of_a_block_are_those_that_python_writes(rows, quoted):
    text = "".join(f"{first},x,{second}\n" for first, second in rows).encode()
    integers, whole = np.empty((2, len(rows)), dtype=np.int64), np.empty(2, dtype=bool)
    places = np.array([0, -1, 1])
    characters = np.frombuffer(text, dtype=np.uint8)
    n = scan_records(0, len(text), characters, ord(","), quoted, places, 0, integers, whole)
    assert n == len(rows)
    for column, values in enumerate(zip(*rows, strict=True)):
        plain = all(re.fullmatch("0|-?[1-9][0-9]*", value) and abs(int(value)) < 2**63 for value in values)
        assert whole[column] == plain
        if plain:
            assert integers[column].tolist() == [int(value) for value in values]


# How files are written.


def test_encodings_compression_and_open_files(tmp_path):
    text = "user,item\nJosé,x\nZoë,y\n"
    want = ["José", "Zoë"]
    for encoding in ("utf-8", "utf-8-sig", "latin-1", "utf-16", "cp1252"):
        path = tmp_path / f"{encoding}.csv"
        path.write_text(text, encoding=encoding)
        assert list(Interactions.from_csv(path, encoding=encoding).users) == want
        with path.open(encoding=encoding) as file:
            assert list(Interactions.from_csv(file).users) == want
    with pytest.raises(DataError, match=r"in utf-8: .* Pass encoding="):
        Interactions.from_csv(tmp_path / "latin-1.csv")
    for suffix, library in ((".gz", gzip), (".bz2", bz2), (".xz", lzma)):
        with library.open(tmp_path / f"t.csv{suffix}", "wb") as file:
            file.write(text.encode())
        assert list(Interactions.from_csv(tmp_path / f"t.csv{suffix}").users) == want
        with library.open(tmp_path / f"t.csv{suffix}") as file:
            assert list(Interactions.from_csv(file).users) == want
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", text)
    assert list(Interactions.from_csv(tmp_path / "t.zip").users) == want
    with zipfile.ZipFile(tmp_path / "t.zip", "a") as archive:
        archive.writestr("more.csv", text)
    with pytest.raises(DataError, match="must hold one file, got 2"):
        Interactions.from_csv(tmp_path / "t.zip")
    truncated = gzip.compress(text.encode() * 999)[:-20]
    (tmp_path / "cut.csv.gz").write_bytes(truncated)
    with pytest.raises(DataError, match="must be a CSV file"):
        Interactions.from_csv(tmp_path / "cut.csv.gz")


def test_dialects():
    assert table(read("user;item;value\n1;2;3,5\n", delimiter=";", decimal=",", value="value")) == [[1, 2, 3.5]]
    assert table(read("1::2::5\n3::4::4\n", delimiter="::", header=None, user=0, item=1, value=2)) == [
        [1, 2, 5], [3, 4, 4]
    ]  # fmt: skip
    assert table(read("made by hand\n\nuser,item\n1,2\n", header=1)) == [[1, 2, 1]]
    assert list(read('user,item\n1,"7" tape\n', quoting=csv.QUOTE_NONE).items) == ['"7" tape']
    assert list(read('user,item\n1,7" tape\n2,x\n').items) == ['7" tape', "x"]
    for options, words in [
        ({"delimiter": ""}, "delimiter must be"), ({"decimal": ","}, "decimal must be"), ({"header": -1}, "header"),
        ({"quoting": 4}, "quoting must be"), ({"encoding": "klingon"}, "encoding must be"),
        ({"header": None}, "number of a column"), ({"user": 0}, "name of a column"),
    ]:  # fmt: skip
        with pytest.raises(ParameterError, match=words):
            read("user,item\n1,2\n", **options)


def test_one_column_for_two_roles_is_refused():
    frame = pd.DataFrame({"user": [1, 2], "item": [3, 4]})
    for make in (
        lambda **roles: read("user,item\n1,2\n", **roles),
        lambda **roles: Interactions.from_frame(frame, **roles),
    ):
        for roles in ({"item": "user"}, {"value": "item"}, {"time": "user"}):
            with pytest.raises(ParameterError, match=r"must be different columns, got '(user|item)' for both"):
                make(**roles)


# Ids are the same from every source.


def sources(tmp_path):
    """Ways of reading a frame of users and items."""

    def parquet(frame):
        frame.to_parquet(tmp_path / "t.parquet")
        return Interactions.from_parquet(tmp_path / "t.parquet")

    def from_csv(frame):
        return read(frame.to_csv(index=False))

    yield from (Interactions.from_frame, parquet, from_csv, lambda f: Interactions.from_frame(pl.from_pandas(f)),
                lambda f: Interactions.from_frame(pa.Table.from_pandas(f)),
                lambda f: Interactions.from_pairs(f["user"].tolist(), f["item"].tolist()))  # fmt: skip


@pytest.mark.parametrize(
    "users",
    [[7, 3, -1], ["007", "7", "b"], [2**62, 1234567890123456789, -(2**63)], ["u1", "u2", "10"], [0, 5, 6]],
)
def test_ids_are_the_same_from_every_source(users, tmp_path):
    frame = pd.DataFrame({"user": users, "item": [1, 2, 3]})
    want = sorted(users)
    for make in sources(tmp_path):
        data = make(frame)
        assert list(data.users) == want
        assert all(type(user) is type(users[0]) for user in data.users.ids.tolist())
        assert data.matrix.toarray()[data.users.indices(users), [0, 1, 2]].tolist() == [1, 1, 1]


def test_strings_where_any_is_one():
    mixed = pd.DataFrame({"user": [7, "7", "a"], "item": [1, 2, 1]})  # as pandas reads long columns in parts
    for data in (Interactions.from_frame(mixed), Interactions.from_pairs([7, "7", "a"], [1, 2, 1]),
                 read(mixed.to_csv(index=False))):  # fmt: skip
        assert table(data) == [["7", 1, 1], ["7", 2, 1], ["a", 1, 1]]
    for bad in ([1, True, "a"], [1, 2.0, "a"], [1, None, "a"]):
        with pytest.raises(DataError):
            Interactions.from_pairs(bad, [1, 2, 3])


@pytest.mark.parametrize(("written", "ids"), [
    (["1", "2", "+3"], ["+3", "1", "2"]), (["1", "02", "3"], ["02", "1", "3"]), (["1", "-0", "3"], ["-0", "1", "3"]),
    (["1", "1.0", "3"], ["1", "1.0", "3"]), (["1", "2_000", "3"], ["1", "2_000", "3"]),
    (["True", "False", "True"], ["False", "True"]), ([str(2**63), "1", "3"], ["1", "3", str(2**63)]),
    ([str(-(2**63)), str(2**63 - 1), "0"], [-(2**63), 0, 2**63 - 1]), (["1e3", "2", "3"], ["1e3", "2", "3"]),
    (["NA", "nan", "null"], ["NA", "nan", "null"]), (["inf", "1", "2"], ["1", "2", "inf"]),
])  # fmt: skip
def test_integers_are_integers_only_where_all_are_written_plainly(written, ids):
    for quote in ("", '"'):
        text = "item,user\n" + "".join(f"{i},{quote}{user}{quote}\n" for i, user in enumerate(written))
        assert list(read(text).users) == ids
    before, csv_blocks.BLOCK_BYTES = csv_blocks.BLOCK_BYTES, 4  # a block a line
    try:
        assert list(read(text.replace('"', "")).users) == ids
    finally:
        csv_blocks.BLOCK_BYTES = before


def test_spaces_around_ids():
    with pytest.warns(DataWarning, match="column 'user': 1 ids have spaces around them, which are left out: ' 20'"):
        data = read("user,item\n20,1\n 20,2\n30,1\n")
    assert list(data.users) == [20, 30]
    assert table(data) == [[20, 1, 1], [20, 2, 1], [30, 1, 1]]
    with pytest.warns(DataWarning, match="1 ids differ from others by spaces around them alone: ' 20'"):
        Interactions.from_pairs(["20", " 20", "30"], [1, 2, 1])
    with pytest.warns(DataWarning), pytest.raises(DataError, match="must not be missing, got empty text"):
        read("user,item\n  ,1\n2,1\n")


# Columns of every type: understood, or refused by an error of ours.

IDS = [3, 1, 2]


@pytest.mark.parametrize("column", [
    np.array(IDS, np.uint64), np.array(IDS, ">i8"), np.array(IDS, ">u2"), pd.Series(IDS, dtype="UInt64"),
    *([pl.Series(IDS, dtype=pl.Int128)] if hasattr(pl, "Int128") else []),  # polars 1.18
    pl.Series(IDS, dtype=pl.UInt64), pa.array(IDS, pa.uint64()),
    pd.Series(IDS, dtype="category"), pa.array(IDS).dictionary_encode(), pd.Series(IDS).astype("Sparse[int64]"),
], ids=lambda c: f"{type(c).__module__}-{getattr(c, 'dtype', getattr(c, 'type', ''))}")  # fmt: skip
def test_columns_of_integers_of_every_type(column):
    library = {"polars": pl.DataFrame, "pyarrow": pa.table}.get(type(column).__module__.split(".")[0], pd.DataFrame)
    frame = library({"user": column, "item": ["a", "b", "c"]})
    assert table(Interactions.from_frame(frame)) == [[1, "b", 1], [2, "c", 1], [3, "a", 1]]
    frame = library({"user": ["a", "b", "c"], "item": [1, 1, 1], "value": column, "time": column})
    data = Interactions.from_frame(frame, value="value", time="time")
    assert data.matrix.data.tolist() == IDS
    assert np.diff(data.times).tolist() == [-2, 1]  # unsigned times would wrap


@pytest.mark.parametrize("column", [
    [Decimal("0.5"), Decimal(-2), Decimal("1.25")], np.array([0.5, -2, 1.25], ">f4"),
    np.array([0.5, -2, 1.25], np.longdouble), np.array([0.5, -2, 1.25], np.float16), [0.5, -2, Decimal("1.25")],
    pl.Series([Decimal("0.50"), Decimal("-2.00"), Decimal("1.25")]),
    pa.array([Decimal("0.5"), Decimal("-2.0"), Decimal("1.25")]),
    pd.Series([0.5, -2, 1.25], dtype="category"), pd.Series([0.5, -2, 1.25], dtype="float64[pyarrow]"),
], ids=lambda c: type(c).__module__)  # fmt: skip
def test_columns_of_numbers_of_every_type(column):
    library = {"polars": pl.DataFrame, "pyarrow": pa.table}.get(type(column).__module__.split(".")[0], pd.DataFrame)
    frame = library({"user": [1, 2, 3], "item": [1, 1, 1], "value": column, "time": column})
    data = Interactions.from_frame(frame, value="value", time="time")
    assert data.matrix.data.tolist() == data.times.tolist() == [0.5, -2, 1.25]


DAY = datetime.date(2024, 1, 31)


@pytest.mark.parametrize("column", [
    [DAY] * 2, pl.Series([DAY] * 2), pa.array([DAY] * 2), np.array(["2024-01-31"] * 2, ">M8[s]"), ["2024-01-31"] * 2,
    ["2024-01-31 ", " 2024-01-31T00:00Z"], pd.Series([DAY] * 2, dtype="date32[pyarrow]"),
    pl.Series([datetime.datetime(2024, 1, 31, tzinfo=datetime.UTC)] * 2),
    pd.Series(["2024-01-31"] * 2, dtype="category"),
], ids=lambda c: type(c).__module__)  # fmt: skip
def test_columns_of_dates_of_every_type(column):
    library = {"polars": pl.DataFrame, "pyarrow": pa.table}.get(type(column).__module__.split(".")[0], pd.DataFrame)
    data = Interactions.from_frame(library({"user": [1, 2], "item": [1, 1], "time": column}), time="time")
    assert data.times.astype("M8[D]").tolist() == [DAY, DAY]
    assert data.times.dtype.isnative


@pytest.mark.parametrize(("role", "column"), [
    ("user", [Decimal(1), Decimal(2)]), ("user", [DAY, DAY]), ("user", [1 + 0j, 2]), ("user", [b"a", b"b"]),
    ("user", [(1, 2), (3, 4)]), ("user", np.array([1, 2**64 - 1], np.uint64)), ("user", [datetime.timedelta(1)] * 2),
    ("value", [1 + 1j, 2]), ("value", [DAY, DAY]), ("value", ["1", "2"]), ("value", [datetime.timedelta(1)] * 2),
    ("value", [[1], [2]]), ("value", [10**400, 1]), ("time", [datetime.timedelta(1)] * 2), ("time", [True, False]),
    ("time", [datetime.time(1), datetime.time(2)]), ("time", ["noon", "2024-01-31"]), ("time", [DAY, "x"]),
    ("time", np.array([1, 2**64 - 1], np.uint64)), ("time", [1 + 1j, 2]), ("time", [b"2024", b"2025"]),
])  # fmt: skip
@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
def test_other_columns_are_refused_by_our_errors(role, column, library):
    columns = {"user": [1, 2], "item": [1, 1], "value": [1, 1], "time": [1, 1]} | {role: column}
    try:
        frame = library(columns)
    except Exception:
        pytest.skip("the frame's library has no such column")
    with pytest.raises(DataError):
        Interactions.from_frame(frame, value="value", time="time")


# Times.


def test_dates_are_iso_or_in_a_format():
    text = "user,item,when\n1,2,01/02/2024\n1,3,31/01/2024\n"
    for date, form in (("31.01.2024 10:00", "%d.%m.%Y %H:%M"), ("1/31/24", "%m/%d/%y"), ("1.2.2024%q", "%d.%m.%Y%%q")):
        with pytest.raises(DataError, match=f"Pass time_format='{form}' or another"):
            read(f"user,item,when\n1,2,{date}\n", time="when")
    with pytest.raises(DataError, match=r"ISO 8601.*got '01/02/2024'.*Pass time_format="):
        read(text, time="when")
    days = [datetime.date(2024, 2, 1), DAY]
    frame = pd.read_csv(io.StringIO(text))
    for data in (
        read(text, time="when", time_format="%d/%m/%Y"),
        Interactions.from_frame(frame, time="when", time_format="%d/%m/%Y"),
        Interactions.from_pairs([1, 1], [2, 3], times=frame["when"], time_format="%d/%m/%Y"),
        Interactions.from_pairs([1, 1], [2, 3], times=[20240201, 20240131], time_format="%Y%m%d"),
        read(
            text.replace("01/02/2024", "20240201").replace("31/01/2024", "20240131"), time="when", time_format="%Y%m%d"
        ),
    ):
        assert data.times.astype("M8[D]").tolist() == days
    with pytest.raises(DataError, match="time_format"):
        read(text, time="when", time_format="%Y")
    with pytest.raises(DataError, match="leave it out"):
        Interactions.from_pairs([1], [2], times=pd.to_datetime(["2024-01-31"]), time_format="%Y")
    mixed = read("user,item,when\n1,2,5\n1,3,7\n", time="when")
    assert mixed.times.tolist() == [5, 7]


# Duplicates.


def slow_merge(rows, policy):
    """A dictionary's view of duplicates: the value and time of each pair."""
    pairs = {}
    for user, item, value, when in rows:
        pairs.setdefault((user, item), []).append((value, when))
    latest = {pair: max(when for _, when in events) for pair, events in pairs.items()}
    if policy in ("first", "last"):
        take = (lambda e: sorted(e, key=lambda x: x[1])[0]) if policy == "first" else (
            lambda e: sorted(e, key=lambda x: x[1])[-1])  # fmt: skip
        return {pair: take(events) for pair, events in pairs.items()}
    reduce = {"sum": sum, "max": max, "mean": lambda v: sum(v) / len(v)}[policy]
    return {pair: (reduce([value for value, _ in events]), latest[pair]) for pair, events in pairs.items()}


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-4, 8), st.integers(0, 4)), min_size=1)


@given(ROWS, st.sampled_from(["sum", "last", "first", "max", "mean"]))
@settings(max_examples=50, deadline=None)
def test_duplicates_are_merged_as_a_dictionary_would(rows, policy):
    users, items, values, times = zip(*rows, strict=True)
    data = Interactions.from_pairs(users, items, values=values, times=times, duplicates=policy)
    got = {(u, i): (v, t) for u, i, v, t in data.to_frame().itertuples(index=False)}
    want = slow_merge(rows, policy)
    assert got.keys() == want.keys()
    for pair, (value, when) in want.items():
        assert got[pair] == (pytest.approx(value, rel=1e-6), when)
    untimed = Interactions.from_pairs(users, items, values=values, duplicates=policy)
    want = slow_merge([(u, i, v, n) for n, (u, i, v, _) in enumerate(rows)], policy)
    assert untimed.matrix.data.tolist() == pytest.approx([want[pair][0] for pair in sorted(want)])


def test_sums_of_ratings_are_counted():
    rows = ([1, 1, 1, 2, 2], [5, 5, 6, 5, 5])
    with pytest.warns(DataWarning, match=r"'value': 2 pairs of user and item .* are added: \[2.0, 3.0\], \[4.0, 4.0\]"):
        data = Interactions.from_pairs(*rows, values=[2.0, 3.0, 1.0, 4.0, 4.0])
    assert data.matrix.data.tolist() == [5, 1, 8]
    Interactions.from_pairs(*rows, values=[2, 3, 1, 4, 4], duplicates="sum")  # said: no warning
    Interactions.from_pairs(*rows)  # counts
    Interactions.from_pairs(*rows, values=[1, 1, 2, 1, 1])
    with pytest.raises(DataError, match=r"repeated pairs of user and item: \(1, 5\), \(2, 5\)"):
        Interactions.from_pairs(*rows, values=[2, 3, 1, 4, 4], duplicates="error")
    with pytest.raises(
        ParameterError, match="duplicates must be one of 'sum', 'last', 'first', 'max', 'mean', 'error'"
    ):
        Interactions.from_pairs(*rows, duplicates="average")


# Parquet.


def test_parquet(tmp_path):
    frame = pd.DataFrame({
        "user": ["a", "b", "a"], "item": pd.Series(["x", "y", "y"], dtype="category"), "stars": [1.5, 0.0, -1.0],
        "when": pd.to_datetime(["2024-01-31", "2024-02-01", "2024-02-02"], utc=True), "note": ["", "", ""],
    })  # fmt: skip
    frame.to_parquet(tmp_path / "t.parquet")
    want = Interactions.from_frame(frame, value="stars", time="when")
    for source in (tmp_path / "t.parquet", str(tmp_path), io.BytesIO((tmp_path / "t.parquet").read_bytes())):
        data = Interactions.from_parquet(source, value="stars", time="when")
        assert table(data) == table(want)
    with pytest.raises(DataError, match="must have the columns 'film', got user, item, stars"):
        Interactions.from_parquet(tmp_path / "t.parquet", item="film")
    with pytest.raises(DataError, match="does not exist"):
        Interactions.from_parquet(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="must be a Parquet file"):
        Interactions.from_parquet(tmp_path / "bad.parquet")


def test_the_command_line_reads_them_too(tmp_path, capsys, monkeypatch):
    def fit(*words):
        words = ["lrrec", "fit", *map(str, words), "-m", "popularity", "-o", str(tmp_path / "model")]
        monkeypatch.setattr(sys, "argv", words)
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code or 0, capsys.readouterr()
        return 0, capsys.readouterr()

    pd.DataFrame({"user": [1, 2], "item": ["x", "y"]}).to_parquet(tmp_path / "t.parquet")
    assert fit(tmp_path / "t.parquet")[0] == 0
    assert list(lrrec.load(tmp_path / "model").users_) == [1, 2]
    (tmp_path / "t.csv").write_bytes(
        "José;x;2,5;31/01/2024\nZoë;y;1,5;01/02/2024\nZoë;y;2;03/02/2024\n".encode("latin-1")
    )
    options = ["encoding=latin-1", "header=null", "decimal=,", "time_format=%d/%m/%Y", "duplicates=max"]
    words = [word for option in options for word in ("--read", option)]
    columns = ("--user-column", 0, "--item-column", 1, "--value-column", 2, "--time-column", 3)
    code, out = fit(tmp_path / "t.csv", "--delimiter", ";", *columns, *words)
    assert code == 0, out.err
    model = lrrec.load(tmp_path / "model")
    assert list(model.users_) == ["José", "Zoë"]
    assert model.seen_.data.tolist() == [2.5, 2]
    code, out = fit(tmp_path / "t.csv", "--read", "separator=;")
    assert code == 1
    assert "--read must be NAME=VALUE with NAME one of duplicates, " in out.err
