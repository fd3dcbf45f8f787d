"""AdapterBank: a mixed batch is answered as each adapter alone would."""

import pickle

import numpy as np
import polars as pl
import pytest
from checks import assert_same, population
from sklearn.base import clone
from test_adapt import GIVEN

import lrrec
from lrrec import IALS, AdapterBank, DomainFitter, Interactions
from lrrec.adapt import AdapterSelector, Anchored, Blended, FoldIn, ItemItem, LowRank, Popular
from lrrec.adapt.mixed_batch import of_users
from lrrec.adapt.selection.shared_settings import agreed
from lrrec.errors import DataError, ParameterError, ParameterTypeError, UnknownIdError


@pytest.fixture(scope="module")
def base(made_up, likes):
    return IALS(n_factors=12, unobserved_weight=0.1, reg=0.02, random_state=0).fit(population(made_up, likes, "source"))


@pytest.fixture(scope="module")
def target(made_up, likes):
    return population(made_up, likes, "target")


@pytest.fixture(scope="module")
def bank(base, target):
    """Domains of thirty users: low-rank with new items, of the base's items alone, full rank, narrow, unchanged; then
    item-item with new items and of the base's items, and blends whose members do, and do not, score through the base.
    """
    known = target.filter(base.items_.find(target.items.ids)[target.matrix.indices] >= 0)
    rows, few = target.rows(), known.rows()
    make = {
        "de": LowRank(rank=4, **GIVEN).fit(target.filter(rows < 30), base=base),
        "fr": LowRank(rank=2, **GIVEN).fit(
            known.filter((few >= 30) & (few < 60)), base=base, catalogue=base.items_.ids
        ),
        "it": Anchored(**GIVEN).fit(target.filter((rows >= 60) & (rows < 90)), base=base),
        "es": LowRank(rank=3, **GIVEN).fit(target.filter(rows >= 90), base=base, catalogue=target.items.ids),
        "uk": FoldIn(fold_in_reg=0.02).fit(target.filter(rows < 5), base=base),
    }
    low_rank, item_item = LowRank(rank=2, **GIVEN), ItemItem(statistics="scores", weight=2.0, reg=5.0, scaling=0.5)
    blends = Blended([low_rank, item_item], [1, 2]), Blended([item_item, Anchored(**GIVEN)], [1, 1])
    part, narrow = target.filter((rows >= 30) & (rows < 60)), known.filter(few < 30)
    make |= {
        "nl": clone(item_item).fit(part, base=base),
        "be": clone(item_item).fit(narrow, base=base, catalogue=base.items_.ids),
        "lu": blends[0].fit(part, base=base),
        "ch": clone(blends[0]).fit(narrow, base=base, catalogue=base.items_.ids),
        "at": blends[1].fit(part, base=base),
    }
    return AdapterBank(base, make)


def test_a_mixed_batch_is_each_adapters_own(bank):
    rng = np.random.default_rng(0)
    pairs = [(user, name) for name, adapter in bank.items() for user in adapter.recommend(k=1).users]
    rng.shuffle(pairs)
    users, domains = [int(user) for user, _ in pairs], [str(name) for _, name in pairs]
    lists = bank.recommend(users, domains, k=15)
    for row, (user, name) in enumerate(zip(users, domains, strict=True)):
        want = bank[name].recommend([user], 15)
        np.testing.assert_allclose(lists.scores[row], want.scores[0], rtol=1e-3, atol=1e-5)
        assert (lists.items[row] == want.items[0]).mean() > 0.9  # scores that are equal but for rounding may swap
    for name, n_vectors in {"de": 1, "it": 0, "nl": 1, "be": 1, "lu": 2, "ch": 2, "at": 0}.items():
        assert len((bank[name]._training_vectors(np.arange(3)) or ([],))[0]) == n_vectors
    one = bank.recommend(users[:3], domains[:3], k=15)
    np.testing.assert_allclose(one.scores, lists.scores[:3], rtol=1e-4)


def test_histories(bank, target):
    rest = target.filter(target.rows() < 8)
    asked = Interactions(rest.matrix[:8], lrrec.IdMap(rest.users.ids[:8]), rest.items)
    names = ["de", "it", "nl", "lu"] * 2
    lists = bank.recommend_from(asked, names, k=10)
    for row, name in enumerate(names):
        want = bank[name].recommend_from(asked, 10, users=[asked.users.ids[row]])
        np.testing.assert_allclose(lists.scores[row], want.scores[0], rtol=1e-3)


def test_adding_replacing_removing(bank, base):
    copy = AdapterBank(base, dict(bank))
    assert len(copy) == len(bank)
    copy["de"] = copy["fr"]
    del copy["it"]
    assert set(copy) == set(bank) - {"it"}
    assert copy["de"] is bank["fr"]
    assert copy.n_parameters == sum(adapter.n_parameters for adapter in copy.values())
    with pytest.raises(UnknownIdError, match="domain must be one of"):
        del copy["it"]


