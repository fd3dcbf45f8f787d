"""Whatever carries labels is aligned by them, or refused: no public parameter takes labels by position."""

import inspect
import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from test_spark import write_spark

import lrrec
from lrrec import EASE, IALS, AdapterBank, IdMap, Interactions
from lrrec.adapt import FoldIn, LowRank
from lrrec.errors import DataError, LrrecError

USERS, ITEMS = np.arange(12) * 7 % 12 + 1, np.array(list("gcafbedh"), dtype=object)  # 1..12, not in order
RNG = np.random.default_rng(0)
DENSE = np.where(RNG.random((12, 8)) < 0.6, RNG.integers(1, 5, (12, 8)), 0).astype(np.float32)
DATA = Interactions.from_matrix(DENSE, users=USERS, items=ITEMS)
PIVOT = DATA.to_frame().pivot_table(index="user", columns="item", values="value")  # sorted by id, NaN where nothing is
SHUFFLED = PIVOT.iloc[RNG.permutation(12), RNG.permutation(8)]
LONG = DATA.to_frame().rename(columns={"user": "userId", "item": "movieId"})
SPLIT = lrrec.splits.random(DATA, random_state=0)
BASE = IALS(2, n_iter=2, random_state=0).fit(DATA)
BANK = AdapterBank(BASE, {name: LowRank(rank=2, reg=0.1, fold_in_reg=reg).fit(DATA, base=BASE)
                          for name, reg in (("de", 0.01), ("fr", 3.0))})  # fmt: skip
LISTS = BASE.recommend(USERS, 3, exclude_seen=False)
TRAINED = IALS(2, n_iter=2, random_state=0).fit(SPLIT.train)
EVALUATION = lrrec.evaluate(TRAINED, SPLIT, metrics=["ndcg@3"], exclude_seen=False)


# What was seen: lists of other users, means of other groups.


def test_the_labels_of_a_pivot_table_are_the_ids():
    for table in (PIVOT, SHUFFLED):
        model = EASE(reg=5.0).fit(table)
        expected = EASE(reg=5.0).fit(DATA).recommend(USERS, 3)
        np.testing.assert_array_equal(model.recommend(USERS, 3).items, expected.items)
        by_id = Interactions.from_matrix(table)
        assert {*by_id.users} == {*USERS.tolist()}
        assert {*by_id.items} == {*ITEMS}
        for user, item, value in DATA.to_frame().itertuples(index=False):
            assert by_id.matrix[by_id.users.indices([user])[0], by_id.items.indices([item])[0]] == value


def test_a_frame_without_labels_has_positions_as_ids():
    frame = pd.DataFrame(DENSE)
    data = Interactions.from_matrix(frame)
    assert (data.users, data.items) == (IdMap.range(12), IdMap.range(8))
    np.testing.assert_array_equal(data.matrix.toarray(), DENSE)


def test_histories_are_matched_by_item():
    """A frame of some items in another order, and one that the model does not know."""
    model = EASE(reg=5.0).fit(DATA)
    frame = SHUFFLED[["h", "a", "c"]].assign(unheard_of=1.0)
    histories = DATA.align_items(IdMap(["a", "c", "h"]))
    users = [user for user in USERS if histories.matrix[[histories.users.indices([user])[0]]].nnz]
    np.testing.assert_array_equal(
        model.recommend_from(frame, 3, users=users).items, model.recommend_from(histories, 3, users=users).items
    )


def test_groups_are_aligned_by_user():
    users = EVALUATION.users
    groups = np.where(np.asarray(users) % 3 == 0, "third", "other")
    expected = EVALUATION.by_group(groups)
    series = pd.Series(groups, index=users)
    others = pd.Series(["unasked"], index=[99])
    for labelled in (series, series[::-1], pd.concat([series[::-1], others]), series[::-1].to_dict(),
                     series[::-1].astype("category")):  # fmt: skip
        pd.testing.assert_frame_equal(EVALUATION.by_group(labelled), expected)
    with pytest.raises(DataError, match=r"groups must have a row for each user, got none for .* Label it by user id"):
        EVALUATION.by_group(series[1:])
    with pytest.raises(DataError, match="index of groups must be distinct ids"):
        EVALUATION.by_group(pd.concat([series, series[:1]]))
    with pytest.raises(DataError, match="got a frame: pass one of its columns"):
        EVALUATION.by_group(series.to_frame())
    with pytest.raises(DataError, match="one entry for each"):
        EVALUATION.by_group(groups[1:])


@pytest.mark.parametrize("kind", [pd.Series, dict])
def test_many_domains_are_fitted_to_their_own_users(kind):
    domains = ["de" if user % 2 else "fr" for user in DATA.users]
    labelled = pd.Series(domains, index=DATA.users.ids)[::-1]
    adapter = LowRank(rank=2, reg=0.1, fold_in_reg=0.01)
    fitted = AdapterBank(BASE).fit_many(DATA, by=kind(labelled), adapter=adapter, n_jobs=1)
    assert {*fitted["de"].users_} == {user for user in USERS.tolist() if user % 2}
    with pytest.raises(DataError, match="by must have a row for each user"):
        AdapterBank(BASE).fit_many(DATA, by=kind(labelled[2:]), adapter=adapter)


def long_tables():
    """Tables with a row for each interaction, of the kinds that people have."""
    numbered = LONG.assign(movieId=LONG["movieId"].map(ord))
    yield LONG
    yield numbered
    yield numbered[["userId", "movieId"]]
    yield numbered[numbered["value"] > 1]
    yield numbered.set_index("userId")
    yield numbered.rename(columns={"userId": "kunde", "movieId": "artikel"}).sample(frac=0.5, random_state=0)
    yield numbered.set_axis(pd.RangeIndex(3), axis=1)  # read from a file without a header
    yield PIVOT.reset_index()
    yield pl.DataFrame(numbered.to_dict("list"))
    yield pa.table(numbered.to_dict("list"))


