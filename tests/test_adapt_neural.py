"""Adapters of a neural base: the same class, guard, bank and files as of the linear ones."""

import numpy as np
import pytest
from checks import assert_same, fingerprint, quality
from sklearn.base import clone

import lrrec
from lrrec import IALS, AdapterBank, Interactions, LowRankAdapter, NeuralMF, Split
from lrrec.adapt import AdapterSelector, FoldIn, FullRankTowers, LowRankTowers, ScratchTowers
from lrrec.adapt.domain import make_domain
from lrrec.adapt.kinds.two_tower import SHRINKAGES
from lrrec.errors import DataError, FileFormatError, ParameterError

pytest.importorskip("torch")

GIVEN = {"learning_rate": 0.02, "n_epochs": 20, "reg": 1.0, "shrinkage": 0.0, "random_state": 0}
SCRATCH = {"learning_rate": 0.02, "n_epochs": 20, "random_state": 0}
KINDS = [LowRankTowers(3, **GIVEN), FullRankTowers(**GIVEN)]


def settings(method, **values):
    """Settings of one training."""
    return {"reg": 1.0, "balance": 0.5, "rank": 3, "adapt_encoder": True, "source_weight": 1.0, "seed": 0} | values


@pytest.fixture(scope="module")
def base(source):
    return NeuralMF(8, n_hidden=16, n_epochs=30, learning_rate=0.01, batch_size=64, random_state=0).fit(source)


@pytest.fixture(scope="module")
def adapter(base, parts):
    return LowRankTowers(rank=3, **GIVEN).fit(parts[0], base=base)


def test_unchanged_it_is_the_base(base, target):
    known = target.filter(base.items_.find(target.items.ids)[target.matrix.indices] >= 0)
    fresh = FoldIn().fit(known, base=base, catalogue=base.items_.ids)
    assert_same(fresh.recommend_from(known), base.recommend_from(known))
    changed = LowRankTowers(rank=2, **GIVEN).fit(known, base=base, catalogue=base.items_.ids)
    assert (changed.recommend_from(known).indices != base.recommend_from(known).indices).any()
    changed.scale = 0
    assert_same(changed.recommend_from(known), base.recommend_from(known))


@pytest.mark.parametrize("method", ["low-rank", "anchored"])
def test_the_loss_falls_and_the_base_is_not_touched(base, parts, method):
    from lrrec.adapt.kinds.tower_training import _Training

    before = fingerprint(base)
    still = lrrec.NeuralMF(**base.get_params() | {"dropout": 0.0, "hidden_dropout": 0.0})
    vars(still).update({name: value for name, value in vars(base).items() if name.endswith("_")})
    domain = make_domain(still, parts[0])
    options = settings(method, reg=0.1, learning_rate=0.003, balance=0)
    training = _Training(domain, np.arange(60), method, options)

    def loss():
        found = training.objective.of_users(training.towers, training.matrix).sum()
        return (found + options["reg"] * training.unit * training._penalty()).item()

    values = [loss()]
    for _ in range(4):
        for _ in range(10):
            training.run_epoch()
        values.append(loss())
    assert (np.diff(values) < 0).all()
    assert fingerprint(base) == before


@pytest.mark.parametrize("method", ["low-rank", "anchored", "scratch"])
@pytest.mark.parametrize("towers", [True, False])
def test_the_change_is_what_was_trained(base, parts, method, towers):
    """Towers in torch and the change applied in numpy score alike."""
    from lrrec.adapt.kinds.tower_training import _Training

    domain = make_domain(base, parts[0])
    options = settings(method, learning_rate=0.02, adapt_encoder=towers)
    training = _Training(domain, np.arange(60), method, options)
    for _ in range(3):
        training.run_epoch()
    change = training.change()
    arrays = training._merged_arrays() if method != "scratch" else training.towers.arrays()
    found = change.apply_to_encoder(domain.encoder) | {"item_factors_": change.apply(domain.item_factors)}
    for name, array in arrays.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    assert (not towers and method == "low-rank") == (not change.encoder)


def test_adapting_helps_and_has_few_parameters(base, adapter, parts):
    zero_shot = FoldIn().fit(parts[0], base=base)
    assert quality(adapter, parts) > 1.1 * quality(zero_shot, parts)
    whole = FullRankTowers(**GIVEN).fit(parts[0], base=base)
    assert adapter.n_parameters < 0.6 * whole.n_parameters


