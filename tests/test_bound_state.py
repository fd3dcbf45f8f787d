"""What is bound to a base, and what a model is: fingerprints, parameters, scales, subclasses."""

import io
from importlib.util import find_spec

import numpy as np
import pytest
from checks import assert_same, population
from sklearn.base import clone
from test_adapt import GIVEN
from test_models import ALL_MODELS

import lrrec
from lrrec import ALS, EASE, IALS, AdapterBank, LowRankAdapter, files
from lrrec.adapt import ADAPTERS, Anchored, FoldIn, LowRank
from lrrec.errors import DataError, FileFormatError, UnknownIdError
from lrrec.models import MODELS, Entry
from lrrec.models.base.model_files import fingerprint


@pytest.fixture(scope="module")
def source(made_up, likes):
    return population(made_up, likes, "source")


@pytest.fixture(scope="module")
def target(made_up, likes, source):
    """Of the base's items alone."""
    return population(made_up, likes, "target").align_items(source.items)


@pytest.fixture
def base(source):
    return IALS(n_factors=6, n_iter=3, reg=0.02, random_state=0).fit(source)


@pytest.fixture
def adapter(base, target):
    return LowRank(rank=3, **GIVEN).fit(target, base=base)


def copied(model, **options):
    """The model after saving and loading."""
    file = io.BytesIO()
    model.save(file, **options)
    file.seek(0)
    return lrrec.load(file, base=getattr(model, "base_", None))


# Fingerprints are of values.


@pytest.mark.parametrize("values", [
    (0.02, np.float64(0.02)), (1, 1.0, np.int64(1), np.float32(1), np.uint8(1)), (True, np.bool_(True)),
    (None, None), ("a", np.str_("a")), ([1, 2.0], np.array([1.0, 2.0]), (1, 2)), ({"a": 1}, {"a": np.float64(1)}),
    (10**20, 1e20),
], ids=str)  # fmt: skip
def test_equal_values_are_the_same_text(values):
    assert len({files.canonical({"x": value}) for value in values}) == 1


def test_other_values_are_other_texts():
    long = np.arange(10_000.0)
    values = [
        0.02,
        0.03,
        1,
        True,
        "1",
        None,
        [1],
        [1, 2],
        long,
        long + (long == 5000),
        {"a": 1},
        {"b": 1},
        np.nan,
        1e300,
    ]
    assert len({files.canonical(value) for value in values}) == len(values)


@pytest.mark.parametrize("reg", [np.float64(0.02), np.float32(0.02), np.int64(1)], ids=repr)
def test_a_base_with_numpy_parameters_is_known_again(reg, source, target):
    base = IALS(n_factors=np.int64(4), n_iter=2, reg=reg, random_state=np.int64(0)).fit(source)
    adapter = LowRank(rank=2, **GIVEN | {"reg": np.float64(1)}).fit(target, base=base)
    file = io.BytesIO()
    adapter.save(file)
    for known in (base, copied(base), copied(base, histories=False)):
        file.seek(0)
        assert_same(lrrec.load(file, base=known).recommend_from(target), adapter.recommend_from(target))
        AdapterBank(known, {"de": adapter})


@pytest.fixture(scope="module", params=ALL_MODELS, ids=repr)
def fitted(request, likes, made_up):
    """Each model, and what it was fitted to."""
    data = made_up.interactions() if isinstance(request.param, ALS) else likes
    return clone(request.param).fit(data), data


def test_a_fingerprint_outlives_a_file(fitted):
    model, _ = fitted
    assert fingerprint(copied(model)) == fingerprint(model)
    assert model._scores_by_training_data or fingerprint(copied(model, histories=False)) == fingerprint(model)


def test_a_fingerprint_is_of_what_is_scored_with(base, source):
    once = fingerprint(base)
    assert fingerprint(clone(base).set_params(n_threads=1).fit(source)) == once
    others = [clone(base).set_params(**one).fit(source) for one in ({"reg": 0.03}, {"random_state": 1})]
    others += [clone(base).fit(source.filter(source.rows() > 3)), EASE().fit(source)]
    assert len({once, *map(fingerprint, others)}) == 5


# Parameters in files.


@pytest.mark.parametrize("random_state", [np.random.default_rng(0), np.random.RandomState(0)])
def test_a_generator_is_stored_as_none(random_state, source):
    model = IALS(n_factors=2, n_iter=1, random_state=random_state).fit(source)
    loaded = copied(model)
    assert loaded.random_state is None
    assert_same(loaded.recommend(), model.recommend())


@pytest.mark.skipif(not find_spec("torch"), reason="needs torch")
def test_adapters_keep_their_seeds(likes):
    from lrrec.adapt import LowRankTowers

    base = lrrec.NeuralMF(4, n_hidden=0, n_epochs=1, random_state=0).fit(likes.filter(likes.rows() < 40))
    settings = {"reg": 1.0, "learning_rate": 0.01, "n_epochs": 1, "shrinkage": 0.0}
    for seed, stored in ((np.int64(3), 3), (np.random.default_rng(3), None)):
        adapter = LowRankTowers(2, random_state=seed, **settings).fit(likes.filter(likes.rows() < 9), base=base)
        assert copied(adapter).random_state == stored


