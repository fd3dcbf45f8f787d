"""Bad input for every public callable: a clear error of lrrec or a right answer, and nothing is changed in place."""

import importlib
import inspect
import pickle
import re
import warnings
import zlib
from importlib.util import find_spec

import hostile
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

import lrrec
from lrrec import Interactions, Recommendations, Recommender, Split
from lrrec.adapt import Adapter
from lrrec.errors import DataWarning, LrrecError

PUBLIC = ("adapt", "data", "datasets", "evaluation", "features", "interop", "metrics", "models", "rerank", "splits")
PUBLIC += ("spark",) if find_spec("pyspark") else ()
SPECIAL = ("__init__", "__call__", "__getitem__", "__setitem__", "__contains__", "__add__")
TELLS = re.compile(
    r"\b(must|pass|use|needs?|cannot|expect\w*|unknown|install|choose|scale|no list|is not a file|lower|got)\b"
)
PER_PARAMETER = 1  # bad values for each parameter in the short form


def public_callables():
    """Name -> function, of everything that the public modules export."""
    found = {}
    for owner in (lrrec, *(importlib.import_module(f"lrrec.{name}") for name in PUBLIC)):
        for name in getattr(owner, "__all__", [name for name in vars(owner) if not name.startswith("_")]):
            value = getattr(owner, name)
            value = value if inspect.isclass(value) else inspect.unwrap(value)
            own = getattr(value, "__module__", "").startswith("lrrec")
            if inspect.isfunction(value) and (hasattr(owner, "__all__") or value.__module__ == owner.__name__):
                of_spark = "spark." if value.__module__ == "lrrec.spark" else ""
                found["datasets.load" if value is lrrec.datasets.load else of_spark + value.__qualname__] = value
            elif inspect.isclass(value) and own:
                members = [inspect.getattr_static(value, member) for member in dir(value)
                           if not member.startswith("_") or member in SPECIAL]  # fmt: skip
                members = [getattr(member, "__func__", member) for member in members]
                found |= {f.__qualname__: f for f in members
                          if inspect.isfunction(f) and f.__module__.startswith("lrrec")}  # fmt: skip
    return {name: function for name, function in found.items() if hostile.parameters(function)}