@pytest.mark.parametrize("table", [*long_tables()], ids=lambda table: f"{type(table).__module__}-{len(table)}")
@pytest.mark.parametrize("use", [EASE().fit, BASE.recommend_from, BASE.score, BASE.transform, Interactions.from_matrix])
def test_a_long_table_is_refused_with_the_call_to_write(table, use):
    with pytest.raises(DataError, match=r"Interactions\.from_frame"):
        use(table)


def test_the_call_names_the_columns():
    with pytest.raises(DataError, match=r"from_frame\(X, user='userId', item='movieId'\)"):
        EASE().fit(LONG)


@pytest.mark.parametrize(("table", "words"), [
    (DATA.to_frame().pivot_table(index="user", columns="item", values=["value"]), "one level of ids, got 2"),
    (PIVOT.rename(columns={"a": "b"}), "distinct ids"),
    (PIVOT.astype(str), "must hold numbers"),
    (PIVOT.astype(object).where(PIVOT != 1.0, "one"), "got text"),
    (PIVOT.astype(complex), "must hold numbers"),
    (PIVOT.set_axis(np.arange(12) / 2), "index of X must be integers or strings"),
    (PIVOT.replace(1.0, np.inf), "finite"),
    (dict(zip(USERS.tolist(), DENSE.tolist(), strict=True)), "must have user ids|users by items, got a dict"),
])  # fmt: skip
def test_frames_that_are_no_matrix(table, words):
    with pytest.raises(DataError, match=words):
        Interactions.from_matrix(table)


def test_frames_of_every_dtype():
    for table in (PIVOT.astype("Float32"), PIVOT.fillna(0).astype(int), PIVOT.astype(object), PIVOT.astype("float32"),
                  PIVOT.fillna(0).astype(pd.SparseDtype("float64", 0)), PIVOT.astype(pd.SparseDtype("float64")),
                  PIVOT.rename_axis(columns=None)):  # fmt: skip
        np.testing.assert_array_equal(Interactions.from_matrix(table).matrix.toarray(), PIVOT.fillna(0).to_numpy())


class DataArray:
    """As xarray's: dims, coords and to_pandas."""

    def __init__(self, labelled):
        self.labelled, self.dims, self.coords = labelled, ("user", "item"), {}

    def to_pandas(self):
        if self.labelled is None:
            raise ValueError("Cannot convert arrays with 3 dimensions into pandas objects")
        return self.labelled


def test_arrays_with_coordinates_are_aligned():
    np.testing.assert_array_equal(
        Interactions.from_matrix(DataArray(SHUFFLED)).matrix.toarray(), SHUFFLED.fillna(0).to_numpy()
    )
    groups = pd.Series(np.asarray(EVALUATION.users) % 2, index=EVALUATION.users)
    pd.testing.assert_frame_equal(EVALUATION.by_group(DataArray(groups[::-1])), EVALUATION.by_group(groups.to_numpy()))
    with pytest.raises(DataError, match="one or two dimensions"):
        Interactions.from_matrix(DataArray(None))


def test_ids_beside_a_frame_are_its_own():
    again = Interactions.from_matrix(SHUFFLED, users=SHUFFLED.index, items=SHUFFLED.columns)
    assert again.users == IdMap(SHUFFLED.index)
    with pytest.raises(DataError, match=r"users must be the labels of X, got others: pass X.to_numpy\(\)"):
        Interactions.from_matrix(SHUFFLED, users=PIVOT.index)


# Features of items: rows by id, columns by name.

FEATURES = pd.DataFrame(RNG.normal(size=(8, 3)), index=ITEMS, columns=["old", "loud", "long"])
AGES = RNG.normal(size=(12, 3)).astype(np.float32)  # of users
COLD = lrrec.splits.cold_users(DATA, 4, random_state=0)
NEW = pd.DataFrame(RNG.normal(size=(2, 3)), index=["x", "y"], columns=["old", "loud", "long"])


@pytest.fixture(scope="module", params=["IALS", "NeuralMF"])
def fit_with(request):
    if request.param == "IALS":
        return lambda features: small_ials().fit(DATA, item_features=features)
    pytest.importorskip("torch")
    model = lrrec.NeuralMF(2, n_hidden=2, n_epochs=1, init="random", random_state=0)
    return lambda features: lrrec.NeuralMF(**model.get_params()).fit(DATA, item_features=features)


def test_item_features_are_aligned_by_item_and_matched_by_name(fit_with, tmp_path):
    by_position = fit_with(FEATURES.to_numpy())
    model = fit_with(pd.concat([FEATURES[::-1], NEW]))
    np.testing.assert_array_equal(model.feature_map_, by_position.feature_map_)
    expected = by_position.with_items(["x", "y"], NEW.to_numpy()).item_factors_
    model.save(tmp_path / "model")
    for fitted in (model, lrrec.load(tmp_path / "model"), model.with_items(["z"], NEW[:1].set_axis(["z"]))):
        wider = fitted.with_items(["x", "y"], NEW.iloc[::-1, [2, 0, 1]])
        np.testing.assert_array_equal(wider.item_factors_[-2:], expected[-2:])
    assert list(model.feature_names_) == ["old", "loud", "long"]
    np.testing.assert_array_equal(model.with_items(["x", "y"], NEW.to_numpy()).item_factors_, expected)
    np.testing.assert_array_equal(
        by_position.with_items(["x", "y"], NEW[::-1].set_axis(range(3), axis=1)).item_factors_, expected
    )


