"""Adapters: what is frozen, what falls, what is found, what is refused."""

import numpy as np
import pytest
import scipy.sparse as sp
from checks import assert_same, fingerprint, population, quality
from sklearn.base import clone

import lrrec
from lrrec import ALS, IALS, NMF, Interactions, LowRankAdapter, TruncatedSVD
from lrrec.adapt import AdapterSelector, Anchored, FoldIn, ItemItem, LowRank, Scratch
from lrrec.adapt.domain import make_domain
from lrrec.errors import DataError, FileFormatError, ParameterError, ParameterTypeError, UnknownIdError

GIVEN = {"reg": 1.0, "fold_in_reg": 0.02, "new_item_reg": 1.0}
BASES = [
    IALS(n_factors=12, random_state=0),
    IALS(n_factors=6, objective="hu", alpha=5, random_state=0),
    TruncatedSVD(n_factors=10, user_power=0.5),
    NMF(n_factors=6, random_state=0),
    ALS(n_factors=4, random_state=0),
]


@pytest.fixture(scope="module")
def base(source):
    return IALS(n_factors=16, reg=0.02, unobserved_weight=0.2, random_state=0).fit(source)


@pytest.fixture(scope="module")
def adapter(base, parts):
    return LowRank(rank=4, **GIVEN).fit(parts[0], base=base)


def test_items_that_the_source_knows_well_are_held_more_firmly(base, parts):
    U, a = base.user_factors_.astype(np.float64), base.unobserved_weight
    mine = base.seen_[:, [7]].toarray()[:, 0]
    whole = a * U.T @ U + (U * mine[:, None]).T @ U
    np.testing.assert_allclose(base.item_precision_[7], np.trace(whole) / U.shape[1], rtol=1e-5)
    moved = [
        np.linalg.norm(adapter.item_factors_[: len(base.items_)] - base.item_factors_, axis=1)
        for adapter in (
            Anchored(anchor=anchor, **GIVEN).fit(parts[0], base=base) for anchor in ("constant", "precision")
        )
    ]
    firm = base.item_precision_ > np.quantile(base.item_precision_, 0.8)
    assert (moved[1] / moved[0])[firm].mean() < (moved[1] / moved[0])[~firm].mean()


def test_items_that_the_source_never_saw_are_held_too(made_up):
    data = made_up.interactions()
    source, target = (population(made_up, data, name) for name in ("source", "target"))
    wider = Interactions(source.align_items(data.items).matrix, source.users, data.items)
    base = ALS(n_factors=4, random_state=0).fit(wider)
    assert (base.item_precision_ == 0).any()
    adapter = LowRank(rank=2, anchor="precision", **GIVEN).fit(target, base=base)
    assert np.isfinite(adapter.item_factors_).all()


@pytest.mark.parametrize("anchor", ["constant", "precision"])
@pytest.mark.parametrize("kind", [LowRank, Anchored])
@pytest.mark.parametrize("model", BASES, ids=repr)
def test_the_loss_never_rises(model, kind, anchor, made_up, source, target):
    if isinstance(model, ALS):
        data = made_up.interactions()
        source, target = (population(made_up, data, name) for name in ("source", "target"))
    base = model.fit(source)
    domain, values = make_domain(base, target), []
    rank = {"rank": 3} if kind is LowRank else {}
    adapter = kind(reg=2.0, fold_in_reg=None, new_item_reg=1.0, n_iter=6, anchor=anchor, **rank)
    adapter._adapt(domain, np.arange(40), values.append)
    assert len(values) == (18 if kind is LowRank else 12)
    assert (np.diff(values) <= 1e-5 * np.abs(values[:-1])).all()
    assert values[-1] < values[0]