CALLABLES = public_callables()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return hostile.calls(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Whatever is taken for the name of a file is written here."""
    monkeypatch.chdir(tmp_path)


def kind_of(name, parameter):
    bare = name.partition("[")[0]
    return hostile.ARGS.get(f"{bare}.{parameter}") or hostile.ARGS[parameter]


def arguments(name):
    """(parameter, its kind) of a callable."""
    return [(parameter, kind_of(name, parameter)) for parameter in hostile.parameters(CALLABLES[name.partition("[")[0]])
            if parameter != "params"]  # fmt: skip


def entries(table, bare):
    return [name for name in table if name.partition("[")[0] == bare]


def test_no_public_callable_escapes(table):
    bare = {name.partition("[")[0] for name in table}
    assert not CALLABLES.keys() - bare - hostile.EXEMPT.keys(), "add them to tests/hostile.py"
    assert not (bare | hostile.EXEMPT.keys()) - CALLABLES.keys(), "take them out of tests/hostile.py"
    for name in bare:
        for parameter in hostile.parameters(CALLABLES[name]):
            assert kind_of(name, parameter).kind, f"add {name}.{parameter} to tests/hostile.py"


# Outcomes.


def values_of(answer):
    """The arrays of an answer, in an order of its own."""
    if isinstance(answer, Recommendations):
        known = ~np.ma.getmaskarray(answer.items) & ~answer.filled
        yield np.ma.filled(answer.indices, -1)
        yield np.where(known, np.ma.filled(answer.scores, 0), 0)
    elif isinstance(answer, Interactions):
        yield from values_of(answer.to_frame())
    elif isinstance(answer, Split):
        yield from values_of([answer.train, answer.history, answer.test])
    elif isinstance(answer, Recommender | Adapter):
        users = getattr(answer, "users_", ())
        if len(users):
            yield from values_of(answer.recommend(users.ids[:20], 3, exclude_seen=False, unknown="mask"))
    elif isinstance(answer, lrrec.Evaluation):
        yield from answer.values.values()
    elif isinstance(answer, pd.DataFrame):
        yield from (answer[column].to_numpy() for column in answer if column != "group")
    elif isinstance(answer, list | tuple):
        for value in answer:
            yield from values_of(value)
    elif isinstance(answer, np.ndarray | float | int | np.generic):
        yield np.asarray(answer)


def fingerprint(value):
    """A number that changes when the value does; 0 for what has no bytes."""
    if sp.issparse(value) and value.format in ("csr", "csc"):
        value = value.data, value.indices, value.indptr  # without what scipy remembers about them
    elif isinstance(value, np.ma.MaskedArray):
        value = value.data, value.mask
    elif isinstance(value, Interactions | Split | Recommender | Adapter) or sp.issparse(value):
        return 0  # which remember what they have found; their arrays are compared below
    try:
        return zlib.crc32(pickle.dumps(value))
    except Exception:  # whatever pickle cannot do
        return 0


def shared():
    """Arrays that many calls read and none may change."""
    return [hostile.DATA.matrix, hostile.SPLIT.train.matrix, hostile.DENSE, hostile.fitted().item_factors_,
                  hostile.fitted().user_factors_, hostile.adapted().item_factors_]  # fmt: skip


def outcome(call, name, parameter, value):
    """Call, and return the arrays of the answer, or None after an error that is ours and clear."""
    before = fingerprint(value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for harmless in (DataWarning, ConvergenceWarning):
            warnings.simplefilter("ignore", harmless)
        try:
            arrays = list(values_of(call(**{parameter: value})))
        except LrrecError as error:
            arrays = None
            if parameter not in str(error) and not TELLS.search(str(error)):
                raise AssertionError(f"says nothing: {error}") from error
        except Exception as error:
            if not documented(error, name, parameter):
                raise
            arrays = None
    assert before == fingerprint(value), "changed in place"
    return arrays


def documented(error, name, parameter):
    """Errors that Python itself promises: of files, of operators, and of functions of the caller's."""
    return (
        (isinstance(error, OSError) and kind_of(name, parameter).kind == "path" and error.filename is not None)
        or "__add__" in name
        or (parameter in ("make", "callback") and isinstance(error, TypeError | ValueError))
    )


def faults(table, name, choose):
    """How many bad values were tried on a callable, and what went wrong."""
    count, found, before = 0, [], [fingerprint(array) for array in shared()]
    for parameter, arg in arguments(name):
        for label, value in choose(f"{name}.{parameter}", hostile.bad(arg)):
            if (name.partition("[")[0], parameter, label) in hostile.ALLOWED:
                continue
            count += 1
            try:
                for array in outcome(table[name], name, parameter, value) or ():
                    assert array.dtype.kind != "f" or np.isfinite(array).all(), "an answer that is not finite"
            except Exception as error:
                found.append(f"{name}({parameter}={label}): {type(error).__name__}: {error}"[:300])
    changed = before != [fingerprint(array) for array in shared()]
    return count, found + [f"{name} changed shared arrays"] * changed


def differences(table, name, choose):
    """How many equivalent forms of valid values were tried on a callable, and which gave another answer."""
    count, found = 0, []
    for parameter, arg in arguments(name):
        if not (forms := hostile.same(arg)):
            continue
        expected = outcome(table[name], name, parameter, arg.value)
        for label, value in choose(f"{name}.{parameter}", forms):
            if (name.partition("[")[0], parameter, label) in hostile.ALLOWED:
                continue
            count += 1
            try:
                arrays = outcome(table[name], name, parameter, value)
                assert (arrays is None) == (expected is None), "refused" if arrays is None else "not refused"
                for array, other in zip(arrays or (), expected or (), strict=True):
                    if array.dtype.kind == "f":
                        np.testing.assert_allclose(array, other, rtol=1e-3, atol=1e-4)
                    else:
                        np.testing.assert_array_equal(array, other)
            except Exception as error:
                found.append(f"{name}({parameter}={label}): {type(error).__name__}: {error}"[:300])
    return count, found


def a_few(name, values):
    """Of each parameter others, always the same."""
    order = sorted(values, key=lambda label: zlib.crc32(f"{name} {label}".encode()))
    return [(label, values[label]) for label in order[:PER_PARAMETER]]


def every(name, values):
    return values.items()


@pytest.mark.parametrize("bare", sorted(CALLABLES.keys() - hostile.EXEMPT.keys() - hostile.SLOW))
def test_bad_input_is_refused_or_answered_rightly(bare, table):
    for name in entries(table, bare):
        for find in (faults, differences):
            assert not find(table, name, a_few)[1]


N_PARTS = 6


@pytest.mark.soak
@pytest.mark.parametrize("part", range(N_PARTS))
def test_all_bad_input_is_refused_or_answered_rightly(table, part, figures):
    tried, found, names = {faults: 0, differences: 0}, [], list(table)[part::N_PARTS]
    for name in names:
        for find in tried:
            count, wrong = find(table, name, every)
            tried[find] += count
            found += wrong
    figures(f"{len(names)} callables: {tried[faults]:,} bad inputs, {tried[differences]:,} other forms of good ones")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["ALS", "IALS", "NMF", "Popularity", "RP3Beta", "TruncatedSVD"])
def test_catalogues_of_more_than_2_to_31_pairs(name):
    cells = [0, 0, 5, 5, 69_999], [1, 69_999, 1, 3, 69_999]
    wide = sp.csr_array((np.ones(5), cells), shape=(70_000, 70_000))
    lists = hostile.model(name).fit(wide).recommend([0, 69_999], 2, exclude_seen=False)
    assert set(lists.indices.compressed() if np.ma.isMA(lists.indices) else lists.indices.ravel()) <= {-1, 1, 3, 69_999}


def test_weights_that_no_memory_holds_are_refused():
    with pytest.raises(LrrecError, match=r"item-item weights of 400,000 items need 640 GB.*k_core"):
        lrrec.EASE().fit(sp.csr_array(([1.0], ([0], [399_999])), shape=(2, 400_000)))


def test_clip_is_true_or_false():
    with pytest.raises(LrrecError, match="clip must be True or False, got 'no'"):
        lrrec.ALS(2, clip="no").fit(hostile.DENSE)


def test_a_matrix_passed_is_not_changed():
    matrix = sp.csr_array(hostile.DENSE)
    matrix.data = matrix.data.astype(">f8")
    lrrec.EASE().fit(matrix)
    assert matrix.data.dtype == ">f8"


def test_the_trials_of_a_search_are_stored_in_a_path_alone(tmp_path):
    """The text of any other object is no file's name."""
    with pytest.raises(LrrecError, match="storage must be the path of a file"):
        lrrec.tune(lrrec.EASE(), hostile.SPLIT, n_trials=1, storage=hostile.DATA)
    assert not list(tmp_path.iterdir())
