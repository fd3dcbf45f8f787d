"""Settings: one way to adapt, as numbers."""

from dataclasses import dataclass
from typing import Any

from lrrec.errors import ParameterError
from lrrec.metrics import parse
from lrrec.validate import check_bool, check_int, check_option, check_real

ANCHORS = ("constant", "precision")
METHODS = ("low-rank", "anchored", "scratch", "fold-in")


@dataclass(frozen=True)
class Settings:
    """One way to adapt.

    Attributes
    ----------
    method : str
        One of METHODS.
    rank : int
        Of "low-rank".
    reg : float
        What holds an item to the base, in interactions: 1 weighs as much as one user's. Of "scratch": the base
        class's own reg. Of a neural base: of all changes.
    reg_fold : float or None
        Takes the place of the base's own regularization of users.
    reg_free : float
        As reg, for items that the base does not know.
    n_iter : int
        Rounds over items and users; as many again to start "low-rank" from.
    balance : float
        A user of n interactions weighs n^-balance in what items are fitted to.
    anchor : str
        One of ANCHORS: all items are held alike, or each by the base's `item_precision_`.
    learning_rate, n_epochs, source_weight, towers, seed
        Of a neural base: how its change is trained, the weight of the source's loss where its data are given, and
        whether the user's tower changes too.
    shrinkage : float
        How much of the way back to the base a change goes once found, 0 to 1.
    """

    method: str = "low-rank"
    rank: int = 8
    reg: float = 1.0
    reg_fold: float | None = None
    reg_free: float = 1.0
    n_iter: int = 3
    balance: float = 0.5
    anchor: str = "constant"
    learning_rate: float = 0.003
    n_epochs: int = 20
    source_weight: float = 1.0
    towers: bool = True
    seed: int = 0
    shrinkage: float = 0.0


def checked(adapter: Any) -> tuple[Settings, frozenset[str]]:
    """The settings that an adapter's parameters ask for, defaults where they are "auto"; names of those given."""
    values: dict[str, Any] = {"reg": 1.0, "reg_fold": None, "reg_free": 1.0, "learning_rate": 0.01, "n_epochs": 20}
    values["shrinkage"] = 0.0
    fixed = set()
    for name in values:
        given = getattr(adapter, name)
        if isinstance(given, str) and given == "auto":
            continue
        if name == "n_epochs":
            values[name] = check_int(given, name, low=1)
        elif name == "shrinkage":
            values[name] = check_real(given, name, low=0, high=1)
        else:
            values[name] = check_real(given, name, low=0, open_low=name != "reg_fold")
        fixed.add(name)
    if isinstance(adapter.rank, str) and adapter.rank != "auto":
        raise ParameterError(f"rank must be an integer >= 1 or 'auto', got {adapter.rank!r}")
    rank = 1 if isinstance(adapter.rank, str) else check_int(adapter.rank, "rank", low=1)
    method = check_option(adapter.method, "method", METHODS)
    parse(adapter.metric)
    check_real(adapter.history, "history", low=0, high=1, open_low=True)
    values["n_iter"] = check_int(adapter.n_iter, "n_iter", low=1)
    values["anchor"] = check_option(adapter.anchor, "anchor", ANCHORS)
    values["balance"] = check_real(adapter.balance, "balance", low=0, high=2)
    values["source_weight"] = check_real(adapter.source_weight, "source_weight", low=0)
    values["towers"] = check_bool(adapter.towers, "towers")
    return Settings(method, rank, **values), frozenset(fixed)