def test_merging_changes_nothing(adapter, parts):
    merged = adapter.merge()
    assert type(merged) is NeuralMF
    mine, theirs = adapter.recommend_from(parts[1], 12), merged.recommend_from(parts[1], 12)
    np.testing.assert_array_equal(mine.indices, theirs.indices)
    np.testing.assert_allclose(mine.scores, theirs.scores, rtol=1e-5)
    np.testing.assert_array_equal(merged.recommend(k=5).indices, adapter.recommend(k=5).indices)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_files(base, parts, kind, tmp_path):
    adapter = clone(kind).fit(parts[0], base=base)
    adapter.save(tmp_path / "a", histories=True)
    loaded = lrrec.load(tmp_path / "a", base=base)
    assert_same(loaded.recommend(k=7), adapter.recommend(k=7))
    assert_same(loaded.recommend_from(parts[1]), adapter.recommend_from(parts[1]))
    adapter.save(tmp_path / "half", float16=True)
    assert (tmp_path / "half").stat().st_size < (tmp_path / "a").stat().st_size
    other = NeuralMF(**base.get_params()).fit(Interactions(base.seen_, base.users_, base.items_))
    other.hidden_ = other.hidden_ + np.float32(1e-3)
    with pytest.raises(FileFormatError, match="fitted to another base"):
        lrrec.load(tmp_path / "a", base=other)


def test_a_file_that_does_not_fit_is_refused(base, adapter, tmp_path):
    from lrrec import files

    adapter.save(tmp_path / "a")
    kind, params, arrays = files.read(tmp_path / "a")
    for name, spoiled in (
        ("encoder.hidden_.A", arrays["encoder.hidden_.A"][:-1]),
        ("encoder.embedding_.B", np.full_like(arrays["encoder.embedding_.B"], np.nan)),
    ):
        files.write(tmp_path / "b", kind, params, arrays | {name: spoiled})
        with pytest.raises(FileFormatError, match="consistent adapter"):
            lrrec.load(tmp_path / "b", base=base)
    files.write(tmp_path / "b", kind, params, arrays | {"encoder.nonsense.A": arrays["A"]})
    with pytest.raises(FileFormatError, match="consistent adapter"):
        lrrec.load(tmp_path / "b", base=base)


