"""The guard: adapters are chosen on validation users who are served as the domain's users will be."""

import numpy as np
import pytest
import scipy.sparse as sp
from checks import assert_same
from sklearn.base import clone

import lrrec
from lrrec import IALS, AdapterBank, AdapterSelector, IdMap, Interactions, LowRankAdapter
from lrrec.adapt import Anchored, ByHistory, FoldIn, LowRank, Popular, Scratch
from lrrec.adapt.domain import make_domain
from lrrec.adapt.trials import make_trials
from lrrec.errors import DataError, ParameterError, ParameterTypeError, UnknownIdError

GIVEN = {"reg": 1.0, "fold_in_reg": 0.02, "new_item_reg": 1.0}
BASE = IALS(n_factors=6, unobserved_weight=0.2, reg=0.02, n_iter=4, random_state=0)


def purchases(tastes, n_items, rng, *, n=12, noise=0.1, first=0):
    """Users choose n items of the group of their taste (items: equal groups, in order), a share of them at random.

    Within a group, and at random, items are the less likely the larger their number: some are popular.
    """
    n_tastes = int(tastes.max()) + 1
    groups = np.arange(n_items) * n_tastes // n_items
    popularity = 1 / (1 + np.arange(n_items) % (n_items // n_tastes))
    rows = []
    for taste in tastes:
        chance = (1 - noise) * (groups == taste) * popularity + noise * popularity / n_tastes
        rows.append(np.sort(rng.choice(n_items, n, replace=False, p=chance / chance.sum())))
    matrix = sp.csr_array((np.ones(n * len(tastes), np.float32), (np.repeat(np.arange(len(tastes)), n), np.ravel(rows))))
    matrix = sp.csr_array(matrix, shape=(len(tastes), n_items))
    return Interactions(matrix, IdMap.range(len(tastes)), IdMap(first + np.arange(n_items)))


def keep(data, users):
    return data.filter(np.isin(data.rows(), users))


@pytest.fixture(scope="module", params=[True, False], ids=["tastes carry over", "tastes are unrelated"])
def two_domains(request):
    """The same 160 users in two domains of other items; the last 60 have no history in the second."""
    rng = np.random.default_rng(0)
    tastes = rng.integers(0, 4, 160)
    base = clone(BASE).fit(purchases(tastes, 60, rng))
    there = purchases(tastes if request.param else rng.permutation(tastes), 80, rng, first=1000)
    options = {"base": base, "catalogue": there.items.ids, "same_users": True}
    return request.param, options, keep(there, np.arange(100)), keep(there, np.arange(100, 160))


@pytest.fixture(scope="module")
def chosen(two_domains):
    """The selector's choice, and the fits that it cost: kind, settings and users."""
    _, options, train, _ = two_domains
    fits, fit = [], Anchored._find_change

    def spy(self, users, callback):
        fits.append((type(self).__name__, str(self.get_params()), users.tobytes()))
        fit(self, users, callback)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Anchored, "_find_change", spy)
        patch.setattr(LowRank, "_find_change", spy)
        adapter = LowRankAdapter(random_state=0).fit(train, **options)
    return adapter, fits


def ndcg(model, hidden):
    users = np.flatnonzero(np.diff(hidden.matrix.indptr))
    lists = model.recommend(hidden.users.ids[users], 10, items=hidden.items.ids, unknown="popular")
    places = hidden.items.find(lists.items.filled(-1).ravel()).reshape(lists.items.shape)
    return lrrec.metrics.measure(places, hidden.matrix, users, ["ndcg@10"])[0][:, 0].mean()


def test_users_without_a_history_are_served_by_what_was_best_for_such_users(two_domains, chosen):
    carries_over, _, train, hidden = two_domains
    chosen, _ = chosen
    report = chosen.report_.set_index("group")
    assert "scratch" in report.loc["with history", "method"].tolist()
    assert "scratch" not in report.loc["without history", "method"].tolist()
    assert chosen.report_.groupby("group")["kept"].sum().tolist() == [1, 1]
    popular = lrrec.Popularity().fit(train)
    if carries_over:
        assert ndcg(chosen, hidden) > 1.5 * ndcg(popular, hidden)
    else:
        assert report[report["kept"]].loc["without history", "method"] == "popularity"
        users = hidden.users.ids[100:]
        np.testing.assert_array_equal(
            chosen.recommend(users, 10).items, popular.recommend(users, 10, unknown="popular").items
        )
    assert "users without history: " in chosen.verdict_


def test_a_model_of_the_target_alone_does_not_serve_users_without_a_history(two_domains):
    """Not from factors of another model, whose scores would be noise: they are unknown, or get popular items."""
    _, options, train, hidden = two_domains
    alone = Scratch(reg=0.02).fit(train, **options)
    with pytest.raises(UnknownIdError):
        alone.recommend([130])
    kept = AdapterSelector([Scratch(reg=0.02)], guard=False, random_state=0).fit(train, **options)
    assert "guard is False: the last candidate cannot serve these users" in kept.verdict_
    popular = lrrec.Popularity().fit(train)
    np.testing.assert_array_equal(kept.recommend([130]).items, popular.recommend([130], unknown="popular").items)
    assert_same(kept.recommend(np.arange(9)), alone.recommend(np.arange(9)))


def test_nothing_is_fitted_twice_and_nothing_that_a_simpler_kind_does(chosen):
    """One fit serves the validation users of all groups; in a domain of new items, low rank is full rank."""
    adapter, fits = chosen
    *compared, _ = fits if adapter.best_.name == "anchored" else [*fits, None]
    assert adapter.report_["method"].tolist().count("anchored") == 2
    assert len(set(compared)) == len(compared) >= 5
    assert {kind for kind, *_ in fits} == {"Anchored"}
    assert "low-rank 8" not in adapter.report_["method"].tolist()


def test_the_choice_by_groups_is_one_adapter(two_domains, tmp_path):
    """Recommended, stored, banked, updated as any other; a merge, which no model of one class could be, is refused."""
    _, options, train, _ = two_domains
    base = options["base"]
    adapter = ByHistory([Popular(), Anchored(**GIVEN)]).fit(train, **options)
    alone = Anchored(**GIVEN).fit(train, **options)
    warm, cold = np.arange(0, 100, 7), np.arange(100, 160, 7)
    assert_same(adapter.recommend(warm), alone.recommend(warm))
    mixed = adapter.recommend(np.concatenate((cold, warm)), 5)
    np.testing.assert_array_equal(mixed.indices[: len(cold)], adapter.members_[0].recommend(cold, 5).indices)
    np.testing.assert_allclose(adapter.predict([130, 3], [1000, 1001]),
                               [(train.matrix[:, [0]]).sum(), alone.predict([3], [1001])[0]], rtol=1e-5)  # fmt: skip
    adapter.save(tmp_path / "a", histories=True)
    again = lrrec.load(tmp_path / "a", base=base)
    assert_same(again.recommend(np.concatenate((warm, cold))), adapter.recommend(np.concatenate((warm, cold))))
    assert [member.name for member in again.members_] == ["popularity", "anchored"]
    bank = AdapterBank(base, {"there": adapter, "alone": alone})
    lists = bank.recommend([130, 3, 3], ["there", "there", "alone"], k=5)
    np.testing.assert_array_equal(lists.items[:2], adapter.recommend([130, 3], 5).items)
    np.testing.assert_array_equal(lists.items[1], lists.items[2])
    assert_same(clone(adapter).fit(train, **options).update(train).recommend(cold),
                ByHistory([Popular(), Anchored(**GIVEN)]).fit(
                    Interactions.concat([train, train]), **options).recommend(cold))  # fmt: skip
    with pytest.raises(ParameterError, match="by history cannot be merged: it is popularity and anchored"):
        adapter.merge()


@pytest.fixture(scope="module")
def market():
    """A market of the base's items where tastes group the items in another way."""
    rng = np.random.default_rng(1)
    base = clone(BASE).fit(purchases(rng.integers(0, 4, 120), 60, rng))
    shuffled = IdMap(rng.permutation(60))
    data = purchases(rng.integers(0, 4, 75), 60, rng)
    return base, Interactions(data.matrix, data.users, shuffled).align_items(base.items_)


def quality(model, data, share=0.8):
    first = lrrec.splits.history_mask(data, share, np.random.default_rng(0).random(len(data)))
    split = lrrec.Split(data, data.filter(first), data.filter(~first))
    return lrrec.evaluate(model, split, metrics=["ndcg@10"]).mean()["ndcg@10"]


def test_a_model_of_the_target_alone_is_kept_where_it_is_better(market):
    base, data = market
    train, others = keep(data, np.arange(25)), keep(data, np.arange(25, 75))
    adapter = AdapterSelector([Scratch()], metric="ndcg@10", random_state=0).fit(train, base=base)
    assert adapter.best_.name == "scratch"
    assert quality(adapter, others) > 1.1 * quality(FoldIn(fold_in_reg=None).fit(train, base=base), others)


def test_popularity_is_kept_where_nothing_beats_it():
    """Users without tastes, who choose by popularity alone."""
    rng = np.random.default_rng(2)
    base = clone(BASE).fit(purchases(rng.integers(0, 4, 120), 60, rng))
    nothing = purchases(np.zeros(60, dtype=int), 60, rng, n=8, noise=1.0)
    data = Interactions(nothing.matrix, nothing.users, IdMap(rng.permutation(60))).align_items(base.items_)
    train, others = keep(data, np.arange(30)), keep(data, np.arange(30, 60))
    adapter = LowRankAdapter(random_state=0).fit(train, base=base)
    assert adapter.report_["method"].tolist()[:2] == ["fold-in", "popularity"]
    assert quality(adapter, others) > 0.9 * quality(Popular().fit(train, base=base), others)


def test_validation_users_have_the_histories_that_will_be_met(two_domains):
    _, options, train, _ = two_domains
    base = options["base"]
    domain, rng = make_domain(base, train, options["catalogue"], same_users=True), np.random.default_rng(0)
    for history, length in (("as served", 10), (0.5, 6), (3, 3), (11, 11)):
        trials = make_trials(domain, history, (1,), None, rng)
        assert sum((trial.groups == 1).sum() for trial in trials) == 100
        for trial in trials:
            lengths, tests = np.diff(trial.history.indptr), np.diff(trial.test.indptr)
            np.testing.assert_array_equal(lengths[trial.groups == 1], length)
            np.testing.assert_array_equal(tests[trial.groups == 1], 12 - length)
            np.testing.assert_array_equal(lengths[trial.groups == 0], 0)
            np.testing.assert_array_equal(tests[trial.groups == 0], 12)
            known = base.user_factors_[np.setdiff1d(np.arange(100), trial.fit)]
            np.testing.assert_allclose(np.sort(trial.priors[trial.groups == 0], axis=0), np.sort(known, axis=0))
    with pytest.raises(DataError, match="at least two users with 13 interactions"):
        make_trials(domain, 12, (1,), None, rng)
    trials = make_trials(domain, 0.5, (1, 4, 6, 7), None, rng)
    assert np.unique(np.concatenate([trial.groups for trial in trials])).tolist() == [0, 3]


def test_given_validation_users_are_served_without_their_history_too(two_domains):
    _, options, train, hidden = two_domains
    first = lrrec.splits.history_mask(hidden, 0.5, np.random.default_rng(0).random(len(hidden)))
    validation = lrrec.Split(train, hidden.filter(first), hidden.filter(~first))
    some = AdapterSelector([Anchored(**GIVEN)], random_state=0)
    both = some.fit(train, **options, validation=validation)
    assert both.report_["group"].unique().tolist() == ["without history", "with history"]
    nothing = lrrec.Split(train, hidden.filter(np.zeros(len(hidden), dtype=bool)), hidden)
    cold = clone(some).fit(train, **options, validation=nothing)
    assert cold.report_["group"].unique().tolist() == ["without history"]
    renamed = [Interactions(part.matrix, IdMap(part.users.ids + 5000), part.items) for part in
               (validation.train, validation.history, validation.test)]  # fmt: skip
    strangers = lrrec.Split(renamed[0], *(Interactions(part.matrix, renamed[0].users, part.items)
                                          for part in renamed[1:]))  # fmt: skip
    unsure = clone(some).fit(train, **options, validation=strangers)
    assert "users without history get popular items, as the base knows no validation user" in unsure.verdict_
    popular = Popular().fit(train, **options)
    assert_same(unsure.recommend([130]), popular.recommend([130]))


def test_groups_by_length_of_history(market):
    """Another adapter for long histories, where that was asked for."""
    base, data = market
    long = np.repeat(np.arange(75) % 2 == 0, 12)
    data = data.filter(long | (np.arange(len(data)) % 12 < 5))
    adapter = LowRankAdapter(history_groups=(1, 8), random_state=0).fit(keep(data, np.arange(60)), base=base)
    assert adapter.report_["group"].unique().tolist() == ["history of 1 to 7", "history of 8 or more"]
    assert adapter.report_.groupby("group")["kept"].sum().tolist() == [1, 1]
    two = ByHistory([Popular(), Popular(), Scratch(reg=0.02)], (1, 8)).fit(keep(data, np.arange(60)), base=base)
    np.testing.assert_array_equal(two.recommend([1]).indices, two.members_[1].recommend([1]).indices)
    np.testing.assert_array_equal(two.recommend([0]).indices, two.members_[2].recommend([0]).indices)


@pytest.mark.parametrize(("adapter", "message"), [
    (LowRankAdapter(history="long"), "history must be 'as served', a share or a number"),
    (LowRankAdapter(history=0), "history must be an integer >= 1"), (LowRankAdapter(history=1.5), "history must be"),
    (LowRankAdapter(history=True), "history must be"), (LowRankAdapter(history_groups=(2,)), "must rise from 1"),
    (LowRankAdapter(history_groups=(1, 5, 5)), "must rise from 1"), (LowRankAdapter(history_groups=()), "must rise"),
    (LowRankAdapter(history_groups=3), "history_groups must be a sequence of lengths"),
    (ByHistory([Popular()]), "members must be 2 adapters"), (ByHistory([IALS(), 3]), "members must be a sequence of"),
    (ByHistory([Popular(), LowRank()]), "cannot be 'auto' here"),
])  # fmt: skip
def test_bad_parameters(adapter, message, market):
    base, data = market
    with pytest.raises((ParameterError, ParameterTypeError), match=message):
        adapter.fit(data, base=base)
