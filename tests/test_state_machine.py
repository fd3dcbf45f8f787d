"""Models, adapters, files and banks in any order of calls: what was fitted answers as it did, and nothing else changes.

Every model and adapter has its answers written down when it is fitted. After each step all of them are asked again.
"""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run
from sklearn.base import clone

import lrrec
from lrrec import ALS, EASE, IALS, AdapterBank, AdapterSelector, Interactions
from lrrec.adapt import Anchored, Blended, ByHistory, FoldIn, ItemItem, LowRank, Popular, Scratch
from lrrec.errors import DataError, FileFormatError, UnknownIdError
from lrrec.models.base.model_files import fingerprint

K = 20  # more than there are items: lists are of all unseen ones
FIXED = {"reg": 1.0, "fold_in_reg": None, "new_item_reg": 1.0}
OWN = {"weight": 1.0, "reg": 10.0, "scaling": 0.5}
BASES = [IALS(3, n_iter=2, reg=0.05, random_state=0), EASE(5.0), ALS(2, n_iter=2, reg=0.1, random_state=0)]
FACTORS = [FoldIn(fold_in_reg=0.05), Scratch(reg=None), Anchored(**FIXED), LowRank(2, **FIXED)]
KINDS = {
    "IALS": [
        *FACTORS, ItemItem(**OWN), Popular(), Blended([LowRank(1, **FIXED), ItemItem(**OWN)], [1.0, 2.0]),
        ByHistory(Anchored(**FIXED), Popular()), AdapterSelector([Anchored(**FIXED)], guard=False, random_state=0),
    ],
    "EASE": [ItemItem(**OWN), AdapterSelector([ItemItem(**OWN)], guard=False, random_state=0)],
    "ALS": FACTORS,
}  # fmt: skip


def table(seed, first_user, first_item):
    """The interactions of ten users with some of ten items, as pairs and values."""
    rng = np.random.default_rng(seed)
    likes = rng.random((10, 10)) < 0.35
    likes[np.arange(10), rng.integers(10, size=10)] = True
    users, items = np.nonzero(likes)
    return users + first_user, items + first_item, rng.integers(1, 5, len(users))


PROBE = Interactions.from_pairs(*table(99, 50, 2)[:2])


def contents(data):
    """The arrays of interactions, or of a fitted model, by name, as bytes."""
    parts = {f"matrix.{name}": getattr(data.matrix, name) for name in ("data", "indices", "indptr")}
    parts |= {"users": data.users.ids, "items": data.items.ids}
    return {name: array.tobytes() for name, array in parts.items()}


def assert_equal(one, other):
    """Two answers are the same to the bit."""
    np.testing.assert_array_equal(one.users, other.users)
    np.testing.assert_array_equal(one.items.filled(-1), other.items.filled(-1))
    np.testing.assert_array_equal(one.scores.filled(-7), other.scores.filled(-7))


def assert_alike(one, other):
    """Two answers are the same but for rounding: every user's items have equal scores, in whichever order of ties."""
    scores = [{user: dict(lists) for user, lists in answer} for answer in (one, other)]
    assert scores[0].keys() == scores[1].keys()
    for user, mine in scores[0].items():
        theirs = scores[1][user]
        assert mine.keys() == theirs.keys(), (user, mine, theirs)
        np.testing.assert_allclose(list(mine.values()), [theirs[item] for item in mine], rtol=2e-3, atol=2e-5)


class Fitted:
    """A fitted model or adapter, the pairs that its users have, and its answers when it was fitted."""

    def __init__(self, model, pairs):
        self.model, self.pairs = model, pairs
        self.remember()

    def remember(self):
        self.answers = self.ask()
        for lists in self.answers:
            assert np.isfinite(lists.scores.compressed()).all()
        for user, lists in self.answers[0]:
            assert not {(user, item) for item, _ in lists} & self.pairs

    def ask(self):
        return self.model.recommend(k=K), self.model.recommend_from(PROBE, K, unknown="mask")

    def check(self):
        for now, before in zip(self.ask(), self.answers, strict=True):
            assert_equal(now, before)


def pairs_of(users, items):
    return set(zip(users.tolist(), items.tolist(), strict=True))


def stored(model, **options):
    """The bytes of a file of a model."""
    file = io.BytesIO()
    model.save(file, **options)
    return file.getvalue()


