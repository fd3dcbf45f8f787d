"""IdMap: ids to indices and back."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrrec import IdMap
from lrrec.errors import DataError, LrrecError, UnknownIdError

INTS = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=30)
STRINGS = st.lists(st.text(max_size=8), unique=True, max_size=30)


@given(INTS | STRINGS)
def test_round_trip(ids):
    known = IdMap(ids)
    assert list(known) == ids
    assert known.indices(ids).tolist() == list(range(len(ids)))
    assert known == IdMap(ids) == pickle.loads(pickle.dumps(known))
    assert all(one in known for one in ids)


def test_unknown_ids_are_named():
    with pytest.raises(UnknownIdError, match=r"^unknown ids: 7, 8, 9 and 1 more \(the map holds 2 ids\)$"):
        IdMap([1, 2]).indices([1, 7, 8, 9, 10])
    with pytest.raises(UnknownIdError, match="must be integers, as those of the map are, got strings: '1'"):
        IdMap([1, 2]).indices(["1"])
    with pytest.raises(KeyError):
        IdMap([1]).indices([2])
    assert IdMap([1, 2]).find([2, 5]).tolist() == [1, -1]
    assert "1" not in IdMap([1])
    assert 1.5 not in IdMap([1])


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([1, 1], "distinct, got 1 more than once"),
        ([1, "a"], "integers or strings, all of one kind"),
        ([1.5], "integers or strings, all of one kind"),
        (np.array([1.0, np.nan]), "missing"),
        (["a", None], "1 missing"),
        ([True, False], "integers or strings, all of one kind"),
        ("abc", "sequence"),
        (5, "sequence"),
        (np.ones((2, 2), int), "one-dimensional"),
        ([2**70], "64 bits"),
        (np.array([2**63], dtype=np.uint64), "integers or strings"),
        ([(1, 2)], "integers or strings, all of one kind"),
    ],
)
def test_what_cannot_be_an_id(ids, words):
    with pytest.raises(DataError, match=words):
        IdMap(ids)
    assert issubclass(DataError, ValueError)
    assert issubclass(DataError, LrrecError)


def test_any_array_of_ids():
    for ids in (np.array([3, 1], np.uint8), pd.Series([3, 1]), pd.Index([3, 1]), (3, 1), iter([3, 1]), range(3, 0, -2)):
        assert list(IdMap(ids)) == [3, 1]
    for ids in (np.array(["b", "a"]), pd.Series(["b", "a"]), pd.Series(["b", "a"], dtype=object)):
        assert list(IdMap(ids)) == ["b", "a"]


def test_maps_are_frozen():
    known = IdMap([1, 2])
    with pytest.raises(ValueError, match="read-only"):
        known.ids[0] = 5
    theirs = np.array([1, 2])
    IdMap(theirs)
    theirs[0] = 9


def test_equality_and_repr():
    assert IdMap([1]) != IdMap(["1"])
    assert IdMap([1, 2]) != IdMap([2, 1])
    assert IdMap([1]) != [1]
    assert hash(IdMap([1, 2])) == hash(IdMap.range(3)) or IdMap([1, 2]) != IdMap.range(3)
    assert repr(IdMap([5, 6, 7, 8])) == "IdMap(4 ids: 5, 6, 7 and 1 more)"
    assert repr(IdMap([])) == "IdMap(no ids)"