@pytest.mark.parametrize(("features", "words"), [
    (NEW.drop(index="y"), r"item_features must have a row for each item, got none for 'y'"),
    (NEW.reset_index(drop=True), r"its index has 0, 1\. Label it by item id, or pass an array"),
    (NEW.drop(columns="loud"), "item_features must have the columns 'old', 'loud', 'long', got 'old', 'long'"),
    (NEW.assign(extra=1), "must have the columns"),
    (NEW.set_axis(range(3), axis=1), "must have the columns"),
    (NEW.assign(old="text"), "must hold numbers"),
    (pl.DataFrame(NEW.to_dict("list")), r"a frame of polars cannot: .*set_index"),
    (pa.table(NEW.to_dict("list")), "a frame of pyarrow cannot"),
    ({"x": [1.0, 2.0, 3.0], "y": [1.0]}, "as many numbers for each item"),
])  # fmt: skip
def test_item_features_that_cannot_be_matched(fit_with, features, words):
    model = fit_with(FEATURES)
    with pytest.raises(DataError, match=words):
        model.with_items(["x", "y"], features)


def test_factors_in_frames():
    U, V = RNG.normal(size=(12, 3)), RNG.normal(size=(8, 3))
    expected = lrrec.interop.from_factors(U, V, users=USERS, items=ITEMS, seen=DATA)
    names = ["one", "two", "three"]
    users, items = pd.DataFrame(U, USERS, names), pd.DataFrame(V, ITEMS, names)
    made = lrrec.interop.from_factors(users[::-1], items[::-1][names[::-1]], seen=SHUFFLED)
    ordered = lrrec.interop.from_factors(users[::-1], items, users=USERS, seen=DATA)
    vectors = lrrec.interop.from_factors(users[::-1].T.to_dict("list"), items, seen=DATA)
    for model in (made, ordered, vectors):
        np.testing.assert_array_equal(model.recommend(USERS, 3).items, expected.recommend(USERS, 3).items)
    assert ordered.users_ == IdMap(USERS)
    with pytest.raises(DataError, match="must have the columns 'one', 'two', 'three'"):
        lrrec.interop.from_factors(users, items.rename(columns={"one": "1"}))


def test_series_are_paired_only_where_their_labels_agree():
    pairs = LONG[["userId", "movieId"]].sample(frac=1, random_state=0)
    data = Interactions.from_pairs(pairs["userId"], pairs["movieId"])
    assert (data.matrix != DATA.binarize().align_items(data.items).matrix[np.argsort(USERS)]).nnz == 0
    np.testing.assert_array_equal(
        BASE.predict(pairs["userId"], pairs["movieId"]), BASE.predict(pairs["userId"].to_numpy(), [*pairs["movieId"]])
    )
    for use in (Interactions.from_pairs, BASE.predict):
        with pytest.raises(DataError, match="must have the same index"):
            use(pairs["userId"], LONG["movieId"])


# concat


def parts_of(data, n=3):
    part = np.random.default_rng(1).integers(n, size=len(data))
    return [data.filter(part == p) for p in range(n)]


def test_concat_undoes_a_partition(made_up):
    data = made_up.interactions()
    joined = Interactions.concat(parts_of(data))
    assert joined.users is data.users
    assert joined.items is data.items
    assert (joined.matrix != data.matrix).nnz == 0
    np.testing.assert_array_equal(joined.times, data.times)


def test_concat_matches_ids():
    few = DATA.align_items(IdMap(["h", "a"]))
    other = Interactions.from_pairs([99, 1], ["new", "a"], values=[5, 7])
    joined = Interactions.concat([few, other, DATA.filter(DATA.matrix.data > 9)], duplicates="sum")
    assert list(joined.users) == sorted({*USERS.tolist(), 99})
    assert list(joined.items) == sorted({*ITEMS, "new"})
    expected = pd.concat([few.to_frame(), other.to_frame()]).groupby(["user", "item"])["value"].sum()
    pd.testing.assert_series_equal(joined.to_frame().set_index(["user", "item"])["value"], expected)


@pytest.mark.parametrize(("duplicates", "value"), [("sum", 7.0), ("last", 4.0)])
def test_concat_has_the_policies_of_from_frame(duplicates, value):
    first, second = (Interactions.from_pairs([1], ["a"], values=[v]) for v in (3, 4))
    assert Interactions.concat([first, second], duplicates=duplicates).matrix.data.tolist() == [value]
    with pytest.raises(DataError, match="repeated pairs"):
        Interactions.concat([first, second])


def test_concat_of_times():
    early, late = (Interactions.from_pairs([1], ["a"], values=[v], times=[t]) for v, t in ((3, 10), (4, 20)))
    joined = Interactions.concat([late, early], duplicates="last")
    assert (joined.matrix.data.tolist(), joined.times.tolist()) == ([4.0], [20])
    assert Interactions.concat([late, DATA], duplicates="last").times is None
    dated = Interactions.from_pairs([2], ["a"], times=np.array(["2024-01-01"], "M8[D]"))
    with pytest.raises(DataError, match="all datetimes or all numbers"):
        Interactions.concat([late, dated])


@pytest.mark.parametrize("parts", [[], [DATA, DATA.to_frame()], [DATA, Interactions.from_pairs(["1"], ["a"])]])
def test_what_cannot_be_joined(parts):
    with pytest.raises(DataError, match="parts"):
        Interactions.concat(parts)


# Every public parameter that a frame, a Series or a dict can be passed to, and what it does with labels.