@pytest.mark.parametrize("model", BASES, ids=repr)
def test_a_fresh_adapter_is_the_base(model, made_up, source, target, tmp_path):
    if isinstance(model, ALS):
        data = made_up.interactions()
        source, target = (population(made_up, data, name) for name in ("source", "target"))
    base = model.fit(source)
    known = target.filter(base.items_.find(target.items.ids)[target.matrix.indices] >= 0)
    fresh = FoldIn(fold_in_reg=None).fit(known, base=base, catalogue=base.items_.ids)
    mine, theirs = (one.recommend_from(known, 12) for one in (fresh, base))
    np.testing.assert_array_equal(mine.indices, theirs.indices)
    np.testing.assert_allclose(mine.scores, theirs.scores, rtol=1e-4)
    np.testing.assert_array_equal(fresh.item_factors_, base.item_factors_)
    changed = LowRank(rank=2, **GIVEN).fit(known, base=base, catalogue=base.items_.ids)
    changed.scale = 0
    np.testing.assert_allclose(changed.recommend_from(known, 12).scores, theirs.scores, rtol=1e-4)


@pytest.mark.parametrize("neural", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_adapter_without_users_recommends_what_is_popular_to_anybody(base, parts, neural, tmp_path):
    if neural:
        pytest.importorskip("torch")
        source = Interactions(base.seen_, base.users_, base.items_)
        base = lrrec.NeuralMF(4, n_hidden=0, n_epochs=1, random_state=0).fit(source)
    adapter = FoldIn(fold_in_reg=0.02).fit(parts[0], base=base)
    adapter.save(tmp_path / "adapter")
    loaded = lrrec.load(tmp_path / "adapter", base=base)
    with pytest.raises(UnknownIdError, match="unknown users: -5"):
        loaded.recommend([-5])
    options = {"unknown": "popular", "exclude_seen": False}
    found, wanted = (one.recommend([-5, -6], 3, **options) for one in (loaded, adapter))
    np.testing.assert_array_equal(found.items, wanted.items)


@pytest.mark.parametrize("kind", [
    FoldIn(fold_in_reg=0.02), Scratch(reg=1.0), Anchored(**GIVEN), LowRank(rank=3, **GIVEN),
    ItemItem(weight=3.0, reg=10.0, scaling=0.75), AdapterSelector([LowRank("auto", **GIVEN)], random_state=0),
], ids=repr)  # fmt: skip
def test_the_base_is_not_touched(kind, base, parts):
    before = fingerprint(base)
    clone(kind).fit(parts[0], base=base).recommend()
    assert fingerprint(base) == before


def test_a_planted_shift_is_found():
    """Items moved along two directions: the adapter finds the plane, and ranks far better with it."""
    rng = np.random.default_rng(0)
    n_users, n_items, D = 400, 500, 12
    V, users = rng.normal(size=(n_items, D)) / np.sqrt(D), rng.normal(size=(2 * n_users, D))
    plane = np.linalg.qr(rng.normal(size=(D, 2)))[0]
    shifted = V + 0.8 * rng.normal(size=(n_items, 2)) @ plane.T
    chosen = [np.argsort(-(u @ W.T + 0.3 * rng.gumbel(size=n_items)))[:40]
              for u, W in zip(users, [V] * n_users + [shifted] * n_users, strict=True)]  # fmt: skip
    X = sp.csr_array((np.ones(40 * len(users), np.float32), (np.repeat(np.arange(len(users)), 40), np.ravel(chosen))))
    base = IALS(n_factors=D, reg=0.005, random_state=0).fit(X[:n_users])
    target = Interactions.from_matrix(X[n_users : n_users + 300])
    rest = Interactions.from_matrix(X[n_users + 300 :])
    first = lrrec.splits.history_mask(rest, 0.5, rng.random(len(rest)))
    test = lrrec.Split(rest, rest.filter(first), rest.filter(~first))
    candidates = [Scratch(reg=None), LowRank(rank=2, fold_in_reg=None, new_item_reg=1.0)]
    adapter = AdapterSelector(candidates, blend=False, random_state=0).fit(target, base=base)
    assert adapter.best_.name == "low-rank"
    found, before = (lrrec.evaluate(model, test, metrics=["ndcg@20"]).mean()["ndcg@20"] for model in (adapter, base))
    assert found > 1.2 * before
    # where the base has the plane: the map from true to fitted item factors
    there = np.linalg.lstsq(V, base.item_factors_, rcond=None)[0].T @ plane
    cosines = np.linalg.svd(np.linalg.qr(there)[0].T @ np.linalg.qr(adapter.change_.B)[0], compute_uv=False)
    assert cosines.min() > 0.9


@pytest.mark.slow
def test_adapting_helps_where_there_is_a_shift(base, parts):
    adapter = LowRankAdapter(rank=4, random_state=0).fit(parts[0], base=base)
    assert adapter.best_.name != "fold-in"
    assert adapter.report_["kept"].sum() == 1
    item_item = ["item-item scratch", "item-item", "item-item of scores"]
    names = ["fold-in", "popularity", "scratch", *item_item, "anchored", "low-rank 4"]
    assert list(adapter.report_["method"])[:-1] == names
    assert list(adapter.report_["method"])[-1] == adapter.best_.label
    assert set(adapter.best_.label.removeprefix("blend of ").split(" and ")) <= set(names)
    folded = AdapterSelector([FoldIn()], random_state=0).fit(parts[0], base=base)
    assert quality(adapter, parts) > 1.1 * quality(folded, parts)


@pytest.mark.filterwarnings("ignore:.*recommended items are not among:lrrec.errors.DataWarning")
@pytest.mark.parametrize("selector", [
    AdapterSelector([Scratch(reg=1.0), Anchored(**GIVEN), LowRank(rank=4, **GIVEN)], blend=False),
    LowRankAdapter(rank=4),
], ids=["given", "default"])  # fmt: skip
@pytest.mark.slow
def test_the_guard_does_no_harm_on_noise(selector, base, parts):
    """Users who choose at random: there is nothing to adapt to, and whatever is kept does no harm."""
    gains = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        noise, other = (
            Interactions.from_frame(part.to_frame().assign(item=rng.choice(base.items_.ids, len(part)))).binarize()
            for part in parts[:2]
        )
        adapter = clone(selector).set_params(random_state=seed).fit(noise, base=base)
        first = lrrec.splits.history_mask(other, 0.5, rng.random(len(other)))
        fresh = lrrec.Split(other, other.filter(first), other.filter(~first))
        values = [lrrec.evaluate(model, fresh, metrics=["ndcg@20"]).values["ndcg@20"] for model in (adapter, base)]
        gains.append((values[0] - values[1]).mean())
    assert np.mean(gains) > -0.01


def test_too_few_users_to_tell(base, target):
    selector = AdapterSelector([LowRank(rank=2, **GIVEN)], random_state=0)
    adapter = clone(selector).fit(target.filter(target.rows() < 2), base=base)
    assert adapter.best_.label in adapter.report_["method"].tolist()
    assert "users" in adapter.verdict_
    with pytest.raises(DataError, match="at least two users with 2 interactions to compare"):
        selector.fit(target.filter(target.rows() < 1), base=base)
    LowRank(rank=2, **GIVEN).fit(target.filter(target.rows() < 1), base=base)


@pytest.mark.parametrize(
    "kind", [LowRank(rank=3, **GIVEN), Anchored(**GIVEN), Scratch(reg=1.0), FoldIn(fold_in_reg=0.02)], ids=repr
)
def test_merging_changes_nothing(kind, base, parts):
    adapter = clone(kind).fit(parts[0], base=base)
    merged = adapter.merge()
    assert type(merged) is IALS
    assert_same(merged.recommend_from(parts[1]), adapter.recommend_from(parts[1]))
    assert_same(merged.recommend(), adapter.recommend())
    np.testing.assert_allclose(merged.transform(parts[0]), adapter.user_factors_, atol=1e-5)


def test_truncate_and_add(base, parts, adapter):
    assert_same(adapter.truncate(4).recommend_from(parts[1]), adapter.recommend_from(parts[1]))
    less = adapter.truncate(1)
    assert less.change_.A.shape[1] == 1
    assert less.n_parameters < adapter.n_parameters
    whole, cut = (one.item_factors_ - adapter.domain_.item_factors for one in (adapter, less))
    known = adapter.domain_.in_base
    G = adapter.user_factors_.T @ adapter.user_factors_

    def weigh(change):
        return np.trace(change[known] @ G @ change[known].T)

    assert weigh(whole - cut) < weigh(whole)
    both = adapter + less
    want = adapter.domain_.item_factors + whole + cut
    np.testing.assert_allclose(both.item_factors_[known], want[known], atol=1e-4)
    with pytest.raises(ParameterError, match="low-rank"):
        Anchored(**GIVEN).fit(parts[0], base=base).truncate(1)
    with pytest.raises(DataError, match="same base"):
        adapter + LowRank(rank=1, **GIVEN).fit(parts[0], base=BASES[0].fit(parts[0]))


def test_auto_rank_is_small_for_a_small_shift(base, parts):
    adapter = AdapterSelector([LowRank("auto", **GIVEN)], guard=False, random_state=0).fit(parts[0], base=base)
    assert 1 <= adapter.best_.rank <= 8


def test_unknown_items_get_factors(base, parts, target):
    new = target.items.ids[base.items_.find(target.items.ids) < 0]
    adapter = LowRank(rank=2, **GIVEN).fit(parts[0], base=base)
    assert len(new) > 10
    assert len(adapter.items_) == len(base.items_) + len(new)
    lists = adapter.recommend_from(parts[1], 20)
    assert np.isin(lists.items.compressed(), new).any()
    narrow = LowRank(rank=2, **GIVEN).fit(parts[0], base=base, catalogue=target.items.ids)
    assert set(narrow.items_.ids) == set(target.items.ids)
    assert set(narrow.recommend_from(parts[1], 20).items.compressed()) <= set(target.items.ids)
    with pytest.raises(DataError, match="catalogue must hold every item"):
        LowRank(rank=2, **GIVEN).fit(parts[0], base=base, catalogue=target.items.ids[:50])


def test_a_raw_matrix_is_over_the_bases_items(base):
    X = base.seen_[:40]
    adapter = LowRank(rank=2, **GIVEN).fit(X, base=base)
    assert adapter.items_ is base.items_
    assert adapter.recommend([3], 5).items.shape == (1, 5)


def test_the_same_users_with_other_items(likes):
    """Half of the items are another market's: who did what here says what they want there."""
    there = likes.items.ids % 2 == 0
    on = there[likes.matrix.indices]
    rng = np.random.default_rng(0)
    hidden = (rng.random(likes.n_users) < 0.25)[likes.rows()]
    base = IALS(n_factors=12, reg=0.02, random_state=0).fit(likes.filter(~on))
    catalogue = likes.items.ids[there]
    renamed = Interactions(likes.matrix, likes.users, lrrec.IdMap(likes.items.ids + 1000 * there))
    train = renamed.filter(on & ~hidden)
    test = lrrec.Split(train, train, renamed.filter(on & hidden))
    adapter = Anchored(**(GIVEN | {"fold_in_reg": 0.2})).fit(
        test.train, base=base, catalogue=catalogue + 1000, same_users=True
    )
    popular = lrrec.evaluate(lrrec.Popularity().fit(test.train), test, metrics=["ndcg@20"]).mean()["ndcg@20"]
    assert lrrec.evaluate(adapter, test, metrics=["ndcg@20"]).mean()["ndcg@20"] > 1.1 * popular
    with pytest.raises(DataError, match="share items"):
        LowRank(**GIVEN).fit(test.train, base=base, catalogue=catalogue + 1000)


def test_update_is_a_fit_on_everything(base, target):
    early = np.random.default_rng(0).random(len(target)) < 0.6
    options = {"rank": 3, **GIVEN}
    updated = LowRank(**options).fit(target.filter(early), base=base).update(target.filter(~early))
    whole = LowRank(**options).fit(target, base=base)
    places = updated.items_.indices(whole.items_.ids)
    np.testing.assert_allclose(updated.item_factors_[places], whole.item_factors_, atol=1e-5)
    assert set(updated.users_.ids) == set(target.users.ids[np.diff(target.matrix.indptr) > 0])


def test_an_update_may_be_of_new_items_alone(base, parts, target):
    new = target.items.ids[base.items_.find(target.items.ids) < 0][:2]
    adapter = LowRank(rank=2, **GIVEN).fit(parts[0], base=base)
    adapter.update(Interactions.from_pairs([99991, 99991], new))
    assert adapter.recommend([99991], 3).items.count() == 0  # nothing connects their items with others
    assert adapter.recommend([99991], 3, unknown="popular").filled.all()


def test_an_adapter_without_its_histories_is_not_updated(adapter, base, parts, tmp_path):
    """It would forget the target's users in silence."""
    adapter.save(tmp_path / "a")
    with pytest.raises(DataError, match="histories=True"):
        lrrec.load(tmp_path / "a", base=base).update(parts[1])


def test_a_file_keeps_who_the_users_are(likes, tmp_path):
    even = likes.items.ids % 2 == 0
    on = even[likes.matrix.indices]
    base = IALS(n_factors=6, random_state=0).fit(likes.filter(~on))
    some = likes.filter(on & (likes.rows() < 100))
    adapter = Anchored(**GIVEN).fit(some, base=base, catalogue=likes.items.ids, same_users=True)
    adapter.save(tmp_path / "a", histories=True)
    again = lrrec.load(tmp_path / "a", base=base)
    cold = likes.users.ids[150:160]
    assert_same(again.recommend(cold), adapter.recommend(cold))
    adapter.save(tmp_path / "b")
    assert_same(lrrec.load(tmp_path / "b", base=base).recommend(cold), adapter.recommend(cold))


@pytest.mark.parametrize("reg", ["auto", 0])
def test_a_merged_svd_folds_users_in_as_the_adapter_does(source, parts, reg):
    base = TruncatedSVD(n_factors=6, reg=reg, user_power=0.2).fit(source)
    adapter = LowRank(rank=2, **GIVEN).fit(parts[0], base=base)
    mine, merged = (one.recommend_from(parts[1], 10) for one in (adapter, adapter.merge()))
    np.testing.assert_array_equal(mine.indices, merged.indices)
    np.testing.assert_allclose(mine.scores, merged.scores, atol=1e-4)


def test_a_sum_is_kept_as_what_it_is(base, parts, adapter, tmp_path):
    nothing = FoldIn(fold_in_reg=0.02).fit(parts[0], base=base)
    both = nothing + adapter
    both.save(tmp_path / "a")
    assert lrrec.load(tmp_path / "a", base=base).name == both.name == "low-rank"


@pytest.mark.parametrize("kind", [LowRank(rank=4, **GIVEN), Anchored(**GIVEN)], ids=repr)
def test_files(kind, base, parts, tmp_path):
    adapter = clone(kind).fit(parts[0], base=base)
    adapter.save(tmp_path / "a")
    again = lrrec.load(tmp_path / "a", base=base)
    assert_same(again.recommend_from(parts[1]), adapter.recommend_from(parts[1]))
    assert again.get_params() == adapter.get_params()
    assert len(again.users_) == 0
    adapter.save(tmp_path / "b", histories=True)
    assert_same(lrrec.load(tmp_path / "b", base=base).recommend(), adapter.recommend())
    adapter.save(tmp_path / "half", float16=True)
    assert (tmp_path / "half").stat().st_size < (tmp_path / "a").stat().st_size
    half = lrrec.load(tmp_path / "half", base=base)
    np.testing.assert_allclose(half.item_factors_, adapter.item_factors_, atol=5e-3)


def test_a_file_of_another_base_is_refused(base, source, parts, adapter, tmp_path):
    adapter.save(tmp_path / "a")
    other = IALS(n_factors=16, random_state=1).fit(source)
    with pytest.raises(FileFormatError, match=r"fingerprint [0-9a-f]{16}, this one is [0-9a-f]{16}"):
        lrrec.load(tmp_path / "a", base=other)
    with pytest.raises(ParameterTypeError, match="base must be the model"):
        lrrec.load(tmp_path / "a")
    base.save(tmp_path / "base")
    assert_same(lrrec.load(tmp_path / "a", base=lrrec.load(tmp_path / "base")).recommend_from(parts[1]),
                adapter.recommend_from(parts[1]))  # fmt: skip
    with pytest.raises(ParameterError, match="base must only be given for an adapter"):
        lrrec.load(tmp_path / "base", base=base)


def test_hostile_files(base, adapter, tmp_path):
    from lrrec import files

    adapter.save(tmp_path / "a")
    kind, params, arrays = files.read(tmp_path / "a")
    for name, broken in (
        ("A", arrays["A"][:-1]), ("B", arrays["B"][:, :1]), ("rows", arrays["rows"] + 10**6),
        ("values", arrays["values"] * np.nan), ("base_indices", arrays["base_indices"] + 10**6),
        ("item_counts", arrays["item_counts"][:2]),
    ):  # fmt: skip
        files.write(tmp_path / "b", kind, params, arrays | {name: broken})
        with pytest.raises(FileFormatError):
            lrrec.load(tmp_path / "b", base=base)
    for broken in ({"adapter": {"x": 1}}, {"adapter": {"rank": -1}}, {"same_users": 3}):
        files.write(tmp_path / "b", kind, params | broken, arrays)
        with pytest.raises(FileFormatError):
            lrrec.load(tmp_path / "b", base=base)


@pytest.mark.parametrize(("adapter", "message"), [
    (LowRankAdapter(rank=0), "rank must be an integer >= 1"),
    (LowRankAdapter(rank="big"), "rank must be an integer >= 1 or 'auto'"),
    (LowRankAdapter(metric="auc"), "a metric must be"), (LowRankAdapter(guard=1), "guard must be"),
    (Anchored(reg=-1), "reg must be"), (Anchored(reg="x"), "reg must be"), (LowRank(n_iter=0), "n_iter must be"),
    (AdapterSelector([IALS()]), "candidates must be a sequence of adapters"), (AdapterSelector([]), "candidates must"),
    (LowRank(rank=2), "reg, fold_in_reg of LowRank cannot be 'auto' here: give values, or let"),
])  # fmt: skip
def test_bad_parameters(adapter, message, base, source):
    with pytest.raises((ValueError, TypeError), match=message):
        adapter.fit(source, base=base)


def test_bad_bases_and_targets(base, parts, target):
    with pytest.raises(ParameterTypeError, match=r"base must be a single factor model .*, got EASE: use"):
        LowRankAdapter().fit(target, base=lrrec.EASE().fit(target))
    with pytest.raises(ValueError, match="must be fitted first"):
        LowRankAdapter().fit(target, base=IALS())
    strange = Interactions.from_pairs(["u", "u"], ["p", "q"])
    with pytest.raises(DataError, match="item ids of the target must be integers"):
        LowRankAdapter().fit(strange, base=base)
    with pytest.raises(DataError, match=r"share items with the base, got none: .* the target's like -6, -5\. If"):
        LowRankAdapter().fit(Interactions.from_pairs([1, 1], [-5, -6]), base=base)
    with pytest.raises(ValueError, match="must be fitted first"):
        LowRankAdapter().merge()
