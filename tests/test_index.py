"""Indexes of item factors: lists as the model's, whatever is filtered, by every library that is installed."""

import importlib
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from checks import assert_same

import lrrec
from lrrec import ALS, EASE, IALS, TruncatedSVD
from lrrec.adapt import LowRank
from lrrec.errors import DataError, FileFormatError, MissingDependencyError, ParameterError, ParameterTypeError
from lrrec.interop import ItemIndex, from_factors, open_index
from lrrec.linalg import inner_product_search

MODULES = {"usearch": "usearch.index", "hnswlib": "hnswlib", "faiss": "faiss"}
N_ITEMS, N_USERS = 3000, 120
pytestmark = pytest.mark.filterwarnings("ignore:.*[Ss]wig.*:DeprecationWarning", "ignore:numpy.core:DeprecationWarning")


@pytest.fixture(scope="module", params=MODULES)
def kind(request):
    pytest.importorskip(MODULES[request.param])
    return request.param


@pytest.fixture(scope="module")
def clustered():
    """A model of items in clusters with norms of a wide range, and string ids; users have seen one item in fifty."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(40, 24))

    def near(n):
        return centers[rng.integers(40, size=n)] + 0.5 * rng.normal(size=(n, 24))

    V = near(N_ITEMS) * rng.lognormal(0, 0.7, size=(N_ITEMS, 1))
    users, items = [f"u{i}" for i in range(N_USERS)], [f"i{i}" for i in range(N_ITEMS)]
    return from_factors(near(N_USERS), V, users=users, items=items, seen=rng.random((N_USERS, N_ITEMS)) < 0.02)


def opened(model, kind="usearch"):
    file = io.BytesIO()
    model.to_index(file, kind)
    file.seek(0)
    return open_index(file, model)


@pytest.fixture(scope="module")
def index(clustered, kind):
    return opened(clustered, kind)


def assert_same_lists(lists, exact):
    """The same lists: scores of other batches may differ in their last digits."""
    np.testing.assert_array_equal(lists.indices, exact.indices)
    np.testing.assert_allclose(lists.scores.filled(0), exact.scores.filled(0), rtol=1e-5)


def recall(lists, exact):
    pairs = zip(lists.indices, exact.indices, strict=True)
    return np.mean([len(np.intersect1d(a[a >= 0], b)) / (b >= 0).sum() for a, b in pairs])


@pytest.fixture
def by_search(monkeypatch):
    """The numbers of users whose lists the index made: in tests of small models it might be asked for nothing."""
    counts, search = [], ItemIndex._search

    def counted(self, *args):
        result = search(self, *args)
        counts.append(int(result[0].sum()))
        return result

    monkeypatch.setattr(ItemIndex, "_search", counted)
    return counts


def test_lists_are_nearly_those_of_the_model(index, clustered, by_search):
    lists, exact = index.recommend(k=10), clustered.recommend(k=10)
    assert sum(by_search) == N_USERS
    assert recall(lists, exact) >= 0.95
    np.testing.assert_array_equal(lists.users, exact.users)
    for user, listed in lists:
        items, scores = zip(*listed, strict=True)
        np.testing.assert_allclose(scores, clustered.predict([user] * 10, items), rtol=1e-5)
        assert list(scores) == sorted(scores, reverse=True)


def test_new_users_are_encoded_by_the_model(index, clustered, by_search):
    histories = clustered.seen_[:50]
    assert recall(index.recommend_from(histories, 10), clustered.recommend_from(histories, 10)) >= 0.95
    assert sum(by_search) == 50


def test_indexes_of_a_small_model_are_the_same_each_time(kind, likes):
    """Threads that add vectors side by side would leave out other edges each time."""
    model = IALS(16, n_iter=3, random_state=0).fit(likes)
    first, *others = [opened(model, kind).recommend(k=5) for _ in range(6)]
    for lists in others:
        assert_same_lists(lists, first)


@pytest.mark.parametrize("fit", [
    lambda data: IALS(16, n_iter=3, random_state=0).fit(data),
    lambda data: TruncatedSVD(16).fit(data),
    lambda data: LowRank(rank=2, reg=0.1, fold_in_reg=0.01).fit(data, base=IALS(16, random_state=0).fit(data)),
], ids=["IALS", "TruncatedSVD", "LowRank"])  # fmt: skip
def test_fitted_models_and_adapters(fit, kind, likes, by_search):
    model = fit(likes)
    index = opened(model, kind)
    assert recall(index.recommend(k=5), model.recommend(k=5)) >= 0.95
    assert recall(index.recommend_from(likes, 5), model.recommend_from(likes, 5)) >= 0.95
    assert sum(by_search) > likes.n_users


def test_biases_are_factors(kind, made_up, by_search):
    ratings = made_up.interactions()
    model = ALS(8, random_state=0).fit(ratings)
    lists, exact = opened(model, kind).recommend(k=5), model.recommend(k=5)
    assert sum(by_search) > len(exact) / 2
    assert recall(lists, exact) >= 0.95
    user, listed = next(iter(lists))
    items, scores = zip(*listed, strict=True)
    np.testing.assert_allclose(scores, model.predict([user] * 5, items), rtol=1e-5)


SHARED = [f"i{i}" for i in range(0, N_ITEMS, 3)]
OWN = {f"u{u}": [f"i{i}" for i in range(u, u + 900)] for u in range(N_USERS)}


@pytest.mark.parametrize("options", [
    {"items": SHARED}, {"exclude": SHARED}, {"exclude": OWN}, {"items": SHARED, "exclude": OWN},
    {"exclude_seen": False}, {"items": SHARED[:20]}, {"items": {u: ids[:30] for u, ids in OWN.items()}},
], ids=str.split("items exclude exclude-own both seen few-items items-own"))  # fmt: skip
def test_filters_are_never_violated_and_lists_are_full(options, index, clustered):
    lists, exact = index.recommend(k=10, **options), clustered.recommend(k=10, **options)
    np.testing.assert_array_equal(lists.items.count(axis=1), exact.items.count(axis=1))
    assert recall(lists, exact) >= 0.95
    for row, (user, listed) in enumerate(lists):
        items = {item for item, _ in listed}
        assert len(items) == len(listed)
        if options.get("exclude_seen", True):
            assert not items & {f"i{i}" for i in clustered.seen_[[row]].indices}
        for name, keep in (("items", items.issubset), ("exclude", items.isdisjoint)):
            lists_of = options.get(name)
            assert lists_of is None or keep(lists_of[user] if isinstance(lists_of, dict) else lists_of)


def test_a_list_that_needs_the_whole_catalogue_is_the_models(index, clustered):
    for options in ({"k": N_ITEMS + 5}, {"k": N_ITEMS // 2}, {"items": SHARED[:3], "k": 7}):
        assert_same_lists(index.recommend(**options), clustered.recommend(**options))
    assert (index.recommend(k=N_ITEMS + 5).items.count(axis=1) == N_ITEMS - np.diff(clustered.seen_.indptr)).all()


def test_users_whom_filters_leave_too_few_are_searched_again(kind, by_search):
    """The user's best 200 items are excluded: what is asked for first holds none that is left."""
    rng = np.random.default_rng(1)
    U, V = rng.normal(size=(30, 8)), rng.normal(size=(2000, 8))
    best = np.argsort(-U @ V.T, axis=1)
    model = from_factors(U, V, seen=np.ones((30, 2000)) * (np.arange(2000) == 0))
    exclude = {user: best[user, :200] if user < 3 else [] for user in range(30)}
    index = opened(model, kind)
    lists, exact = (m.recommend(k=5, exclude=exclude, exclude_seen=False) for m in (index, model))
    assert len(by_search) > 1
    assert recall(lists, exact) >= 0.95
    assert not any(np.isin(lists.indices[user], best[user, :200]).any() for user in range(3))


