"""Learning curves of a transfer: a model of a source, adapted to more and more users of a target."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.adapt.selection.default_candidates import default_candidates
from lrrec.adapt.selection.selector import AdapterSelector
from lrrec.data import frames
from lrrec.data.ids import IdMap, union
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterTypeError
from lrrec.evaluation.evaluator import evaluate
from lrrec.metrics import parse
from lrrec.models.base.recommender import Recommender
from lrrec.models.ials import IALS
from lrrec.models.popularity import Popularity
from lrrec.plots import drawings
from lrrec.plots.axes import COLOR_BLIND_SAFE, axes_for, name_series
from lrrec.splits import Split, by_user, history_mask, leave_last
from lrrec.typing import Axes, Frame
from lrrec.validate import check_int, check_option

SIZES = (10, 25, 50, 100)
GUARDED = "guarded"
N_FACTORS = 64  # of the base
TEST_SHARE = 0.35  # of the target's users, at most
BASES = [(weight, reg) for weight in (0.01, 0.1, 0.3) for reg in (0.003, 0.01, 0.03)]


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve:
    """How good each method is with more and more target users, and what the guard of the adapters chose.

    Made by `learning_curve`.

    Attributes
    ----------
    base : Recommender
        The model of the source.
    metric : str
    values : DataFrame
        The metric of each test user: draw, users (of the target that were adapted to), method, user, and the metric.
    choices : DataFrame
        The choices of the guard: draw, users, kept (a method, or a blend), verdict.

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec import Interactions, Popularity
    >>> from lrrec.adapt import LearningCurve
    >>> base = Popularity().fit(Interactions.from_pairs(["ann"], ["x"]))
    >>> columns = {"draw": 0, "users": [10, 10, 50, 50], "method": "fold-in", "user": ["bob", "cat", "bob", "cat"]}
    >>> values = pd.DataFrame(columns | {"ndcg@10": [0.1, 0.3, 0.2, 0.5]})
    >>> choices = pd.DataFrame(columns=["draw", "users", "kept", "verdict"])
    >>> LearningCurve(base, "ndcg@10", values, choices).summary()["ndcg@10"].round(2).tolist()
    [0.2, 0.35]
    """

    base: Recommender
    metric: str
    values: pd.DataFrame
    choices: pd.DataFrame

    def summary(self, backend: str = "pandas") -> Frame:
        """Return a frame with a row for each number of users and method: users, method, mean and standard error.

        The mean, in a column of the name of the metric, is over the test users, of whose draws the mean is taken
        first; the standard error is about the choice of these users.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        by = ["users", "method"]
        means = self.values.groupby([*by, "user"], sort=False)[self.metric].mean()
        rows = means.groupby(by, sort=False).agg(["mean", "sem"]).reset_index()
        columns = {"mean": self.metric, "sem": "standard error"}
        named = rows.rename(columns=columns)
        return frames.make({str(name): named[name].to_numpy() for name in named}, backend)

    def plot(self, metric: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the metric by the number of target users, a line for each method.

        Parameters
        ----------
        metric : str, optional
            The metric of the curve, the only one that it has.
        ax : matplotlib Axes, optional
            What to draw on, beside what is there; a new figure when not given.

        Returns
        -------
        matplotlib Axes

        Notes
        -----
        Needs matplotlib. Lines are the means of `summary`, which has their standard errors; the axis of users is
        logarithmic.

        Examples
        --------
        >>> import pandas as pd
        >>> from lrrec.adapt import LearningCurve
        >>> values = pd.DataFrame({
        ...     "draw": 0, "users": [10, 50] * 2, "method": ["popularity"] * 2 + ["guarded"] * 2, "user": "ann",
        ...     "ndcg@10": [0.1, 0.12, 0.15, 0.22],
        ... })
        >>> choices = pd.DataFrame({"draw": 0, "users": [10, 50], "kept": "low-rank 8", "verdict": "the best mean"})
        >>> axes = LearningCurve(None, "ndcg@10", values, choices).plot()  # of learning_curve(...) in practice
        >>> {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
        {'popularity': [0.1, 0.12], 'guarded': [0.15, 0.22]}
        """
        metric = check_option(self.metric if metric is None else metric, "metric", (self.metric,))
        series = {
            str(name): (rows["users"].tolist(), rows[metric].tolist())
            for name, rows in self.summary().groupby("method", sort=False)
        }  # fmt: skip
        axes = axes_for(ax, "LearningCurve.plot()", 4.2)
        drawings.draw_curves(axes, series, metric, COLOR_BLIND_SAFE)
        name_series(axes)
        return axes

    def __repr__(self) -> str:
        rows = self.summary()
        table = rows.pivot_table(index="method", columns="users", values=self.metric, sort=False)
        n_users, n_draws = self.values["user"].nunique(), self.values["draw"].nunique()
        head = f"{self.metric} of {n_users} test users by target users adapted to, {n_draws} draw{'s'[: n_draws > 1]}"
        return "\n".join([head, table.round(4).to_string(), *self.verdicts()])

    def verdicts(self) -> list[str]:
        """Return what the guard kept and why, a sentence for each number of users and draw."""
        several = self.choices["draw"].nunique() > 1
        return [
            f"{row.users} users{f', draw {row.draw}' if several else ''}: kept {row.kept} ({row.verdict})"
            for row in self.choices.itertuples()
        ]


def learning_curve(
    source: Interactions | Sequence[Interactions] | Recommender, target: Interactions, *,
    sizes: Sequence[int] = SIZES, metric: str = "ndcg@10", n_test: int = 500, n_validation: int = 0, n_draws: int = 1,
    random_state: int = 0, callback: Callable[[str], Any] | None = None,
) -> LearningCurve:  # fmt: skip
    """Measure what a model of a source is worth for a target, with more and more users of the target.

    Methods are popularity in the target, each adapter that `AdapterSelector` compares for the base (among them the base
    as it is and models of the target alone), and its guarded choice. All of them get the same users, and rank the whole
    catalogue of the target for test users who are in no training part: relevant is their last interaction if the
    target has times, else a fifth of them at random; the others are the history.

    Parameters
    ----------
    source : Interactions, sequence of Interactions, or fitted model
        Of interactions an `IALS` is the base: the best of 9 settings on users held out of the source, fitted to all of
        it. Users of several sources are different people, whatever their ids. Every interaction counts 1.
    target : Interactions
        Items are matched with those of the source by id, users are other people. Every interaction counts 1; of pairs
        that repeat the last time counts.
    sizes : sequence of int, default (10, 25, 50, 100)
        Numbers of target users to adapt to. Those that the target does not have are left out; all its users, test and
        validation users aside, are added.
    metric : str, default "ndcg@10"
        NAME@K: what is shown and what settings are chosen by.
    n_test : int, default 500
        Number of test users, but at most 35 % of those with two or more interactions.
    n_validation : int, default 0
        Number of further users that all methods are tuned on, as published comparisons do. With 0 every method has the
        target users of its size alone, and is tuned by cross-validation on these: what a new domain really has.
    n_draws : int, default 1
        How often users are drawn.
    random_state : int, default 0
    callback : callable, optional
        Called with a sentence about each step.

    Returns
    -------
    LearningCurve

    Raises
    ------
    DataError
        If source and target share no item, or the target has too few users.

    Examples
    --------
    >>> import lrrec
    >>> dataset = lrrec.datasets.load("made-up")
    >>> likes = dataset.interactions(min_rating=4)
    >>> abroad = (dataset.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
    >>> base = lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(likes.filter(~abroad))
    >>> curve = lrrec.adapt.learning_curve(base, likes.filter(abroad), sizes=[20], n_validation=20)
    >>> curve.summary()["users"].unique().tolist()
    [20, 58]
    """
    parse(metric, ("ranking",))
    if not isinstance(sizes, Sequence | np.ndarray) or getattr(sizes, "ndim", 1) != 1:
        raise ParameterTypeError(f"sizes must be a list of integers >= 2, got {sizes!r}")
    if callback is not None and not callable(callback):
        raise ParameterTypeError(f"callback must be callable, got {callback!r}")
    wanted = sorted({check_int(size, "sizes", low=2) for size in sizes})
    n_test, n_draws = check_int(n_test, "n_test", low=1), check_int(n_draws, "n_draws", low=1)
    n_validation, seed = check_int(n_validation, "n_validation", low=0), check_int(random_state, "random_state", low=0)
    if not isinstance(target, Interactions):
        raise ParameterTypeError(f"target must be Interactions, got {type(target).__name__}")
    report = callback or (lambda _: None)
    base = _base(source, metric, seed)
    report(f"base: {' '.join(repr(base).split())}")
    data = replace(target.binarize(), events=None)
    values: list[pd.DataFrame] = []
    choices = []
    for draw in range(n_draws):
        train, validation, test = _parts(data, n_test, n_validation, seed + draw)
        users = np.random.default_rng(seed + draw).permutation(np.unique(train.rows()))
        for size in [*(size for size in wanted if size < len(users)), len(users)]:
            some = train.filter(np.isin(train.rows(), users[:size]))
            for name, model in _methods(base, some, validation, metric, seed + draw):
                result = evaluate(model, replace(test, train=some), metrics=[metric])
                columns = {"draw": draw, "users": size, "method": name, "user": result.users}
                values.append(pd.DataFrame(columns | {metric: result.values[metric]}))
            choices.append((draw, size, model.best_.label, model.verdict_))  # of the last method, the guarded choice
            report(f"draw {draw + 1} of {n_draws}, {size} users: kept {model.best_.label}")
    table = pd.DataFrame(choices, columns=["draw", "users", "kept", "verdict"])
    return LearningCurve(base, metric, pd.concat(values, ignore_index=True), table)


def _base(source: Any, metric: str, seed: int) -> Recommender:
    """The model of the source: as it is, or the best of a few settings on users held out."""
    if isinstance(source, Recommender):
        source._check_fitted()
        return source
    parts = list(source) if isinstance(source, list | tuple) else [source]
    if not parts or not all(isinstance(part, Interactions) for part in parts):
        raise ParameterTypeError(f"source must be Interactions, several of them, or a fitted model, got {source!r}")
    data = join(parts)
    n_users = int(np.count_nonzero(np.diff(data.matrix.indptr) > 1))
    split = by_user(data, max(min(500, n_users // 5), 1), history=0.8, random_state=seed)
    models = [
        IALS(N_FACTORS, unobserved_weight=weight, reg=reg, n_iter=12, random_state=seed) for weight, reg in BASES
    ]  # fmt: skip
    best = max(models, key=lambda model: evaluate(model.fit(split.train), split, metrics=[metric]).mean()[metric])
    return best.fit(data)


def join(parts: Sequence[Interactions]) -> Interactions:
    """Return the interactions of several domains, 1 each, with items matched by id; users are numbered."""
    items = union([part.items for part in parts], "items")
    matrix = sp.csr_array(sp.vstack([part.binarize().align_items(items).matrix for part in parts], format="csr"))
    return Interactions(matrix, IdMap.range(matrix.shape[0]), items)


def _parts(data: Interactions, n_test: int, n_validation: int, seed: int) -> tuple[Interactions, Split | None, Split]:
    """Training interactions, and splits of validation (if any) and test users; train is a placeholder there."""
    rng = np.random.default_rng(seed)
    eligible = rng.permutation(np.flatnonzero(np.diff(data.matrix.indptr) > 1))
    n_test = min(n_test, int(TEST_SHARE * len(eligible)))
    if not n_test or len(eligible) - n_test - n_validation < 2:
        raise DataError(
            f"target must have users to train on beside {n_test} test and {n_validation} validation users, got "
            f"{len(eligible)} with two or more interactions"
        )
    chosen = np.split(eligible[: n_test + n_validation], [n_test])
    splits: list[Split | None] = []
    for users in chosen:
        mine = data.filter(np.isin(data.rows(), users))
        if not len(mine):
            splits.append(None)
        elif data.times is not None:
            splits.append(leave_last(mine, random_state=seed))
        else:
            first = history_mask(mine, 0.8, rng.random(len(mine)))
            splits.append(Split(mine, mine.filter(first), mine.filter(~first)))
    test, validation = splits
    assert test is not None
    return data.filter(~np.isin(data.rows(), np.concatenate(chosen))), validation, test


def _methods(
    base: Recommender, train: Interactions, validation: Split | None, metric: str, seed: int
) -> Iterator[tuple[str, Any]]:
    """Names and fitted models of the methods, the guarded choice last."""
    yield "popularity", Popularity().fit(train)
    options: dict[str, Any] = {"metric": metric, "random_state": seed}
    for candidate in [*default_candidates(base), None]:
        candidates = None if candidate is None else [candidate]
        selector = AdapterSelector(candidates, guard=candidate is None, **options)
        selector.fit(train, base=base, catalogue=train.items.ids, validation=validation)
        yield GUARDED if candidate is None else selector.best_.label, selector