def test_a_bank_serves_them(base, adapter, parts, target):
    other = LowRankTowers(rank=2, **GIVEN).fit(target.filter(target.rows() >= 60), base=base)
    bank = AdapterBank(base, {"a": adapter, "b": other})
    users = [int(adapter.users_.ids[0]), int(other.recommend(k=1).users[0]), int(adapter.users_.ids[5])]
    lists = bank.recommend(users, ["a", "b", "a"], k=9)
    for row, (user, name) in enumerate(zip(users, "aba", strict=True)):
        alone = bank[name].recommend([user], 9)
        np.testing.assert_allclose(lists.scores[row], alone.scores[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(lists.items[row], alone.items[0])


@pytest.mark.slow
def test_training_repeats_and_update_is_a_fit_on_everything(adapter, base, parts):
    again = LowRankTowers(rank=3, **GIVEN).fit(parts[0], base=base)
    assert_same(again.recommend(), adapter.recommend())
    some = parts[0].filter(parts[0].rows() < 40)
    updated = LowRankTowers(rank=3, **GIVEN).fit(some, base=base, catalogue=parts[0].items.ids)
    updated.update(parts[0].filter(parts[0].rows() >= 40))
    whole = LowRankTowers(rank=3, **GIVEN).fit(parts[0], base=base, catalogue=parts[0].items.ids)
    users = parts[0].users.ids[:60]
    np.testing.assert_array_equal(updated.recommend(users).items, whole.recommend(users).items)


def test_columns_fall_by_weight_and_can_be_cut(adapter, base, parts):
    small = adapter.truncate(1)
    assert small.change_.A.shape[1] == 1
    assert all(part.A.shape[1] <= 1 for part in small.change_.encoder.values())
    both = small + small
    V0 = adapter.domain_.item_factors
    np.testing.assert_allclose(both.item_factors_, 2 * small.item_factors_ - V0, rtol=1e-4, atol=1e-5)
    E0 = adapter.domain_.encoder["embedding_"]
    found = both.change_.apply_to_encoder(adapter.domain_.encoder)["embedding_"]
    once = small.change_.apply_to_encoder(adapter.domain_.encoder)["embedding_"]
    np.testing.assert_allclose(found, 2 * once - E0, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_shrinkage_takes_a_share_of_the_change_back(base, parts, kind):
    whole, less = (clone(kind).set_params(shrinkage=by).fit(parts[0], base=base) for by in (0.0, 0.25))
    whole.scale = 0.75
    np.testing.assert_allclose(less.item_factors_, whole.item_factors_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(less.user_factors_, whole.user_factors_, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_change_is_shrunk_as_far_as_validation_users_allow(base, parts, monkeypatch):
    monkeypatch.setattr("lrrec.adapt.kinds.two_tower.EPOCHS", (5, 10, 20))
    free = {**GIVEN, "n_epochs": "auto"}
    split, history = Split(*parts), parts[1]

    def select(**options):
        candidates = [LowRankTowers(3, **free | options)]
        selector = AdapterSelector(candidates, guard=False, random_state=0)
        return selector.fit(parts[0], base=base, validation=split).best_

    plain, shrunk = (select(shrinkage=by) for by in (0.0, "auto"))
    assert shrunk.n_epochs == plain.n_epochs
    assert shrunk.shrinkage in SHRINKAGES
    again = LowRankTowers(3, **GIVEN | {"shrinkage": shrunk.shrinkage, "n_epochs": shrunk.n_epochs})
    assert_same(again.fit(parts[0], base=base).recommend_from(history), shrunk.recommend_from(history))
    assert select(shrinkage="auto", n_epochs=20, learning_rate=1e-9).shrinkage == SHRINKAGES[-1]


@pytest.mark.slow
def test_the_source_is_forgotten_less_where_it_is_kept(base, source, parts):
    split = lrrec.splits.by_user(source, 60, history=0.6, random_state=0)

    def forgetting(**options):
        adapter = LowRankTowers(rank=3, **GIVEN | {"reg": 0.01, "n_epochs": 60}).fit(parts[0], base=base, **options)
        here = lrrec.Split(*(part.align_items(adapter.items_) for part in (split.train, split.history, split.test)))
        return quality(adapter, (here.train, here.history, here.test))

    assert forgetting(source=source) > forgetting()


@pytest.mark.slow
def test_the_guard_compares_and_keeps(base, parts):
    low_rank = {**GIVEN, "reg": "auto", "n_epochs": 10}
    candidates = [ScratchTowers(**SCRATCH), FullRankTowers(**GIVEN), LowRankTowers(3, **low_rank)]
    guarded = AdapterSelector(candidates, blend=False, random_state=0).fit(parts[0], base=base)
    assert guarded.report_["method"].str.split().str[0].tolist() == [
        "fold-in", "popularity", "scratch", "anchored", "low-rank",
    ]  # fmt: skip
    assert guarded.best_.name in ("low-rank", "anchored")
    zero_shot = FoldIn().fit(parts[0], base=base)
    assert quality(guarded, parts) > quality(zero_shot, parts)


@pytest.mark.slow
def test_towers_have_defaults_to_compare_without_tuning(base, parts):
    candidates = [LowRankTowers(2, **GIVEN | {"n_epochs": "auto", "reg": "auto"})]
    adapter = AdapterSelector(candidates, budget="fast", random_state=0).fit(parts[0], base=base)
    assert "low-rank 2" in adapter.report_["method"].tolist()


def test_what_cannot_be_done_is_refused(base, source, target):
    with pytest.raises(ParameterError, match="same_users must be False"):
        LowRankAdapter().fit(target, base=base, same_users=True)
    with pytest.raises(ParameterError, match="must not be compressed"):
        LowRankAdapter().fit(target, base=base.compress(4))
    with pytest.raises(ParameterError, match="source must only be given for a neural base"):
        LowRankAdapter().fit(target, base=IALS(4, random_state=0).fit(source), source=source)
    with pytest.raises(DataError, match="the loss became"):
        LowRankTowers(**GIVEN | {"learning_rate": 1e30}).fit(target, base=base)
    with pytest.raises(ParameterError, match="n_epochs must be an integer >= 1, got 0"):
        LowRankTowers(n_epochs=0).fit(target, base=base)
    with pytest.raises(ParameterError, match=r"shrinkage must be .*, got 1\.5"):
        LowRankTowers(shrinkage=1.5).fit(target, base=base)
    with pytest.raises(TypeError, match="validation must be a Split, got"):
        LowRankAdapter().fit(target, base=base, validation=target)
    for model in (NeuralMF(4), IALS(4)):
        with pytest.raises(DataError, match="validation must be a Split of the same items as X, got 3"):
            model.fit(source, validation=3)
    with pytest.raises(ParameterError, match=r"precision must be .*, got 'float8'"):
        NeuralMF(precision="float8").fit(source)


@pytest.mark.parametrize(("loss", "method", "precision"), [
    pytest.param(loss, *how, marks=() if loss == "softmax" or how == ("low-rank", "float32") else pytest.mark.slow)
    for loss in ("squared", "softmax", "bpr", "sampled-softmax", "ratings")
    for how in (("low-rank", "float32"), ("scratch", "float32"), ("low-rank", "bfloat16"))
])  # fmt: skip
def test_every_loss_and_no_hidden_layer(loss, method, precision, source, target, tmp_path):
    options = {"n_hidden": 0, "n_negatives": 50, "n_epochs": 2, "precision": precision, "random_state": 0}
    model = NeuralMF(4, loss=loss, **options).fit(source)
    kind = ScratchTowers(**SCRATCH) if method == "scratch" else LowRankTowers(2, **GIVEN)
    adapter = kind.set_params(n_epochs=3).fit(target, base=model)
    adapter.save(tmp_path / "a", histories=True)
    loaded = lrrec.load(tmp_path / "a", base=model)
    for other in (loaded, adapter.merge()):
        np.testing.assert_array_equal(other.recommend(k=5).items, adapter.recommend(k=5).items)