class Weighted(EASE):
    """A model of somebody's own, with an array as a parameter."""

    def __init__(self, reg=500.0, *, weights=None, n_threads=None):
        super().__init__(reg, n_threads=n_threads)
        self.weights = weights


def test_a_subclass_is_refused_until_it_is_in_the_catalogue(source, monkeypatch, tmp_path):
    weights = np.arange(5.0)
    model = Weighted(50.0, weights=weights).fit(source)
    with pytest.raises(DataError, match=r"Weighted of .*test_bound_state cannot be saved: lrrec.load would not find"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(MODELS, "Weighted", Entry(__name__, "weighted"))
    loaded = copied(model)
    assert type(loaded) is Weighted
    np.testing.assert_array_equal(loaded.weights, weights)
    assert fingerprint(loaded) == fingerprint(model)
    assert_same(loaded.recommend(), model.recommend())
    impostor = type("EASE", (EASE,), {"__init__": EASE.__init__})(reg=50.0).fit(source)
    with pytest.raises(DataError, match=r"EASE of .* cannot be saved"):
        impostor.save(tmp_path / "m")


class Mine(LowRank):
    """A kind of adapter of somebody's own."""


def test_a_kind_of_adapter_is_refused_until_it_is_in_the_list(base, target, monkeypatch, tmp_path):
    adapter = Mine(rank=2, **GIVEN).fit(target, base=base)
    with pytest.raises(DataError, match=r"Mine of .* cannot be saved.*lrrec.adapt.ADAPTERS"):
        adapter.save(tmp_path / "a")
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(ADAPTERS, "Mine", __name__)
    assert_same(copied(adapter).recommend_from(target), adapter.recommend_from(target))


# A base that is fitted again.


def refit(base, likes):
    """Other items, factors and parameters in the same object."""
    return base.set_params(reg=0.5, n_factors=4).fit(likes.filter(likes.rows() < 300))


def test_adapters_and_banks_stay_as_they_were_when_the_base_is_refitted(base, adapter, target, likes):
    bank = AdapterBank(base, {"de": adapter})
    users = target.users.ids[:5]
    stored = io.BytesIO()
    adapter.save(stored)

    def answers():
        merged = adapter.merge()
        return [
            adapter.recommend(), adapter.recommend_from(target), bank.recommend(users, "de"), merged.recommend(),
            bank.recommend_from(target.filter(target.rows() < 5), "de"), merged.recommend_from(target),
            clone(adapter).fit(target, base=adapter.base_).recommend(), (adapter + adapter).recommend(),
        ]  # fmt: skip

    before = answers()
    refit(base, likes)
    for old, new in zip(before, answers(), strict=True):
        assert_same(old, new)
    late = io.BytesIO()
    adapter.save(late)
    assert late.getvalue() == stored.getvalue()
    bank["it"] = adapter.truncate(1)  # of the same base
    adapter.update(target.filter(target.rows() < 9))
    np.testing.assert_allclose(bank.recommend(users, "de").scores, adapter.recommend(users).scores, rtol=1e-4)


def test_what_was_fitted_to_the_base_as_it_was_is_refused(base, adapter, target, likes):
    stored = io.BytesIO()
    adapter.save(stored)
    bank = AdapterBank(base, {"de": adapter})
    refit(base, likes)
    stored.seek(0)
    with pytest.raises(FileFormatError, match="was fitted to another base"):
        lrrec.load(stored, base=base)
    with pytest.raises(DataError, match="adapter of 'de' was fitted to another base, or before the base was fitted ag"):
        AdapterBank(base, {"de": adapter})
    new = LowRank(rank=2, **GIVEN).fit(target, base=base)
    for name in ("de", "it"):
        with pytest.raises(DataError, match=f"adapter of '{name}' was fitted to another base"):
            bank[name] = new
    with pytest.raises(DataError, match="same base"):
        new + adapter
    assert bank["de"] is adapter


def test_an_adapter_that_is_refitted_to_another_base_leaves_the_bank(base, adapter, target, likes):
    bank = AdapterBank(base, {"de": adapter, "it": FoldIn(fold_in_reg=0.02).fit(target, base=base)})
    users = target.users.ids[:5]
    bank.recommend(users, "de")
    adapter.fit(target.filter(target.rows() < 50), base=base)  # of the same base
    np.testing.assert_allclose(bank.recommend(users, "de").scores, adapter.recommend(users).scores, rtol=1e-4)
    adapter.fit(target, base=refit(clone(base), likes))
    with pytest.raises(DataError, match="adapter of 'de' was fitted to another base"):
        bank.recommend(users, "de")
    bank.recommend(users, "it")


def test_a_fit_frees_what_nothing_is_bound_to(base, likes):
    """The base is kept as it was only where something uses it."""
    import gc
    import weakref

    array = weakref.ref(base.item_factors_)
    refit(base, likes)
    gc.collect()
    assert array() is None


# Scales.


def changes(adapter):
    return adapter.item_factors_ - adapter.domain_.item_factors


@pytest.mark.parametrize("kind", [LowRank(rank=3, **GIVEN), Anchored(**GIVEN)], ids=repr)
def test_a_scale_is_kept(kind, base, target):
    adapter = clone(kind).fit(target, base=base)
    users, whole = target.users.ids[:7], changes(adapter)
    adapter.scale = 0.5
    scaled = adapter.recommend(users)
    loaded = copied(adapter, histories=True)
    assert loaded.scale == 0.5
    assert_same(loaded.recommend(users), scaled)
    bank = AdapterBank(base, {"de": adapter})
    np.testing.assert_allclose(bank.recommend(users, "de").scores, scaled.scores, rtol=1e-4)
    few = AdapterBank(base, {"de": loaded}).recommend_from(target.filter(target.rows() < 3), "de")
    np.testing.assert_allclose(few.scores[:3], adapter.recommend_from(target).scores[:3], rtol=1e-4)
    assert adapter.update(target.filter(target.rows() < 2)).scale == 0.5
    again = clone(kind).fit(adapter.domain_.data, base=base)
    np.testing.assert_allclose(changes(adapter), changes(again) / 2, atol=1e-5)
    adapter.fit(target, base=base)  # a fit forgets
    assert adapter.scale == 1
    np.testing.assert_array_equal(changes(adapter), whole)


def test_sums_and_truncations_keep_the_scale(base, adapter, target):
    whole = changes(adapter)
    other = LowRank(rank=1, **GIVEN).fit(target.filter(target.rows() < 40), base=base)
    other = LowRank(rank=1, **GIVEN).fit(target, base=base) if other.items_ != adapter.items_ else other
    theirs = changes(other)
    for mine, his in ((0.5, 0.5), (0.5, 1.0), (1.0, 0.25)):
        adapter.scale, other.scale = mine, his
        both = adapter + other
        np.testing.assert_allclose(changes(both), mine * whole + his * theirs, atol=1e-5)
        assert both.scale == (mine if mine == his else 1)
        served = both.recommend_from(target, 5)
        np.testing.assert_allclose(
            AdapterBank(base, {"de": both}).recommend_from(target, "de", k=5).scores, served.scores, rtol=1e-3
        )
    adapter.scale = 0.5
    full = adapter.truncate(3)
    assert full.scale == adapter.truncate(1).scale == 0.5
    np.testing.assert_allclose(changes(full), 0.5 * whole, atol=1e-5)
    assert_same(full.recommend(), adapter.recommend())


def test_a_selector_keeps_the_scale_of_its_winner(base, target):
    selector = LowRankAdapter(2, guard=False, random_state=0).fit(target, base=base)
    selector.scale = 0.5
    assert selector.update(target.filter(target.rows() < 2)).scale == selector.truncate(1).scale == 0.5


# Without histories.


def test_a_file_without_histories_has_no_row_of_a_user(fitted, tmp_path):
    model, data = fitted
    if model._scores_by_training_data:  # it is refused: tests/test_graph_filter.py
        return
    model.save(tmp_path / "m", histories=False)
    with files.opened(tmp_path / "m") as (_, header):
        sizes = {size for place in header.places.values() for size in place.shape}
        names = set(header.places)
    assert not sizes & {data.n_users, data.n_users + 1, len(data)}
    assert not [name for name in names if "user" in name or "seen" in name]
    whole, matrix = (tmp_path / "m").read_bytes(), data.matrix
    assert data.users.ids.tobytes() not in whole
    rows = [matrix.indices[start:stop] for start, stop in zip(matrix.indptr, matrix.indptr[1:], strict=False)]
    assert not [row for row in rows if len(row) > 9 and row.tobytes() in whole]
    loaded = lrrec.load(tmp_path / "m")
    assert_same(loaded.recommend_from(data, 7), model.recommend_from(data, 7))
    with pytest.raises(UnknownIdError, match="the model was saved without histories: use recommend_from"):
        loaded.recommend(data.users.ids[:2])
    for options in ({}, {"users": [-1], "unknown": "popular"}):
        with pytest.raises(
            DataError, match=r"recommend\(\) needs the users' histories, and the model was saved without"
        ):
            loaded.recommend(**options)
    options = {"unknown": "popular", "exclude_seen": False}
    assert_same(loaded.recommend([-1], 5, **options), model.recommend([-1], 5, **options))
    loaded.save(tmp_path / "again")  # nothing to leave out
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()


def test_a_base_without_histories_is_adapted(base, target):
    known = copied(base, histories=False)
    fitted = [LowRank(rank=2, **GIVEN).fit(target, base=one) for one in (base, known)]
    assert_same(*(one.recommend() for one in fitted))
    with pytest.raises(DataError, match="item_precision_ needs the users' histories"):
        LowRank(rank=2, anchor="precision", **GIVEN).fit(target, base=known)
    with pytest.raises(DataError, match="same_users is True, but no user of the target"):
        LowRank(rank=2, **GIVEN).fit(target, base=known, same_users=True)
