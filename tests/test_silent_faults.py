"""What a new user met: input that was answered wrongly without a word."""

import io

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import lrrec
from lrrec import ALS, EASE, Interactions
from lrrec.errors import DataError, DataWarning


def table(text, **options):
    return Interactions.from_csv(io.StringIO(text), **options)


def test_copied_rows_of_ratings_are_not_doubled_in_silence():
    text = "user,item,rating\n1,10,2\n1,10,2\n1,11,5\n2,10,5\n"
    with pytest.warns(
        DataWarning, match=r"1 pairs of user and item have several rows, whose values are added: \[2, 2\]"
    ):
        table(text, value="rating")
    with pytest.warns(
        DataWarning, match=r"\[2, 2\]\. In 1 of them all rows are equal, as where a file has rows twice\."
    ):
        table(text, value="rating")
    for others in ("1,10,2,5\n1,10,2,6\n", "1,10,2,5\n1,10,3,5\n"):
        with pytest.warns(DataWarning, match=r"\]\. Pass duplicates='last'"):
            table("user,item,rating,time\n" + others, value="rating", time="time")
    assert len(table(text, value="rating", duplicates="last").binarize(min_value=4)) == 2
    assert table("user,item,n\n1,10,1\n1,10,1\n", value="n").matrix.data.tolist() == [2]  # counts


@pytest.mark.parametrize("word", ["NA", "nan", "None", "NULL", "N/A"])
def test_what_stands_for_a_missing_id_is_no_user(word):
    with pytest.raises(DataError, match=f"column 'user' must not be missing, got '{word}' among integers"):
        table(f"user,item\n{word},1\n1,2\n2,2\n")
    assert table(f"user,item\n{word},1\nbob,2\n").users.ids.tolist() == sorted([word, "bob"])  # may be a name


@pytest.mark.parametrize("make", [sp.coo_matrix, sp.coo_array])
def test_pairs_of_yes_are_yes(make):
    twice = make((np.ones(3, dtype=bool), ([0, 0, 1], [0, 0, 2])), shape=(2, 3))
    once = np.array([[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(Interactions.from_matrix(twice).matrix.toarray(), once)
    raw = sp.csr_array((np.ones(3, dtype=bool), np.array([0, 0, 2]), np.array([0, 2, 3])), shape=(2, 3))
    np.testing.assert_array_equal(Interactions.from_matrix(raw).matrix.toarray(), once)


@pytest.mark.parametrize("end", [-5, -(2**31)])
def test_a_matrix_that_ends_below_zero_is_refused(end):
    matrix = sp.csr_array(np.eye(3))
    matrix.indptr = np.array([0, 1, 2**31 - 1, end], dtype=np.int32)
    with pytest.raises(DataError, match="consistent sparse matrix: indptr must begin with 0 and never fall"):
        EASE().fit(matrix)


def test_zeros_among_ratings_are_mentioned():
    pivot = pd.DataFrame([[0, 5.0], [5, 1]], index=[1, 2], columns=[10, 20])
    with pytest.warns(DataWarning, match="X has 1 zeros, which are no interactions"):
        ALS(1, n_iter=1, random_state=0).fit(pivot)
    stored = sp.csr_array((np.array([0.0, 5, 1]), np.array([0, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    with pytest.warns(DataWarning, match="X has 1 zeros"):
        ALS(1, n_iter=1, random_state=0).fit(stored)
    long = pivot.stack().rename("v").rename_axis(["user", "item"]).reset_index()
    whole = Interactions.from_frame(long, value="v")
    with_nan = pd.concat([pivot, pd.DataFrame([[np.nan, 3.0]], index=[3], columns=[10, 20])])
    assert len(whole) == 4
    assert len(Interactions.from_matrix(with_nan)) == 5
    ALS(1, n_iter=1, random_state=0).fit(whole)


def test_what_was_not_compared_is_named(monkeypatch):
    rng = np.random.default_rng(0)
    source, target = ((rng.random((n, 20)) < 0.3).astype(float) for n in (60, 25))
    monkeypatch.setattr(lrrec.adapt.ItemItem, "is_affordable", lambda self, domain: False)
    selector = lrrec.AdapterSelector(random_state=0, budget="fast").fit(target, base=EASE(10).fit(source))
    assert "item-item" not in selector.report_["method"].tolist()
    assert "item-item would take too long for 20 items: pass a smaller catalogue=" in selector.verdict_
