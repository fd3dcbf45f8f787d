"""Adapting between domains with the same users and other items: Amazon sport and cloth.

A fifth of the users who are in both have no history in the target (another tenth: validation users). They are served
from their history in the source; every item of the target is ranked. All methods are tuned on the validation users.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

import lrrec
from benchmarks.report import quality_row, relative
from benchmarks.transfers import amazon
from lrrec import IALS, AdapterSelector, IdMap, Interactions, ItemKNN, RP3Beta, Split
from lrrec.adapt import Anchored
from lrrec.interop import from_factors

SEEDS, N_FACTORS, N_ITER = 5, 512, 12
GUARDED_SEEDS = 2  # minutes each
SETTINGS = [(0.002, 0.003), (0.005, 0.003)]  # unobserved_weight, reg


def run() -> Iterator[dict[str, Any]]:
    for names in (("sport", "cloth"), ("cloth", "sport")):
        source, target = (amazon(name) for name in names)
        bases = {setting: ials(*setting).fit(source) for setting in SETTINGS}
        results = [measure(source, target, bases, seed) for seed in range(SEEDS)]
        for rival in ("popularity", "EMCDR", "joined"):
            ours, rivals = (np.array([result[name].mean() for result in results]) for name in ("adapter", rival))
            measurement = f"Amazon {names[0]} to {names[1]}, users without a target history: nDCG@10"
            yield quality_row(measurement, rival, relative(ours, rivals), "1 x", bool(ours.mean() >= rivals.mean()))
        for rival in ("adapter", "joined", "joined, item-item"):
            yield guarded_row(names, rival, results)


def guarded_row(names: tuple[str, str], rival: str, results: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return whether the guard's choice is worse than a rival, by more than a standard error."""
    ours, rivals = (np.concatenate([result[name] for result in results[:GUARDED_SEEDS]]) for name in ("guarded", rival))
    error = (ours - rivals).std(ddof=1) / np.sqrt(len(ours))
    return quality_row(
        f"Amazon {names[0]} to {names[1]}, users without a target history: guarded, nDCG@10", rival,
        f"{ours.mean():.4f} and {rivals.mean():.4f}", "not below by more than 1 SE",
        bool((ours - rivals).mean() >= -error),
    )  # fmt: skip


def measure(
    source: Interactions, target: Interactions, bases: dict[tuple[float, float], IALS], seed: int
) -> dict[str, np.ndarray]:
    """Return nDCG@10 of every test user, by method."""
    rng = np.random.default_rng(seed)
    shared_users = np.intersect1d(
        source.users.ids[np.diff(source.matrix.indptr) > 0], target.users.ids[np.diff(target.matrix.indptr) > 0]
    )
    shared_users = rng.permutation(shared_users)
    fifth, tenth = len(shared_users) // 5, len(shared_users) // 10
    test_users, validation_users = shared_users[:fifth], shared_users[fifth : fifth + tenth]
    users = target.users.ids[target.rows()]
    train = target.filter(~np.isin(users, shared_users[: fifth + tenth]))
    hidden = {
        "test": target.filter(np.isin(users, test_users)),
        "validation": target.filter(np.isin(users, validation_users)),
    }

    def values(model: Any, part: str) -> np.ndarray:
        """Rank the target's items for users whom the model knows."""
        rows = np.flatnonzero(np.diff(hidden[part].matrix.indptr) > 0)
        lists = model.recommend(
            target.users.ids[rows], 10, items=target.items.ids, exclude_seen=False, unknown="popular"
        )
        indices = target.items.find(lists.items.data.ravel()).reshape(lists.items.shape)
        return lrrec.metrics.measure(indices, hidden[part].matrix, rows, ["ndcg@10"])[0][:, 0]

    def best(make: Callable[..., Any], grid: list[Any]) -> np.ndarray:
        models = (make(*setting) for setting in grid)
        return values(max(models, key=lambda model: values(model, "validation").mean()), "test")

    results = {"popularity": values(lrrec.Popularity().fit(train), "test")}
    targets = {setting: ials(*setting).fit(train) for setting in SETTINGS}

    def emcdr(setting: tuple[float, float], ridge: float) -> Any:
        """Learn a linear map from the source's user factors to the target's, on training users (Man et al. 2017)."""
        base, model = bases[setting], targets[setting]
        shared = np.intersect1d(base.users_.ids, model.users_.ids[np.diff(model.seen_.indptr) > 0])
        X, Y = base.user_factors_[base.users_.indices(shared)], model.user_factors_[model.users_.indices(shared)]
        size = ridge * float(np.einsum("ud,ud->", X, X)) / N_FACTORS
        mapped = np.linalg.solve(X.T @ X + size * np.eye(N_FACTORS), X.T @ Y)
        return from_factors(
            base.user_factors_ @ mapped, model.item_factors_, users=base.users_, items=model.items_,
            seen=placeholder(len(base.users_), len(model.items_)),
        )  # fmt: skip

    results["EMCDR"] = best(emcdr, [(setting, ridge) for setting in SETTINGS for ridge in (0.001, 0.1)])
    joined = join(source, train)
    results["joined"] = best(lambda weight, reg: ials(weight, reg).fit(joined), SETTINGS)

    def adapted(weight: float, reg: float) -> Anchored:
        return Anchored(
            reg=1.0, new_item_reg=1.0, fold_in_reg=reg, n_iter=N_ITER, balance=0
        ).fit(train, base=bases[weight, reg], catalogue=target.items.ids, same_users=True)  # fmt: skip

    adapters = {setting: adapted(*setting) for setting in SETTINGS}
    chosen = max(SETTINGS, key=lambda setting: values(adapters[setting], "validation").mean())
    results["adapter"] = values(adapters[chosen], "test")
    item_item = [ItemKNN(200, shrink=10.0), ItemKNN(200, shrink=100.0), RP3Beta(), RP3Beta(0.7, 0.1)]
    results["joined, item-item"] = best(lambda model: model.fit(joined), [(model,) for model in item_item])
    if seed < GUARDED_SEEDS:
        validation = Split(train, target.filter(np.zeros(len(target), dtype=bool)), hidden["validation"])
        guarded = AdapterSelector(metric="ndcg@10", budget="fast", random_state=seed).fit(
            train, base=bases[chosen], catalogue=target.items.ids, same_users=True, validation=validation
        )  # fmt: skip
        results["guarded"] = values(guarded, "test")
    return results


def ials(weight: float, reg: float) -> IALS:
    return IALS(N_FACTORS, unobserved_weight=weight, reg=reg, n_iter=N_ITER, random_state=0)


def placeholder(n_users: int, n_items: int) -> sp.csr_array:
    """Return one interaction for each user, so that all are known; this protocol excludes no seen items."""
    return sp.csr_array(
        (np.ones(n_users, np.float32), (np.arange(n_users), np.zeros(n_users, int))), (n_users, n_items)
    )


def join(source: Interactions, target: Interactions) -> Interactions:
    """Join both domains in one matrix, users matched by id."""
    users = IdMap(np.union1d(source.users.ids, target.users.ids))
    items = IdMap(np.concatenate((source.items.ids, target.items.ids)))
    parts = []
    for data in (source, target):
        cells = (users.indices(data.users.ids)[data.rows()], data.matrix.indices)
        parts.append(sp.csr_array((data.matrix.data, cells), shape=(len(users), data.n_items)))
    return Interactions.from_matrix(sp.csr_array(sp.hstack(parts, format="csr")), users=users, items=items)
