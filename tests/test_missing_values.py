"""Rows in which an id, value or time is missing: refused with what to do, or left out."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from lrrec import Interactions
from lrrec.data import parquet
from lrrec.errors import DataError, ParameterError

ROLES = {"user": "who", "item": "what", "value": "stars", "time": "when"}


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "who": rng.choice(["ann", "bob", "cat"], 60), "what": rng.choice(["x", "y", "z", "é"], 60),
        "stars": rng.integers(1, 6, 60).astype(float), "when": rng.integers(0, 1000, 60).astype(float),
    })  # fmt: skip
    for name in frame:
        frame.loc[rng.choice(60, 5, replace=False), name] = None
    return frame


READERS = ("frame", "polars", "arrow", "csv", "parquet", "large parquet", "json lines")


@pytest.fixture(params=READERS)
def read(request, frame, tmp_path, monkeypatch):
    """Reads the same rows from another source."""
    if request.param == "frame":
        return lambda **options: Interactions.from_frame(frame, **options)
    if request.param in ("polars", "arrow"):
        library = pytest.importorskip({"polars": "polars", "arrow": "pyarrow"}[request.param])
        made = library.from_pandas(frame) if request.param == "polars" else library.Table.from_pandas(frame)
        return lambda **options: Interactions.from_frame(made, **options)
    if request.param == "csv":
        frame.to_csv(tmp_path / "t.csv", index=False)
        return lambda **options: Interactions.from_csv(tmp_path / "t.csv", **options)
    if request.param == "json lines":
        rows = [{name: value for name, value in row.items() if not pd.isna(value)} for row in frame.to_dict("records")]
        (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return lambda **options: Interactions.from_json_lines(tmp_path / "t.jsonl", **options)
    if request.param == "large parquet":
        monkeypatch.setattr(parquet, "AT_ONCE", 0)
        monkeypatch.setattr(parquet, "BATCH", 7)
    frame.to_parquet(tmp_path / "t.parquet")
    return lambda **options: Interactions.from_parquet(tmp_path / "t.parquet", **options)


@pytest.mark.parametrize("roles", [("user", "item"), ("user", "item", "value"), ("user", "item", "value", "time")])
def test_what_is_left_out_is_what_pandas_would_drop(read, frame, roles):
    columns = {role: ROLES[role] for role in roles}
    with pytest.raises(DataError, match=r"(must not be missing|got no).*pass missing='drop'"):
        read(**columns, duplicates="last")
    kept, whole = read(**columns, duplicates="last", missing="drop"), frame.dropna(subset=list(columns.values()))
    expected = Interactions.from_frame(whole, **columns, duplicates="last")
    pd.testing.assert_frame_equal(kept.to_frame(), expected.to_frame())
    assert (list(kept.users), list(kept.items)) == (list(expected.users), list(expected.items))


def test_other_ways_to_drop_are_refused(read):
    with pytest.raises(ParameterError, match="missing must be one of 'error', 'drop', got 'ignore'"):
        read(user="who", item="what", missing="ignore")


def test_ids_of_rows_that_are_left_out_are_left_out():
    text = "user,item\n1,7\n2,\n,8\n3,9\n"
    kept = Interactions.from_csv(io.StringIO(text), missing="drop")
    assert (list(kept.users), list(kept.items)) == ([1, 3], [7, 9])


def test_nothing_is_left(frame):
    with pytest.raises(DataError, match="a row in which nothing is missing"):
        Interactions.from_frame(frame.assign(who=None), **ROLES, missing="drop")
    pairs = Interactions.from_pairs(["ann", None], ["x", "y"], missing="drop")
    assert pairs.to_frame()[["user", "item"]].to_numpy().tolist() == [["ann", "x"]]