NOT_DATA = "settings, models and results of lrrec, which have no labels of users or items"
SETTINGS = re.compile(
    r".*\.(metrics|random_state|callback|scorer|params|edges|sizes|ax|adapter|candidates_|space|student|make|base|warm_start)"
    r"|(Comparison|Evaluation|Explanation|ItemIndex|LearningCurve|Recommendations|Tuning|Recipe|Dataset|Protocol)\.__init__\..*"
    r"|AdapterBank\.__(init|getitem|setitem)__\..*|AdapterSelector\.__init__\.candidates|Blend\.__init__\.models|Blended\.__init__\.members|ByHistory\..*"
    r"|Recommends\.recommend_all\.output|Report\.__init__\.(comparison|evaluations|transfer|tunings)"
    r"|(evaluate|tune|from_implicit|ImplicitModel\.__init__)\.model|from_sklearn\.estimator|compare\.models|DomainFitter\.__init__\..*"
)  # NOT_DATA
SCALAR = re.compile(
    r"<class '(int|float|bool|str)'>|\b(int|float|bool|str|None|NoneType|typing\.(BinaryIO|TextIO|Union)"
    r"|os\.PathLike(\[str\])?|numpy\.(integer|datetime64|timedelta64)|numpy\.random\.\w+\.\w+|datetime\.\w+)\b"
    r"|[\[\]|, ]"
)
MODEL = re.compile(
    r"(<class ')?lrrec\.(models\.\S*\.(Recommender|FactorModel)|splits\.split\.Split|adapt\.domain\.Domain)('>)?"
)
SPECIAL = ("__init__", "__call__", "__getitem__", "__setitem__", "__contains__")


def public_functions():
    """Functions and methods of the documented modules. Arrays in lrrec.linalg and lrrec.metrics belong to no ids."""
    for owner in (lrrec, lrrec.adapt, lrrec.datasets, lrrec.interop, lrrec.rerank, lrrec.splits):
        for name in getattr(owner, "__all__", [name for name in vars(owner) if not name.startswith("_")]):
            value = getattr(owner, name)
            if not getattr(value, "__module__", "").startswith(owner.__name__):
                continue
            if inspect.isfunction(value):
                yield value
            elif inspect.isclass(value):
                members = [inspect.getattr_static(value, member) for member in dir(value)
                           if not member.startswith("_") or member in SPECIAL]  # fmt: skip
                members = [getattr(member, "__func__", member) for member in members]
                yield from (f for f in members if inspect.isfunction(f) and f.__module__.startswith("lrrec"))


def public_parameters():
    return {
        f"{function.__qualname__}.{name}"
        for function in public_functions()
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and name != "cls" and SCALAR.sub("", MODEL.sub("", str(parameter.annotation)))
    }


def adapted(**options):
    adapter = LowRank(rank=2, reg=0.1, fold_in_reg=0.01)
    return adapter.fit(**({"X": DATA, "base": BASE} | options)).recommend(USERS, 3, exclude_seen=False).items


def updated(new):
    return LowRank(rank=2, reg=0.1, fold_in_reg=0.01).fit(DATA, base=BASE).update(new).recommend(USERS, 3).items


def selected(**options):
    selector = lrrec.AdapterSelector([LowRank(rank=2, reg=0.1, fold_in_reg=0.01)], guard=False, random_state=0)
    return selector.fit(**({"X": DATA, "base": BASE} | options)).recommend(USERS, 3, exclude_seen=False).items


def selector_updated(new):
    selector = lrrec.AdapterSelector([LowRank(rank=2, reg=0.1, fold_in_reg=0.01)], guard=False, random_state=0)
    return selector.fit(DATA, base=BASE).update(new).recommend(USERS, 3).items


def small_ials():
    return IALS(2, n_iter=2, random_state=0)


def tuned_with(**features):
    pytest.importorskip("optuna")
    return lrrec.tune(small_ials(), SPLIT, space={"reg": [0.01]}, **features)


def small_neural():
    pytest.importorskip("torch")
    return lrrec.NeuralMF(2, n_hidden=2, n_epochs=1, init="random", random_state=0)


def implicit_model(data=DATA):
    pytest.importorskip("implicit")
    from implicit.nearest_neighbours import CosineRecommender

    peer = CosineRecommender(K=5, num_threads=1)
    peer.fit(sp.csr_matrix(DATA.matrix), show_progress=False)
    return lrrec.interop.ImplicitModel(peer, data)


def converted(**options):
    als = pytest.importorskip("implicit.cpu.als")
    peer = als.AlternatingLeastSquares(2, iterations=1, random_state=0, num_threads=1)
    peer.fit(sp.csr_matrix(DATA.matrix), show_progress=False)
    model = lrrec.interop.from_implicit(peer, **({"users": USERS, "items": ITEMS, "seen": DATA} | options))
    return model.recommend(USERS, 3).items


def decomposed(**options):
    peer = TruncatedSVD(2, random_state=0).fit(DENSE)
    return lrrec.interop.from_sklearn(peer, **({"items": ITEMS, "seen": DATA} | options)).recommend(USERS, 3).items


def imported(**options):
    """A model that Spark saved."""
    with tempfile.TemporaryDirectory() as folder:
        of_users, of_items = ((np.arange(len(V)), V) for V in (BASE.user_factors_, BASE.item_factors_))
        write_spark(Path(folder), of_users, of_items)
        model = lrrec.interop.from_spark(folder, **({"users": USERS, "items": ITEMS, "seen": DATA} | options))
    return model.recommend(USERS, 3).items


def factors(**options):
    given = {"user_factors": BASE.user_factors_, "item_factors": BASE.item_factors_, "seen": DATA}
    if "user_factors" not in options:
        given["users"] = USERS
    if "item_factors" not in options:
        given["items"] = ITEMS
    return lrrec.interop.from_factors(**(given | options)).recommend(USERS, 3).items


def measured(**options):
    metrics = ["diversity@3", "ndcg@3"]
    return lrrec.evaluate(
        TRAINED, SPLIT, **({"metrics": metrics, "vectors": DIRECTIONS, "exclude_seen": False} | options)
    ).mean()


def compared(**options):
    options = {"metrics": ["diversity@3", "ndcg@3"], "vectors": DIRECTIONS, "exclude_seen": False} | options
    return lrrec.compare({"one": TRAINED}, SPLIT, **options).evaluations["one"].mean()


def listed(lists=None, test=DATA, users=USERS, **options):
    lists = LISTS.items if lists is None else lists
    options = {"metrics": ["diversity@3", "ndcg@3"], "train": DATA, "vectors": DIRECTIONS, "users": users} | options
    return lrrec.evaluate_lists(lists, test, **options).mean()