def test_what_is_refused(bank, target):
    user = bank["de"].recommend(k=1).users[0]
    with pytest.raises(UnknownIdError, match="domain must be one of the bank's, got 'se'"):
        bank.recommend([user], "se")
    with pytest.raises(UnknownIdError, match="not known in their domain"):
        bank.recommend([user], "es")
    with pytest.raises(ParameterError, match="one for each of 1 users, got 2"):
        bank.recommend([user], ["de", "de"])
    other = IALS(n_factors=12, random_state=5).fit(target)
    with pytest.raises(DataError, match="was fitted to another base"):
        bank["se"] = LowRank(rank=1, **GIVEN).fit(target, base=other)


def test_many_are_fitted_at_a_time(base, target):
    by = {user: ("odd", "even")[user % 2] for user in target.users.ids.tolist()}
    options = LowRank(rank=2, **GIVEN)
    bank = AdapterBank(base).fit_many(target, by, adapter=options, n_jobs=2)
    assert set(bank) == {"odd", "even"}
    alone = LowRank(rank=2, **GIVEN).fit(target.filter(target.users.ids[target.rows()] % 2 == 1), base=base)
    np.testing.assert_array_equal(alone.change_.A, bank["even"].change_.A)
    with pytest.raises(DataError, match="a domain for each"):
        bank.fit_many(target, ["a"])
    with pytest.raises(DataError, match="by must have a row for each user"):
        bank.fit_many(target, {})


def test_settings_of_some_domains_serve_the_others(base, target):
    by = np.arange(target.n_users) % 5
    selector = AdapterSelector([Anchored(), ItemItem(statistics="scores")], blend=False, random_state=0)
    bank = AdapterBank(base).fit_many(target, by, adapter=selector, tune_on=2)
    alone = [clone(selector).fit(of_users(target, np.flatnonzero(by == domain)), base=base) for domain in (0, 4)]
    for domain, one in zip((0, 4), alone, strict=True):  # the first and the last
        assert_same(bank[domain].recommend(k=5), one.recommend(k=5))
    candidates = agreed([one.tuned_ for one in alone])
    assert [type(candidate) for candidate in candidates] == [FoldIn, Popular, Anchored, ItemItem]
    assert not any("auto" in str(candidate.get_params()) for candidate in candidates)
    untuned = AdapterSelector(candidates, blend=False, random_state=0)
    for domain in (1, 2, 3):
        want = clone(untuned).fit(of_users(target, np.flatnonzero(by == domain)), base=base)
        assert_same(bank[domain].recommend(k=5), want.recommend(k=5))
    with pytest.raises(ParameterTypeError, match="tune_on is for adapters that are compared, got Anchored"):
        bank.fit_many(target, by, adapter=Anchored(**GIVEN), tune_on=2)
    with pytest.raises(ParameterError, match="tune_on"):
        bank.fit_many(target, by, tune_on=0)


def test_domains_agree_on_medians_and_on_what_is_chosen_most_often():
    tuned = [[ItemItem(weight=weight, reg=1.0, source_weights=each), LowRank(2), LowRank(rank)]
             for weight, each, rank in ((1.0, [1.0, 0.3], 4), (30.0, [1.0, 1.0], 8), (3.0, [1.0, 1.0], 8))]  # fmt: skip
    item_item, first, second = agreed(tuned)
    assert (item_item.weight, item_item.reg, item_item.source_weights) == (3.0, 1.0, [1.0, 1.0])
    assert (first.rank, second.rank) == (2, 8)


def test_a_fitter_of_frames_pickles_and_fits_as_the_bank_does(base, target):
    table = target.to_frame().assign(domain=lambda frame: np.where(frame["user"] % 2, "odd", "even"))
    fit = pickle.loads(pickle.dumps(DomainFitter(base, LowRank(rank=3, **GIVEN))))
    found = fit(pl.from_pandas(table))
    assert found["domain"].tolist() == ["even", "odd"]
    assert (found["method"] == "low-rank").all()
    bank = AdapterBank(fit.base, dict(fit.adapters(found)))
    rest = AdapterBank(base).fit_many(target, np.where(target.users.ids % 2, "odd", "even"), adapter=fit.adapter)
    for name, users in table.groupby("domain"):
        histories = Interactions.from_frame(users)
        domains = [name] * histories.n_users
        mine, other = (one.recommend_from(histories, domains, k=10) for one in (bank, rest))
        np.testing.assert_allclose(mine.scores, other.scores, rtol=5e-3)
        assert (mine.items == other.items).mean() > 0.98


def test_a_bank_serves_what_a_selector_was_updated_to(source, target):
    base, few, more = IALS(8, n_iter=2, random_state=0).fit(source), target.rows() < 40, target.rows() < 60
    selector = lrrec.AdapterSelector(
        [LowRank(2, reg=1.0, fold_in_reg=0.02, new_item_reg=1.0)], blend=False, guard=False
    )
    selector.fit(target.filter(few), base=base)
    bank = AdapterBank(base, {"de": selector})
    selector.update(target.filter(more & ~few))
    users = selector.users_.ids[np.diff(selector.seen_.indptr) > 0]
    assert len(users) > 40
    np.testing.assert_array_equal(bank.recommend(users, "de", k=5).items, selector.recommend(users, 5).items)
