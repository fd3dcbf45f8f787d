"""The guard, group by group: what each group of users is served by is what was judged on such users."""

import numpy as np
import pytest

import lrrec
from lrrec import IALS, AdapterSelector, IdMap, Interactions
from lrrec.adapt import Anchored, ByHistory, FoldIn, LowRank, Popular, Scratch
from lrrec.adapt.selection.folds import WITH, WITHOUT
from lrrec.errors import FileFormatError, NotFittedError

GIVEN = {"reg": 1.0, "fold_in_reg": 0.02, "new_item_reg": 1.0}


def purchases(groups, items, rng, n=6):
    """Each user's n items of their own half of the items."""
    half = len(items) // 2
    rows = [rng.choice(items[half * group : half * (group + 1)], n, replace=False) for group in groups]
    return Interactions.from_pairs(np.repeat(np.arange(len(groups)), n), np.ravel(rows))


@pytest.fixture(scope="module")
def shared():
    """Two domains of other items and the same users; the first 60 have a history in the second."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 2, 120)
    base = IALS(4, unobserved_weight=0.1, reg=0.01, n_iter=4, random_state=0).fit(purchases(groups, np.arange(40), rng))
    there = purchases(groups, np.arange(1000, 1040), rng)
    active = there.users.ids[there.rows()] < 60
    options = {"base": base, "same_users": True, "catalogue": there.items.ids}
    return options, there.filter(active), there.filter(~active)


def halves(data):
    first = lrrec.splits.history_mask(data, 0.5, np.random.default_rng(0).random(len(data)))
    return data.filter(first), data.filter(~first)


def nothing(data):
    return data.filter(np.zeros(len(data), dtype=bool))


def same_lists(one, other, users):
    np.testing.assert_array_equal(one.recommend(users).items, other.recommend(users).items)


def test_validation_users_with_a_history_are_served_without_it_too(shared):
    """Else nothing was judged on users without a history, who are served all the same."""
    options, train, rest = shared
    selector = AdapterSelector([Scratch(reg=None), Anchored(**GIVEN)], random_state=0)
    selector.fit(train, validation=lrrec.Split(train, *halves(rest)), **options)
    assert set(selector.report_["group"]) == {WITH, WITHOUT}


def test_users_without_a_history_that_nothing_was_judged_on_get_popular_items(shared):
    options, train, rest = shared
    strangers = IdMap(rest.users.ids + 5000)
    parts = [Interactions(part.matrix, strangers, part.items) for part in (train, *halves(rest))]
    selector = AdapterSelector([Anchored(**GIVEN)], random_state=0)
    selector.fit(train, validation=lrrec.Split(*parts), **options)
    same_lists(selector, Popular().fit(train, **options), [100, 101])
    assert "users without history get popularity" in selector.verdict_


def test_users_with_a_history_are_not_served_by_what_was_chosen_for_those_without(shared):
    """Popularity is best for strangers to the target; it is not what their neighbours with a history get."""
    options, train, rest = shared
    cold = lrrec.Split(rest, nothing(rest), rest)
    selector = AdapterSelector([Scratch(reg=None)], random_state=0).fit(train, validation=cold, **options)
    assert selector.report_["group"].unique().tolist() == [WITHOUT, WITH]
    kept = selector.report_[selector.report_["kept"]].set_index("group")["method"]
    assert not kept[WITHOUT].startswith("scratch")
    assert kept[WITH] == "scratch"


def test_without_a_guard_the_last_candidate_is_kept_for_those_whom_it_can_serve(shared):
    options, train, rest = shared
    selector = AdapterSelector([Scratch(reg=0.01)], guard=False, random_state=0).fit(train, **options)
    same_lists(selector, Scratch(reg=0.01).fit(train, **options), np.arange(5))
    same_lists(selector, Popular().fit(train, **options), [100, 101])
    assert "users without history get popularity" in selector.verdict_
    cold = lrrec.Split(rest, nothing(rest), rest)
    selector = AdapterSelector([Scratch(reg=0.01)], guard=False).fit(train, validation=cold, **options)
    same_lists(selector, Scratch(reg=0.01).fit(train, **options), np.arange(5))


def test_without_a_guard_time_is_no_object(shared, monkeypatch):
    """What a selector would not spend time on by itself is what was asked for here."""
    options, train, _ = shared
    monkeypatch.setattr(Anchored, "is_affordable", lambda self, domain: False)
    asked = AdapterSelector([Anchored(**GIVEN)], guard=False, random_state=0).fit(train, **options)
    assert asked.best_.name == "anchored"
    assert AdapterSelector([Anchored(**GIVEN)], random_state=0).fit(train, **options).best_.name != "anchored"


def test_a_base_that_knows_no_item_of_the_catalogue_is_not_kept(shared):
    """Its scores are all 0, also where nothing else is right: popular items then."""
    options, *_ = shared
    hopeless = Interactions.from_pairs(np.repeat(np.arange(60), 2), 2000 + np.arange(120))
    selector = AdapterSelector([LowRank(2, **GIVEN)], random_state=0)
    selector.fit(hopeless, base=options["base"], same_users=True, catalogue=hopeless.items.ids)
    assert set(selector.report_[selector.report_["kept"]]["method"].str.split(",").str[0]) == {"popularity"}


def test_of_equals_popularity_is_kept(shared):
    options, *_ = shared
    alone = Interactions.from_pairs(np.repeat(np.arange(500, 520), 2), np.arange(40))
    selector = AdapterSelector([FoldIn(fold_in_reg=0.02)], metric="ndcg@1", random_state=0)
    selector.fit(alone, base=options["base"])
    report = selector.report_.set_index("method")["ndcg@1"]
    assert selector.best_.name == ("popularity" if report["popularity"] >= report["fold-in"] else "fold-in")


def test_histories_of_other_items_are_none(shared):
    """A validation user of whose history nothing is in the catalogue has no history to be served from."""
    options, *_ = shared
    base = options["base"]
    target = Interactions.from_pairs(np.repeat(np.arange(500, 530), 4), np.tile(np.arange(12), 10))
    other = Interactions.from_pairs([900, 900, 901, 901], [3, 5, 77, 5])
    history = other.filter(np.isin(other.items.ids[other.matrix.indices], [3, 77]))
    test = other.filter(other.items.ids[other.matrix.indices] == 5)
    split = lrrec.Split(other, history, test)
    selector = AdapterSelector([FoldIn(fold_in_reg=0.02)], random_state=0).fit(
        target, base=base, catalogue=target.items.ids, validation=split
    )  # fmt: skip
    assert selector.report_["users"].unique().tolist() == [1]


def test_one_fit_serves_the_validation_users_of_all_groups(shared, monkeypatch):
    """And where the base knows no item, no anchor strength is tried: there is nothing to anchor."""
    options, train, _ = shared
    fits, fit = [], Anchored._find_change

    def spy(self, users, callback):
        fits.append((type(self).__name__, str(self.get_params()), users.tobytes()))
        fit(self, users, callback)

    monkeypatch.setattr(Anchored, "_find_change", spy)
    candidates = [Anchored(new_item_reg=1.0), Anchored(new_item_reg=3.0)]
    selector = AdapterSelector(candidates, blend=False, random_state=0).fit(train, **options)
    assert set(selector.report_["group"]) == {WITH, WITHOUT}
    in_trials = [entry for entry in fits if len(entry[2]) < 60 * 8]
    assert len(set(in_trials)) == len(in_trials) > 0
    assert len({params for _, params, _ in in_trials}) <= 2 * 7  # of the users' regularization alone


def test_popularity_without_its_users(shared, tmp_path):
    """Stored without histories it merges into the same lists; counts that are none are refused."""
    options, train, _ = shared
    adapter = Popular().fit(train, **options)
    adapter.save(tmp_path / "a")
    merged = lrrec.load(tmp_path / "a", base=options["base"]).merge()
    few = Interactions.from_pairs([7, 7], [1000, 1001])
    np.testing.assert_array_equal(merged.recommend_from(few).items, adapter.recommend_from(few).items)
    kind, params, arrays = lrrec.files.read(tmp_path / "a")
    lrrec.files.write(tmp_path / "b", kind, params, arrays | {"counts": arrays["counts"] * np.float32(np.nan)})
    with pytest.raises(FileFormatError):
        lrrec.load(tmp_path / "b", base=options["base"])
    with pytest.raises(NotFittedError):
        ByHistory(Popular(), Popular()).n_parameters