def by_item_group(**options):
    options = {
        "lists": LISTS.items,
        "test": DATA,
        "users": USERS,
        "groups": [*"abababab"],
        "metrics": ["recall@3"],
    } | options
    return lrrec.by_item_group(**options)["mean"]


def written_lists(**options):
    """The items of `recommend_all`."""
    with tempfile.TemporaryDirectory() as folder:
        BASE.recommend_all(Path(folder) / "lists", 2, **options)
        return pd.read_parquet(Path(folder) / "lists")["item"].to_numpy()


def domain_lists(**options):
    options = {"users": USERS, "domain": DOMAINS, "k": 3} | options
    return BANK.recommend(**options).items


def domain_lists_from(**options):
    options = {"histories": DATA, "domain": DOMAINS, "k": 3} | options
    lists = BANK.recommend_from(**options)
    return lists.items[np.argsort(lists.users)]


DOMAINS = ["de" if user % 2 else "fr" for user in USERS.tolist()]
DIRECTIONS = RNG.normal(size=(8, 3))
GROUPS = [*"abababab"]
LAST = Interactions.from_pairs([1, 2], ["a", "b"])


def explained(X):
    """The score of an item for the first user alone."""
    first = X.filter(X.rows() == 0) if isinstance(X, Interactions) else X.iloc[:1] if isinstance(X, pd.DataFrame) else X
    return [BASE.explain_from(first, "a").score]


# A matrix of users by items: a frame is what its labels say.
MATRICES = {
    "Adapter.fit.X": lambda X: adapted(X=X),
    "Adapter.update.new": updated,
    "AdapterBank.fit_many.interactions": lambda X: AdapterBank(BASE).fit_many(
        X, by=dict(zip(USERS.tolist(), DOMAINS, strict=True)), adapter=LowRank(rank=2, reg=0.1, fold_in_reg=0.01)
    ).recommend(USERS, DOMAINS, k=3).items,
    "AdapterBank.recommend_from.histories": lambda X: domain_lists_from(
        histories=X, domain=dict(zip(USERS.tolist(), DOMAINS, strict=True))
    ),
    "AdapterSelector.fit.X": lambda X: selected(X=X),
    "AdapterSelector.update.new": selector_updated,
    "Explains.explain_from.history": explained,
    "FactorModel.transform.X": lambda X: BASE.transform(X),
    "ImplicitModel.__init__.data": lambda X: implicit_model(X).recommend(USERS, 3).items,
    "ImplicitModel.recommend_from.histories": lambda X: implicit_model().recommend_from(X, 3, users=USERS).items,
    "Interactions.from_matrix.X": lambda X: Interactions.from_matrix(X).to_frame()["value"],
    "IALS.fit.X": lambda X: IALS(2, n_iter=1, random_state=0).fit(X).recommend(USERS, 3).items,
    "IterativeModel.fit.X": lambda X: lrrec.NMF(2, n_iter=1, random_state=0).fit(X).recommend(USERS, 3).items,
    "NeuralMF.fit.X": lambda X: small_neural().fit(X).recommend(USERS, 3).items,
    "Blend.fit.X": lambda X: lrrec.Blend([EASE()]).fit(X).recommend(USERS, 3).items,
    "ItemContent.fit.X": lambda X: lrrec.ItemContent().fit(
        X, item_features=FEATURES).recommend(USERS, 3, exclude_seen=False).items,
    "EASE.fit.X": lambda X: EASE().fit(X).recommend(USERS, 3).items,
    "Recommender.fit.X": lambda X: lrrec.ItemKNN().fit(X).recommend(USERS, 3).items,
    "Recommends.recommend_from.histories": lambda X: BASE.recommend_from(X, 3).items,
    "Recommender.update.new": lambda X: small_ials().fit(DATA).update(X).recommend(USERS, 3).items,
    "Recommender.score.X": lambda X: [BASE.score(X)],
    "distill.data": lambda X: lrrec.distill(BASE, IALS(2, random_state=0), X, n_iter=1).recommend(USERS, 3).items,
    "from_factors.seen": lambda X: factors(seen=X),
    "from_implicit.seen": lambda X: converted(seen=X),
    "from_sklearn.seen": lambda X: decomposed(seen=X),
    "from_spark.seen": lambda X: imported(seen=X),
}  # fmt: skip

