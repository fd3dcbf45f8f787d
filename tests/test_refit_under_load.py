"""A model that is fitted again while other threads ask it gives the lists of the old fit or of the new one."""

import threading

import numpy as np
import pytest
from sklearn.base import clone

import lrrec
from lrrec import AdapterSelector, Interactions
from lrrec.adapt import ItemItem, LowRank

USERS = [f"u{number}" for number in range(12)]


def market(seed, n_users, n_items):
    """Interactions of at least the twelve users."""
    dense = np.random.default_rng(seed).random((n_users, n_items)) < 0.3
    dense[:, 0] = True
    users, items = np.nonzero(dense)
    return Interactions.from_pairs([f"u{user}" for user in users], [f"i{item}" for item in items])


FITS = [market(0, 60, 40), market(1, 25, 70)]
BASE = lrrec.IALS(4, n_iter=2, random_state=0).fit(market(2, 50, 70))
MODELS = [
    lrrec.Popularity(), lrrec.IALS(4, n_iter=1, random_state=0), lrrec.EASE(20.0), lrrec.ItemKNN(),
    lrrec.TruncatedSVD(4), lrrec.NMF(4, n_iter=1, random_state=0), lrrec.RP3Beta(), lrrec.SparseEASE(20.0),
    lrrec.SLIM(1.0, 20.0),
    lrrec.ALS(2, n_iter=1, random_state=0),
    lrrec.Blend([lrrec.EASE(20.0), lrrec.ItemKNN()], weights=[0.5, 0.5]),
    LowRank(2, reg=1.0, fold_in_reg=None, new_item_reg=1.0, n_iter=1), ItemItem(weight=1.0, reg=10.0, scaling=0.5),
    AdapterSelector([ItemItem(weight=1.0, reg=10.0, scaling=0.5)], blend=False, random_state=0),
]  # fmt: skip


def fit(model, data):
    adapts = isinstance(model, lrrec.adapt.Adapter | AdapterSelector)
    return model.fit(data, base=BASE) if adapts else model.fit(data)


def answers(model):
    """What is asked, as bytes: lists of known users and of histories, of items of one's choice, and pairs."""
    lists = model.recommend(USERS, 5), model.recommend_from(FITS[0], 3, users=USERS, unknown_items="ignore")
    return [repr(one.items.tolist()) for one in lists] + [model.predict(USERS, ["i1"] * len(USERS)).tobytes()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_answers_are_of_one_fit(model):
    expected = [answers(fit(clone(model), data)) for data in FITS]
    right = [set(pair) for pair in zip(*expected, strict=True)]
    assert any(len(pair) == 2 for pair in right)
    model, stop, wrong, n_asked = fit(clone(model), FITS[0]), threading.Event(), [], [0]

    def ask():
        while not stop.is_set():
            try:
                wrong.extend(place for place, one in enumerate(answers(model)) if one not in right[place])
            except Exception as error:
                wrong.append(error)
            n_asked[0] += 1

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(400):
            fit(model, FITS[1 - turn % 2])
            if turn >= 12 and (n_asked[0] >= 30 or wrong):
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:3]


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    model = lrrec.EASE(20.0).fit(FITS[0])
    before = answers(model)
    with pytest.raises(lrrec.errors.LrrecError):
        model.set_params(reg=-1.0).fit(FITS[1])
    assert answers(model) == before
