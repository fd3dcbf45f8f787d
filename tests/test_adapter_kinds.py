"""Every kind of adapter against the checks of models, and a kind of one's own by one file and one line."""

import inspect
import sys
import textwrap

import numpy as np
import pytest
from checks import all_checks, assert_same
from sklearn.base import clone

import lrrec
from lrrec import EASE, IALS, AdapterBank, AdapterSelector
from lrrec.adapt import ADAPTERS, Anchored, Blended, FactorAdapter, FoldIn, ItemItem, LowRank, Scratch

FIXED = {"reg": 1.0, "fold_in_reg": None, "new_item_reg": 1.0}
EXAMPLES = [
    FoldIn(fold_in_reg=0.05),
    Scratch(reg=None),
    Anchored(**FIXED),
    LowRank(3, **FIXED),
    Blended([LowRank(3, **FIXED), ItemItem(weight=1.0, reg=10.0, scaling=0.5)], [1.0, 2.0]),
    AdapterSelector([Anchored(**FIXED)], guard=False, random_state=0),
]
CANNOT_APPLY = {
    "check_fit_forgets": "fits a matrix of other items, which an adapter matches with its base's",
    "check_bad_data": "fits matrices of other items",
    "check_save_and_load": "loads without a base; see test_adapt.py",
    "check_save_and_load_string_ids": "loads without a base",
    "check_fit_does_not_change_its_parameters": "compares candidates by identity",
    "check_users_without_data_are_unknown": "is of the messages of models",
    "check_init_stores_parameters_and_nothing_else": "is of unbound classes: see below",
}


def bound(adapter, base):
    """The adapter with its base bound, so that it is fitted as a model is."""

    class Bound(type(adapter)):
        def fit(self, X, y=None):
            return super().fit(X, base=base)

    return Bound(**adapter.get_params(deep=False))


@pytest.fixture(scope="module")
def base(likes):
    return IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=5, random_state=0).fit(likes)


@pytest.mark.parametrize(("adapter", "check"), [
    pytest.param(
        adapter, check, id=f"{type(adapter).__name__}-{check.__name__}",
        marks=pytest.mark.slow if isinstance(adapter, Scratch) else (),
    )
    for adapter in EXAMPLES for check in all_checks(IALS() if isinstance(adapter, FactorAdapter) else EASE())
    if check.__name__ not in CANNOT_APPLY
])  # fmt: skip
def test_adapter(adapter, check, base, likes, tmp_path):
    extra = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    check(bound(adapter, base), likes, **extra)


@pytest.mark.parametrize("adapter", EXAMPLES, ids=repr)
def test_init_stores_parameters_and_nothing_else(adapter):
    assert set(vars(adapter)) == set(adapter.get_params(deep=False))
    assert adapter.__class__.__name__ in ADAPTERS or isinstance(adapter, AdapterSelector)


# The whole of a new kind: a base's scores plus what is popular in the target. It changes no factors.
NEW_KIND = '''
    """PopularityBlend: the base's scores plus a weight times how popular an item is in the target."""

    import numpy as np

    from lrrec.adapt.adapter import Adapter


    class PopularityBlend(Adapter):
        """Add the target's popularity to the base's scores."""

        name = "blend"
        _defaults = {"weight": 1.0}

        def __init__(self, weight="auto"):
            self.weight = weight

        def _grids(self, domain):
            return {"weight": (0.01, 0.1, 1.0)}

        def _find_change(self, users, callback):
            counts = np.bincount(self.domain_.data.matrix[users].indices, minlength=len(self.domain_.items))
            self.popularity_ = np.float32(self.params_["weight"]) * np.log1p(counts).astype(np.float32)

        @property
        def n_parameters(self):
            return len(self.popularity_)

        def _encode(self, matrix):
            return self.base_._encode(matrix[:, self.domain_.in_base])

        def _training_users(self, rows):
            return self._encode(self.seen_[rows])

        def _scores(self, encoded, columns):
            scores = np.zeros((encoded.shape[0], len(self.domain_.items)), dtype=np.float32)
            scores[:, self.domain_.in_base] = self.base_._scores(encoded, slice(None))
            return (scores + self.popularity_)[:, columns]

        def _pack(self):
            return {"popularity": self.popularity_}

        def _unpack(self, arrays):
            self.popularity_ = arrays["popularity"].astype(np.float32)
            self._remember_domain(self.domain_)
'''


@pytest.fixture
def blend(tmp_path, monkeypatch):
    """The new kind, by its file and its line."""
    (tmp_path / "popularity_blend.py").write_text(textwrap.dedent(NEW_KIND))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(ADAPTERS, "PopularityBlend", "popularity_blend")
    yield lambda **params: __import__("popularity_blend").PopularityBlend(**params)
    sys.modules.pop("popularity_blend", None)


@pytest.mark.parametrize(
    "model", [EASE(50), pytest.param(IALS(8, random_state=0), marks=pytest.mark.slow)], ids=["EASE", "IALS"]
)
def test_a_new_kind_is_one_file_and_one_line(model, blend, source, target, parts, tmp_path):
    """Of a base without factors, too: it is fitted, tuned, compared, stored, served from a bank, distributed."""
    base = clone(model).fit(source)
    old = target.filter(base.items_.find(target.items.ids)[target.matrix.indices] >= 0)
    old = old.align_items(base.items_)
    adapter = blend(weight=0.1).fit(old, base=base)
    adapter.save(tmp_path / "a", histories=True)
    assert_same(lrrec.load(tmp_path / "a", base=base).recommend(), adapter.recommend())
    bank = AdapterBank(base, {"de": adapter, "fr": blend(weight=1.0).fit(old, base=base)})
    users = adapter.recommend(k=1).users[:6]
    lists = bank.recommend(users, ["de", "fr"] * 3, k=9)
    for row, (user, name) in enumerate(zip(users, ["de", "fr"] * 3, strict=True)):
        alone = bank[name].recommend([user], 9)
        np.testing.assert_allclose(lists.scores[row], alone.scores[0], rtol=1e-4)
    if isinstance(model, IALS):
        selector = AdapterSelector([blend(), LowRank(2)], blend=False, random_state=0).fit(parts[0], base=base)
        assert [name.split()[0] for name in selector.report_["method"]] == [
            "fold-in",
            "popularity",
            "blend",
            "low-rank",
        ]
        assert selector.report_["parameters"][2] == len(selector.items_)