# One value, or one vector, for each id: (call, ids, values in their order).
ALIGNED = {
    "AdapterBank.fit_many.by": (lambda by: AdapterBank(BASE).fit_many(
        DATA, by, adapter=LowRank(rank=2, reg=0.1, fold_in_reg=0.01)).recommend(USERS, DOMAINS, k=3).items,
                                USERS, DOMAINS),
    "AdapterBank.recommend.domain": (lambda domain: domain_lists(domain=domain), USERS, DOMAINS),
    "AdapterBank.recommend_from.domain": (lambda domain: domain_lists_from(domain=domain), USERS, DOMAINS),
    "Evaluation.by_group.groups": (lambda groups: EVALUATION.by_group(groups)["mean"], EVALUATION.users,
                                   [user % 2 for user in EVALUATION.users.tolist()]),
    "FeatureModel.with_items.item_features": (lambda table: small_ials().fit(
        DATA, item_features=FEATURES.to_numpy()).with_items(["x", "y"], table).item_factors_, ["x", "y"],
                                              NEW.to_numpy()),
    "EASE.fit.item_features": (lambda table: EASE(5.0).fit(
        DATA, item_features=table).item_features_, ITEMS, FEATURES.to_numpy()),
    "IALS.fit.item_features": (lambda table: small_ials().fit(DATA, item_features=table).feature_map_, ITEMS,
                               FEATURES.to_numpy()),
    "Blend.fit.item_features": (lambda table: lrrec.Blend([small_ials()]).fit(
        DATA, item_features=table).models_[0].feature_map_, ITEMS, FEATURES.to_numpy()),
    "ItemContent.fit.item_features": (lambda table: lrrec.ItemContent().fit(
        DATA, item_features=table).item_features_, ITEMS, FEATURES.to_numpy()),
    "IALS.fit.user_features": (lambda table: small_ials().fit(
        DATA, user_features=table).user_feature_map_, USERS, AGES),
    "Recommends.recommend_from.user_features": (lambda table: small_ials().fit(DATA, user_features=AGES).recommend_from(
        DATA, 3, users=USERS, user_features=table, exclude_seen=False).scores.filled(0), USERS, AGES),
    "evaluate.user_features": (lambda table: lrrec.evaluate(
        small_ials().fit(COLD.train, user_features=AGES), COLD, metrics=["ndcg@3"], user_features=table
    ).values["ndcg@3"], USERS, AGES),
    "compare.user_features": (lambda table: lrrec.compare(
        {"ials": small_ials()}, COLD, metrics=["ndcg@3"], user_features=table
    ).evaluations["ials"].values["ndcg@3"], USERS, AGES),
    "Interactions.filter.mask": (lambda mask: DATA.filter(mask).to_frame()["value"], range(len(DATA)),
                                 (np.arange(len(DATA)) % 3 == 0).tolist()),
    "Interactions.filter_events.mask": (lambda mask: DATA.filter_events(mask).to_frame()["value"], range(len(DATA)),
                                 (np.arange(len(DATA)) % 3 == 0).tolist()),
    "NeuralMF.fit.item_features": (lambda table: small_neural().fit(DATA, item_features=table).feature_map_, ITEMS,
                                   FEATURES.to_numpy()),
    "by_item_group.groups": (lambda groups: by_item_group(groups=groups), ITEMS, GROUPS),
    "by_item_group.lists": (lambda lists: by_item_group(lists=lists), USERS, LISTS.items.tolist()),
    "compare.item_features": (lambda table: lrrec.compare(
        {"ials": small_ials()}, SPLIT, metrics=["ndcg@10"], item_features=table).models["ials"].feature_map_, ITEMS,
                              FEATURES.to_numpy()),
    "compare.vectors": (lambda vectors: compared(vectors=vectors), ITEMS, DIRECTIONS),
    "evaluate.vectors": (lambda vectors: measured(vectors=vectors), ITEMS, DIRECTIONS),
    "evaluate_lists.lists": (lambda lists: listed(lists=lists), USERS, LISTS.items.tolist()),
    "evaluate_lists.vectors": (lambda vectors: listed(vectors=vectors), ITEMS, DIRECTIONS),
    "from_factors.item_factors": (lambda V: factors(item_factors=V, items=ITEMS), ITEMS, BASE.item_factors_),
    "from_factors.user_factors": (lambda U: factors(user_factors=U, users=USERS), USERS, BASE.user_factors_),
    "tune.item_features": (lambda table: tuned_with(item_features=table).model_.feature_map_, ITEMS,
                           FEATURES.to_numpy()),
    "tune.user_features": (lambda table: tuned_with(user_features=table).model_.user_feature_map_, USERS, AGES),
    "history_mask.key": (lambda key: lrrec.splits.history_mask(DATA, 0.5, key), range(len(DATA)),
                         np.random.default_rng(2).random(len(DATA)).tolist()),
}  # fmt: skip

