"""JSON lines give what the same frame gives; what is not an interaction is refused by its line."""

import gzip
import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrrec import Interactions
from lrrec.cli import inputs
from lrrec.data import json_lines
from lrrec.errors import DataError

IDS = st.integers(-5, 5) | st.sampled_from(["a", "007", "é", " x"])
RECORD = st.fixed_dictionaries({"user": IDS, "item": IDS, "value": st.integers(-3, 3) | st.sampled_from([0.5, -2.25])})


def written(records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def plain(data):
    times = None if data.times is None else data.times.tolist()
    return data.users.ids.tolist(), data.items.ids.tolist(), data.matrix.toarray().tolist(), times


@given(st.lists(RECORD, min_size=1, max_size=12), st.sampled_from([1, 3, 100]))
def test_lines_are_the_frame(records, lines):
    options = {"value": "value", "duplicates": "last"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "LINES", lines)
        got = Interactions.from_json_lines(io.BytesIO(written(records)), **options)
    columns = {name: pd.Series([record[name] for record in records], dtype=object) for name in ("user", "item")}
    frame = pd.DataFrame(columns | {"value": [float(record["value"]) for record in records]})
    assert plain(got) == plain(Interactions.from_frame(frame, **options))


def test_files_of_all_forms(tmp_path):
    records = [
        {"user": "ann", "film": 7, "at": "2024-01-31", "more": [1]},
        {"user": "bob", "film": 2**53 + 1, "at": "2024-02-01"},
    ]
    text = written(records).decode().replace("\n", "\r\n\n")
    (tmp_path / "a.jsonl").write_text(text, newline="")
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as file:
        file.write(b"\xef\xbb\xbf" + text.encode())
    for source in (tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz", io.StringIO(text), io.BytesIO(text.encode())):
        data = Interactions.from_json_lines(source, item="film", time="at")
        assert data.users.ids.tolist() == ["ann", "bob"]
        assert data.items.ids.tolist() == [7, 2**53 + 1]
        assert data.times.astype("datetime64[D]").astype(str).tolist() == ["2024-01-31", "2024-02-01"]


@pytest.mark.parametrize(("line", "match"), [
    ("{", r"line 2 must be a JSON object, got '\{'"),
    ("[1, 2]", r"line 2 must be a JSON object, got \[1, 2\]"),
    ('{"user": 1, "item": 2}, {"user": 1, "item": 2}', "line 2 must be a JSON object"),
    ('{"user": 1, "item": null}', "line 2 must have the fields 'user', 'item', 'value', got no 'item', 'value'"),
    ('{"user": true, "item": 2, "value": 1}', r"line 2: user \(user\) must be an integer or text, got True"),
    ('{"user": 1.0, "item": 2, "value": 1}', r"line 2: user \(user\) must be an integer or text, got 1.0"),
    ('{"user": 1, "item": [2], "value": 1}', r"line 2: item \(item\) must be an integer or text, got \[2\]"),
    ('{"user": 1, "item": 2, "value": "5"}', r"line 2: value \(value\) must be a number, got '5'"),
    ('{"user": 1, "item": 2, "value": NaN}', "must not be missing"),
    ('{"user": 99999999999999999999, "item": 2, "value": 1}', "must fit 64 bits"),
    ("\ud800", "JSON"),
])  # fmt: skip
@pytest.mark.parametrize("form", [io.BytesIO, io.StringIO])
def test_what_is_no_interaction_is_refused(line, match, form):
    text = '{"user": 1, "item": 2, "value": 1}\n' + line
    source = form(text if form is io.StringIO else text.encode(errors="surrogatepass"))
    with pytest.raises(DataError, match=match):
        Interactions.from_json_lines(source, value="value")


def test_a_file_must_be_there_and_have_rows(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        Interactions.from_json_lines(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="at least one row"):
        Interactions.from_json_lines(io.BytesIO(b"\n \n"))


def test_times_are_all_of_one_kind():
    lines = b'{"user": 1, "item": 2, "time": 1}\n{"user": 1, "item": 3, "time": "2024-01-31"}'
    with pytest.raises(DataError, match="all numbers or all text"):
        Interactions.from_json_lines(io.BytesIO(lines), time="time")


def test_the_command_line_reads_all_files_alike(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"user": ["a", "b", "b"], "item": [3, 1, 2]})
    (tmp_path / "folder").mkdir()
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_parquet(tmp_path / "folder" / "part")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "a.NDJSON.gz", orient="records", lines=True, compression="gzip")
    Interactions.from_frame(frame).save(tmp_path / "a.lrrec")
    for name in ("a.csv", "a.parquet", "?.parquet", "folder", "a.jsonl", "a.lrrec"):
        assert plain(inputs.Source(str(tmp_path / name)).interactions()) == plain(Interactions.from_frame(frame))