def test_a_threshold_shortens_lists(index, clustered):
    threshold = float(np.median(clustered.recommend(k=5).scores.data))
    lists = index.recommend(k=5, threshold=threshold)
    assert lists.scores.min() >= threshold
    assert recall(lists, clustered.recommend(k=5)) >= 0.4
    assert 0 < np.ma.getmaskarray(lists.items).sum() < lists.items.size


def test_users_and_items_without_evidence(kind, likes, by_search):
    """Cold users get what the model gives them, items without training data are only filled in."""
    model = IALS(8, n_iter=2, random_state=0).fit(likes.align_items(lrrec.IdMap([*likes.items.ids, 10**6])))
    index = opened(model, kind)
    users = [likes.users.ids[0], 10**9]
    assert_same_lists(index.recommend(users, 5, unknown="mask"), model.recommend(users, 5, unknown="mask"))
    lists = index.recommend(users, 5, unknown="popular")
    np.testing.assert_array_equal(lists.filled[1], True)
    assert_same_lists(lists, model.recommend(users, 5, unknown="popular"))
    assert 10**6 not in index.recommend(k=20).items
    assert by_search


def test_all_users_are_written(index, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert index.recommend_all(tmp_path / "lists", 5) == N_USERS
    written = parquet.read_table(tmp_path / "lists").to_pandas()
    assert written["item"].tolist() == index.recommend(k=5).items.ravel().tolist()


def test_threads_and_processes(index):
    """Several threads at once, and a copy as another process gets it, answer as one does alone."""
    alone = [index.recommend([f"u{user}"], 10) for user in range(N_USERS)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda user: index.recommend([f"u{user}"], 10), range(N_USERS)))
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)
    assert_same(pickle.loads(pickle.dumps(index)).recommend(k=10), index.recommend(k=10))