class Machine(RuleBasedStateMachine):
    bases, adapters = Bundle("bases"), Bundle("adapters")
    seeds = st.integers(0, 999)
    n_steps = n_machines = 0

    def __init__(self):
        super().__init__()
        self.fitted, self.inputs, self.served = [], [], []
        type(self).n_machines += 1

    def given(self, users, items, values):
        """Interactions that nobody may modify."""
        data = Interactions.from_pairs(users, items, values=values)
        self.inputs.append((data, contents(data)))
        return data

    def known(self, model, pairs):
        self.fitted.append(Fitted(model, pairs))
        return self.fitted[-1]

    @initialize(target=bases, seed=seeds, model=st.sampled_from(BASES))
    def first_base(self, seed, model):
        users, items, values = table(seed, 0, 0)
        return self.known(clone(model).fit(self.given(users, items, values)), pairs_of(users, items))

    @rule(base=bases, seed=seeds)
    def fit_the_base_again_in_place(self, base, seed):
        """As a new model, and no adapter or bank of it hears of that."""
        users, items, values = table(seed, 0, seed % 3)
        data = self.given(users, items, values)
        base.model.fit(data)
        base.pairs = pairs_of(users, items)
        base.remember()
        assert fingerprint(base.model) == fingerprint(clone(base.model).fit(data))

    @rule(target=bases, base=bases)
    def save_and_load_a_base(self, base):
        loaded = self.known(lrrec.load(io.BytesIO(stored(base.model))), base.pairs)
        assert fingerprint(loaded.model) == fingerprint(base.model)
        loaded.answers = base.answers
        return loaded

    @rule(target=adapters, base=bases, kind=st.integers(0, 8), seed=seeds, same_users=st.booleans())
    def adapt(self, base, kind, seed, same_users):
        kinds = KINDS[type(base.model).__name__]
        unfitted = kinds[kind % len(kinds)]
        same_users = same_users and isinstance(base.model, IALS) and not isinstance(unfitted, ItemItem)
        before = fingerprint(base.model)
        users, items, values = table(seed, 5, 4)
        fitted = clone(unfitted).fit(self.given(users, items, values), base=base.model, same_users=same_users)
        assert fingerprint(base.model) == fingerprint(fitted.base_) == before
        adapter = self.known(fitted, pairs_of(users, items))
        adapter.unfitted, adapter.rows, adapter.same_users = unfitted, (users, items, values), same_users
        return adapter

    @rule(adapter=adapters, seed=seeds, first_item=st.integers(0, 8))
    def update(self, adapter, seed, first_item):
        """As a fit to all interactions with the same settings."""
        new = table(seed, 8, first_item)
        rows = [np.concatenate(parts) for parts in zip(adapter.rows, new, strict=True)]
        base, scale = adapter.model.base_, getattr(adapter.model, "scale", None)
        adapter.model.update(self.given(*new))
        duplicates = "last" if isinstance(base, ALS) else "sum"
        whole = Interactions.from_pairs(*rows[:2], values=rows[2], duplicates=duplicates)
        items = adapter.model.items_.ids  # the order decides what random numbers an item starts from
        again = clone(adapter.unfitted).fit(whole, base=base, same_users=adapter.same_users, catalogue=items)
        if scale is not None:
            again.scale = scale
        adapter.rows, adapter.pairs = rows, pairs_of(*rows[:2])
        adapter.remember()
        for mine, theirs in zip(adapter.answers, Fitted(again, adapter.pairs).answers, strict=True):
            assert_alike(mine, theirs)

    @rule(adapter=adapters, scale=st.sampled_from([0.0, 0.5, 1.0]))
    def rescale(self, adapter, scale):
        if hasattr(type(getattr(adapter.model, "best_", None)), "scale"):
            adapter.model.scale = scale
            adapter.remember()

    @rule(target=adapters, adapter=adapters)
    def save_and_load(self, adapter):
        loaded = lrrec.load(io.BytesIO(stored(adapter.model, histories=True)), base=adapter.model.base_)
        twin = self.known(loaded, adapter.pairs)
        for mine, theirs in zip(twin.answers, adapter.answers, strict=True):
            assert_alike(mine, theirs)
        twin.unfitted, twin.rows, twin.same_users = adapter.unfitted, adapter.rows, adapter.same_users
        return twin

    @rule(adapter=adapters, base=bases)
    def load_without_histories(self, adapter, base):
        """For the base that it was fitted to, and for no other."""
        file = stored(adapter.model)
        if fingerprint(base.model) == fingerprint(adapter.model.base_):
            assert_equal(lrrec.load(io.BytesIO(file), base=base.model).recommend_from(PROBE, K, unknown="mask"),
                         adapter.answers[1])  # fmt: skip
        else:
            with pytest.raises(FileFormatError, match="was fitted to another base"):
                lrrec.load(io.BytesIO(file), base=base.model)

    @rule(adapter=adapters)
    def merge(self, adapter):
        if isinstance(adapter.model, ByHistory):
            return  # is two models
        merged = adapter.model.merge()
        assert_alike(merged.recommend_from(PROBE, K, unknown="mask"), adapter.answers[1])

    @rule(adapter=adapters, domain=st.sampled_from("abc"), new=st.booleans())
    def serve(self, adapter, domain, new):
        """In every bank of its base, and in no other; at times in a bank of its own."""
        if new or not self.served:
            self.served.append((AdapterBank(adapter.model.base_), {}))
        for bank, domains in self.served:
            if fingerprint(bank.base) == fingerprint(adapter.model.base_):
                bank[domain] = adapter.model
                domains[domain] = adapter
            else:
                with pytest.raises(DataError, match="was fitted to another base"):
                    bank[domain] = adapter.model

    @rule(domain=st.sampled_from("abc"))
    def remove(self, domain):
        for bank, domains in self.served:
            if domains.pop(domain, None):
                del bank[domain]
            with pytest.raises(UnknownIdError):
                bank.recommend_from(PROBE, domain)

    @invariant()
    def everything_answers_as_before(self):
        type(self).n_steps += 1
        for fitted in self.fitted:
            fitted.check()

    @invariant()
    def inputs_are_as_they_were(self):
        for data, before in self.inputs:
            assert contents(data) == before

    @invariant()
    def a_bank_is_its_adapters(self):
        """One request for the users of all domains, mixed."""
        for bank, domains in self.served:
            assert set(bank) == set(domains)
            asked = [(user, name) for name, adapter in domains.items() for user in adapter.answers[0].users]
            np.random.default_rng(0).shuffle(asked)
            users, names = [int(user) for user, _ in asked], [str(name) for _, name in asked]
            lists = list(bank.recommend(users, names, k=K))
            for name, adapter in domains.items():
                mine = [one for one, other in zip(lists, names, strict=True) if other == name]
                assert_alike(mine, adapter.answers[0])
                assert_alike(bank.recommend_from(PROBE, name, k=K), adapter.answers[1])


