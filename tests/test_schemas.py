"""Frames have the types of the model's ids, also where nothing is in them."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
import scipy.sparse as sp

import lrrec

IDS = {"strings": (["ann", "ann", "bob"], ["x", "y", "x"]), "integers": ([7, 7, 9], [1, 2, 1])}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_empty_answers_have_the_types_of_full_ones(kind, backend):
    users, items = IDS[kind]
    data = lrrec.Interactions.from_pairs(users, items)
    model = lrrec.IALS(2, n_iter=1, random_state=0).fit(data)

    def schema(frame):
        names = frame.column_names if backend == "pyarrow" else frame.columns
        types = frame.schema.types if backend == "pyarrow" else frame.dtypes
        return dict(zip(names, types, strict=True))

    nothing_left = model.recommend(users[:1])
    assert np.ma.getmaskarray(nothing_left.items).all()
    full = schema(model.recommend(users, exclude_seen=False).to_frame(backend))
    assert schema(nothing_left.to_frame(backend)) == full
    assert schema(model.recommend([]).to_frame(backend)) == full
    none = data.filter(np.zeros(len(data), bool))
    assert schema(none.to_frame(backend)) == schema(data.to_frame(backend))
    neighbors = model.similar_items(items[:1]).to_frame(backend)
    assert schema(model.similar_items([]).to_frame(backend)) == schema(neighbors)


@pytest.mark.parametrize("saturated", [0, 10_000], ids=["first", "last"])
def test_a_batch_without_recommendations_is_written(tmp_path, saturated):
    """10,001 users, written by the ten thousand; all users of one batch have seen every item."""
    dense = np.ones((10_001, 2), dtype=np.float32)
    batch_with_lists = slice(10_000, None) if saturated == 0 else slice(10_000)
    dense[batch_with_lists, 1] = 0
    model = lrrec.Popularity().fit(
        lrrec.Interactions.from_matrix(sp.csr_array(dense), users=[f"u{n}" for n in range(10_001)], items=["x", "y"])
    )
    assert model.recommend_all(tmp_path / "lists.parquet", k=2) == 10_001
    table = pa.parquet.read_table(tmp_path / "lists.parquet")
    assert table.num_rows == (dense == 0).sum()
    assert table.schema.field("user").type == table.schema.field("item").type == pa.string()
    assert pl.read_parquet(tmp_path / "lists.parquet")["item"].unique().to_list() == ["y"]