# Ids themselves, in the order of the values: a column of a frame is a sequence like any other.
IDS = {
    "Adapter.fit.catalogue": (lambda ids: adapted(catalogue=ids), ITEMS),
    "AdapterBank.recommend.users": (lambda ids: domain_lists(users=ids), USERS),
    "AdapterSelector.fit.catalogue": (lambda ids: selected(catalogue=ids), ITEMS),
    "FactorModel.similar_items.candidates": (
        lambda ids: BASE.similar_items(ITEMS, 2, candidates=ids).neighbors.filled(""), ITEMS[:5]),
    "FactorModel.similar_items.items": (lambda ids: BASE.similar_items(ids, 2).neighbors, ITEMS),
    "FactorModel.similar_users.users": (lambda ids: BASE.similar_users(ids, 2).neighbors, USERS),
    "FeatureModel.with_items.items": (lambda ids: [*small_ials().fit(
        DATA, item_features=FEATURES).with_items(ids, NEW.to_numpy()).items_], ["y", "x"]),
    "IdMap.__init__.ids": (lambda ids: [*IdMap(ids)], ITEMS),
    "IdMap.find.ids": (DATA.items.find, ITEMS),
    "IdMap.indices.ids": (DATA.items.indices, ITEMS),
    "ImplicitModel.recommend.items": (lambda ids: implicit_model().recommend(USERS, 2, items=ids).items, ITEMS),
    "ImplicitModel.recommend.users": (lambda ids: implicit_model().recommend(ids, 2).items, USERS),
    "ImplicitModel.recommend_from.items": (
        lambda ids: implicit_model().recommend_from(DATA, 2, items=ids).items, ITEMS),
    "ImplicitModel.recommend_from.users": (
        lambda ids: implicit_model().recommend_from(DATA, 2, users=ids).items, USERS),
    "Interactions.from_matrix.items": (lambda ids: [*Interactions.from_matrix(DENSE, items=ids).items], ITEMS),
    "Interactions.from_matrix.users": (lambda ids: [*Interactions.from_matrix(DENSE, users=ids).users], USERS),
    "Interactions.from_pairs.items": (lambda ids: Interactions.from_pairs(USERS[:8], ids).to_frame()["item"], ITEMS),
    "Interactions.from_pairs.times": (lambda times: Interactions.from_pairs(USERS, USERS, times=times).times, USERS),
    "Interactions.from_pairs.users": (lambda ids: Interactions.from_pairs(ids, USERS).to_frame()["item"], USERS),
    "Interactions.from_pairs.values": (lambda x: Interactions.from_pairs(USERS, USERS, values=x).matrix.data, USERS),
    "GraphFilter.similar_items.candidates": (
        lambda ids: lrrec.GraphFilter(2).fit(DATA).similar_items(
            ITEMS, 2, candidates=ids).neighbors.filled(""), ITEMS[:5]),
    "GraphFilter.similar_items.items": (
        lambda ids: lrrec.GraphFilter(2).fit(DATA).similar_items(ids, 2).neighbors.filled(""), ITEMS),
    "ItemContent.similar_items.candidates": (
        lambda ids: lrrec.ItemContent().fit(DATA, item_features=FEATURES).similar_items(
            ITEMS, 2, candidates=ids).neighbors.filled(""), ITEMS[:5]),
    "ItemContent.similar_items.items": (
        lambda ids: lrrec.ItemContent().fit(DATA, item_features=FEATURES).similar_items(
            ids, 2).neighbors.filled(""), ITEMS),
    "ItemItemModel.similar_items.candidates": (
        lambda ids: EASE().fit(DATA).similar_items(ITEMS, 2, candidates=ids).neighbors.filled(""), ITEMS[:5]),
    "ItemItemModel.similar_items.items": (
        lambda ids: EASE().fit(DATA).similar_items(ids, 2).neighbors.filled(""), ITEMS),
    "Recommender.predict.items": (lambda ids: BASE.predict(USERS[:8], ids), ITEMS),
    "Recommender.predict.users": (lambda ids: BASE.predict(ids, [*ITEMS, *ITEMS[:4]]), USERS),
    "Recommends.recommend.exclude": (lambda ids: BASE.recommend(USERS, 2, exclude=ids).items, ITEMS[:5]),
    "Recommends.recommend.items": (lambda ids: BASE.recommend(USERS, 2, items=ids).items, ITEMS[:5]),
    "Recommends.recommend.users": (lambda ids: BASE.recommend(ids, 2).items, USERS),
    "Recommends.recommend_all.exclude": (lambda ids: written_lists(exclude=ids), ITEMS[:5]),
    "Recommends.recommend_all.items": (lambda ids: written_lists(items=ids), ITEMS[:5]),
    "Recommends.recommend_from.exclude": (lambda ids: BASE.recommend_from(DATA, 2, exclude=ids).items, ITEMS[:5]),
    "Recommends.recommend_from.items": (lambda ids: BASE.recommend_from(DATA, 2, items=ids).items, ITEMS[:5]),
    "Recommends.recommend_from.users": (lambda ids: BASE.recommend_from(DATA, 2, users=ids).items, USERS),
    "by_item_group.users": (lambda ids: by_item_group(users=ids), USERS),
    "compare.candidates": (lambda ids: compared(candidates=ids), ITEMS[:5]),
    "evaluate.candidates": (lambda ids: measured(candidates=ids), ITEMS[:5]),
    "evaluate_lists.users": (lambda ids: listed(users=ids), USERS),
    "from_factors.items": (lambda ids: factors(items=ids), ITEMS),
    "from_factors.users": (lambda ids: factors(users=ids), USERS),
    "from_implicit.items": (lambda ids: converted(items=ids), ITEMS),
    "from_implicit.users": (lambda ids: converted(users=ids), USERS),
    "from_sklearn.items": (lambda ids: decomposed(items=ids), ITEMS),
    "from_spark.items": (lambda ids: imported(items=ids), ITEMS),
    "from_spark.users": (lambda ids: imported(users=ids), USERS),
}  # fmt: skip

# Objects of lrrec, or arrays in an order that only lrrec knows: anything labelled is refused.
REFUSED = {
    "Adapter.fit.source": lambda v: adapted(source=v),  # which only neural bases take
    "AdapterSelector.fit.source": lambda v: selected(source=v),
    "Blend.__init__.weights": lambda v: lrrec.Blend([EASE(), EASE()], weights=v).fit(DATA),
    "Blended.__init__.weights": lambda v: lrrec.adapt.Blended([FoldIn(), FoldIn()], v).fit(DATA, base=BASE),
    "ItemItem.__init__.source_weights": lambda v: lrrec.adapt.ItemItem(
        weight=1.0, reg=1.0, scaling=0.5, source_weights=v
    ).fit(DATA, base=[BASE, BASE]),
    "Interactions.__init__.events": lambda v: Interactions(DATA.matrix, DATA.users, DATA.items, None, v),
    "Interactions.__init__.items": lambda v: Interactions(DATA.matrix, DATA.users, v),
    "Interactions.__init__.matrix": lambda v: Interactions(v, DATA.users, DATA.items),
    "Interactions.__init__.times": lambda v: Interactions(DATA.matrix, DATA.users, DATA.items, v),
    "Interactions.__init__.users": lambda v: Interactions(DATA.matrix, v, DATA.items),
    "Interactions.align_items.items": lambda v: DATA.align_items(v),
    "Interactions.concat.parts": lambda v: Interactions.concat([DATA, v]),
    "Report.__init__.titles": lambda v: lrrec.Report("title", split=SPLIT, titles=None if isinstance(v, dict) else v),
    "Split.__init__.candidates": lambda v: lrrec.Split(SPLIT.train, SPLIT.train, SPLIT.test, v),
    "Split.__init__.history": lambda v: lrrec.Split(SPLIT.train, v, SPLIT.test),
    "Split.__init__.test": lambda v: lrrec.Split(SPLIT.train, SPLIT.train, v),
    "Split.__init__.train": lambda v: lrrec.Split(v, v, v),
    "Split.__init__.validation": lambda v: lrrec.Split(SPLIT.train, SPLIT.train, SPLIT.test, validation=v),
    "by_item_group.test": lambda v: by_item_group(test=v),
    "by_time.data": lrrec.splits.by_time,
    "by_user.data": lrrec.splits.by_user,
    "cold_items.data": lrrec.splits.cold_items,
    "cold_users.data": lrrec.splits.cold_users,
    "evaluate_lists.test": lambda v: listed(test=v),
    "evaluate_lists.train": lambda v: listed(train=v),
    "history_mask.data": lambda v: lrrec.splits.history_mask(v, 0.5, np.zeros(len(DATA))),
    "k_folds.data": lambda v: [*lrrec.splits.k_folds(v)],
    "learning_curve.source": lambda v: lrrec.adapt.learning_curve(v, DATA),
    "learning_curve.target": lambda v: lrrec.adapt.learning_curve(DATA, v),
    "leave_last.data": lrrec.splits.leave_last,
    "popularity_groups.train": lrrec.popularity_groups,
    "seen_groups.train": lrrec.seen_groups,
    "random.data": lrrec.splits.random,
    "windows.data": lambda v: [*lrrec.splits.windows(v)],
}
BY_COLUMN_NAME = {  # frames whose rows say themselves whose they are
    "DomainFitter.__call__.frame", "DomainFitter.adapters.table", "Interactions.from_frame.df",
    "Report.__init__.curves", "Split.from_frames.history", "Split.from_frames.test", "Split.from_frames.train",
    "Split.from_frames.validation",
}  # fmt: skip
LABELLED_ALONE = {  # others are refused: tests/test_rerank.py, tests/test_content_adapters.py
    "Adapter.fit.item_features", "AdapterSelector.fit.item_features",
    "Boost.__call__.lists", "MMR.__call__.lists", "Quota.__call__.lists",
    "Boost.__init__.values", "MMR.__init__.vectors", "Quota.__init__.at_most", "Quota.__init__.categories",
}  # fmt: skip
ONE_VALUE = {
    "Explains.explain.item", "Explains.explain.user", "Explains.explain_from.item", "IdMap.__contains__.value",
    "_Lists.__contains__.query", "_Lists.__getitem__.query",
}  # fmt: skip