@pytest.mark.parametrize("n_examples", [15, pytest.param(400, marks=pytest.mark.soak)])
def test_any_order_of_calls(n_examples, figures):
    Machine.n_steps = Machine.n_machines = 0
    options = {"max_examples": n_examples, "stateful_step_count": 12, "database": None}
    options["phases"] = (Phase.generate, Phase.shrink)
    run(Machine, settings=settings(derandomize=True, suppress_health_check=list(HealthCheck), **options))
    figures(f"{Machine.n_machines} runs, {Machine.n_steps} states")


# What it found.


@pytest.fixture
def rescaled():
    """Without its change the adapter knows nothing of the target's new items, and something of an old one."""
    users, items, values = table(0, 0, 0)
    base = IALS(3, n_iter=2, reg=0.05, random_state=0).fit(Interactions.from_pairs(users, items, values=values))
    users, items, values = table(0, 5, 4)
    return base, Scratch(reg=None).fit(Interactions.from_pairs(users, items, values=values), base=base)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0])
def test_what_is_known_of_items_follows_the_scale(rescaled, scale):
    base, adapter = rescaled
    adapter.scale = scale
    loaded = lrrec.load(io.BytesIO(stored(adapter)), base=base)
    np.testing.assert_array_equal(loaded.item_evidence_, adapter.item_evidence_)
    assert_equal(loaded.recommend_from(PROBE, K, unknown="mask"), adapter.recommend_from(PROBE, K, unknown="mask"))
    assert adapter.item_factors_[adapter.item_evidence_].any(axis=1).all()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_bank_has_nothing_for_histories_without_evidence_either(rescaled, scale):
    """Of an item that the target does not have, or of dislikes."""
    base, adapter = rescaled
    adapter.scale = scale
    histories = Interactions.from_pairs(["a", "b", "c"], [2, 5, 5], values=[1, -1, 1])
    alone = adapter.recommend_from(histories, K, unknown="mask")
    assert [len(lists) > 0 for _, lists in alone] == [False, False, True]
    assert_alike(AdapterBank(base, {"de": adapter}).recommend_from(histories, "de", k=K), alone)