def test_an_index_can_be_evaluated(kind, split):
    model = IALS(8, n_iter=3, random_state=0).fit(split.train)
    by_index = lrrec.evaluate(opened(model, kind), split, metrics=["ndcg@10"]).mean()
    assert by_index["ndcg@10"] == pytest.approx(
        lrrec.evaluate(model, split, metrics=["ndcg@10"]).mean()["ndcg@10"], rel=0.05
    )


def test_the_model_is_that_of_the_opening(kind, likes):
    model = IALS(8, n_iter=2, random_state=0).fit(likes)
    index = opened(model, kind)
    before = index.recommend(k=5)
    model.set_params(n_factors=3).fit(likes.matrix[:20, :30])
    assert_same(index.recommend(k=5), before)


def test_other_models_are_refused(kind, likes, tmp_path):
    model = IALS(8, n_iter=2, random_state=0).fit(likes)
    model.to_index(tmp_path / "index", kind)
    model.save(tmp_path / "model")
    open_index(tmp_path / "index", lrrec.load(tmp_path / "model"))
    other = IALS(8, n_iter=2, random_state=1).fit(likes)
    with pytest.raises(DataError, match=r"index of another model \(fingerprint .*, this one is .*to_index"):
        open_index(tmp_path / "index", other)
    with pytest.raises(FileFormatError, match="must be an index written by to_index"):
        open_index(tmp_path / "model", model)
    with pytest.raises(FileFormatError, match="must hold one of"):
        lrrec.load(tmp_path / "index")
    with pytest.raises(ParameterTypeError, match="model must be a factor model, got EASE"):
        open_index(tmp_path / "index", EASE().fit(likes))
    content = bytearray((tmp_path / "index").read_bytes())
    content[-100] ^= 1
    (tmp_path / "index").write_bytes(content)
    with pytest.raises(FileFormatError):
        open_index(tmp_path / "index", model)


@pytest.mark.parametrize("kind", MODULES)
def test_a_library_that_is_missing_is_named(kind, clustered, monkeypatch, tmp_path):
    def fail(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    package = {"usearch": r"'lrrec\[index\]'", "hnswlib": "hnswlib", "faiss": "faiss-cpu"}[kind]
    with pytest.raises(MissingDependencyError, match=f"an index of kind '{kind}' needs .*: pip install {package}$"):
        clustered.to_index(tmp_path / "index", kind)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_indexed(clustered, tmp_path):
    with pytest.raises(ParameterError, match="kind must be one of 'usearch', 'hnswlib', 'faiss', got 'annoy'"):
        clustered.to_index(tmp_path / "index", "annoy")

    class Distances(IALS):
        def _scores(self, encoded, columns):
            return -np.square(encoded[:, None] - self.item_factors_[columns]).sum(axis=2)

    with pytest.raises(ParameterTypeError, match="scores that are inner products of factors, and Distances scores"):
        Distances(2, random_state=0).fit(np.eye(5)).to_index(tmp_path / "index")


def test_factors_of_any_size_are_searched(kind):
    rng = np.random.default_rng(0)
    for scale in (1e-15, 1e15):
        V = rng.normal(size=(500, 6)) * scale
        graph = inner_product_search.GRAPHS[kind].build(V.astype(np.float32))
        Q = (rng.normal(size=(20, 6)) * scale).astype(np.float32)
        best = np.argsort(-Q @ V.T.astype(np.float64), axis=1)[:, :5]
        positions = graph.search(Q, 5)
        assert np.mean([len(np.intersect1d(a, b)) / 5 for a, b in zip(positions, best, strict=True)]) >= 0.95
    nothing = from_factors(np.ones((2, 3)), np.zeros((4, 3)))
    assert opened(nothing, kind).recommend_from(np.eye(4)[:1], 2, unknown="mask").items.count() == 0