def test_every_public_parameter_is_in_a_table():
    data = {name for name in public_parameters() if not SETTINGS.fullmatch(name)}
    tables = [set(table) for table in (MATRICES, ALIGNED, IDS, REFUSED, BY_COLUMN_NAME, LABELLED_ALONE, ONE_VALUE)]
    assert sum(map(len, tables)) == len(set.union(*tables))
    assert data == set.union(*tables)


@pytest.fixture(autouse=True)
def quiet():
    """What implicit, and metrics of so few users, warn of does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def same(left, right):
    if isinstance(left, dict):
        assert left == pytest.approx(right, rel=1e-5)
    elif np.asarray(left).dtype.kind == "f":
        np.testing.assert_allclose(np.asarray(left), np.asarray(right), rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_are_what_their_labels_say(name):
    use = MATRICES[name]
    by_id = Interactions.from_matrix(SHUFFLED.fillna(0).to_numpy(), users=SHUFFLED.index, items=SHUFFLED.columns)
    same(use(SHUFFLED), use(by_id))
    for bad in (LONG, pl.DataFrame(LONG.to_dict("list")), SHUFFLED["a"], SHUFFLED["a"].to_dict()):
        with pytest.raises(LrrecError):
            use(bad)


def forms(ids, values):
    """Labelled forms of values, in another order."""
    order = RNG.permutation(len(values))
    ids, nested = np.asarray(ids)[order].tolist(), isinstance(values, np.ndarray)
    shuffled = [values[i] for i in order]
    series = pd.Series(shuffled, index=ids) if not nested else pd.DataFrame(np.array(shuffled), index=ids)
    return series, dict(zip(ids, shuffled, strict=True))


@pytest.mark.parametrize("name", ALIGNED)
def test_values_are_aligned_by_id(name):
    use, ids, values = ALIGNED[name]
    expected = use(values if isinstance(values, np.ndarray) or not isinstance(values[0], bool) else np.array(values))
    series, mapping = forms(ids, values)
    for labelled in (series, mapping):
        same(use(labelled), expected)
    lacking = series.iloc[1:]
    moved = series.set_axis([f"other {label}" for label in series.index])
    for bad in (lacking, moved, dict(list(mapping.items())[1:]), pd.concat([series, series.iloc[:1]]),
                pl.DataFrame({"value": [1.0] * len(series)})):  # fmt: skip
        if name.endswith(".lists") and bad is not lacking:
            continue
        with pytest.raises(LrrecError):
            use(bad)


@pytest.mark.parametrize("name", IDS)
def test_ids_are_values_and_never_labels(name):
    use, ids = IDS[name]
    series = pd.Series(np.asarray(ids), index=np.arange(len(ids))[::-1] + 100)
    same(use(series), use(np.asarray(ids).tolist()))
    for bad in (
        dict.fromkeys(np.asarray(ids).tolist(), 1),
        series.to_frame(),
        pl.DataFrame({"id": np.asarray(ids).tolist()}),
    ):
        with pytest.raises(LrrecError):
            use(bad)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_place_for_labels_refuses_them(name):
    for bad in (SHUFFLED, SHUFFLED["a"], pl.DataFrame(LONG.to_dict("list")), {1: 2.0}):
        if name == "Report.__init__.titles" and isinstance(bad, dict):
            continue
        with pytest.raises(LrrecError):
            REFUSED[name](bad)


def test_models_answer_with_labelled_lists():
    """evaluate reads the lists of other libraries' models by the users that label them."""

    class Model:
        def recommend(self, users, k, exclude_seen):
            return pd.Series([row[:k] for row in LISTS.items.tolist()], index=USERS)[::-1]

    found = lrrec.evaluate(Model(), SPLIT, metrics=["ndcg@3"], exclude_seen=False).mean()
    rows = SPLIT.users.indices(EVALUATION.users)
    lists = LISTS.items[[USERS.tolist().index(user) for user in SPLIT.users.ids[rows]]]
    assert found == lrrec.evaluate_lists(lists, SPLIT.test, users=EVALUATION.users, metrics=["ndcg@3"]).mean()
