"""The sections of a report: their texts, pictures and tables."""

import math
import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lrrec.adapt.transfer import LearningCurve
from lrrec.data import frames
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterTypeError
from lrrec.evaluation.comparison import Comparison
from lrrec.metrics.registry import parse
from lrrec.report import figures
from lrrec.splits import Split
from lrrec.tuning.tuning_result import Tuning

N_SHOWN = 10  # titles of a list


@dataclass(frozen=True)
class Cell:
    """One cell: its text, smaller text beside it, and the number it is sorted by."""

    text: str
    small: str = ""
    key: float | None = None


@dataclass(frozen=True)
class Table:
    """Cells in rows; the first of a row is its name."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    sortable: bool = True

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        return [any(row[place].key is not None for row in self.rows) for place in range(len(self.columns))]


@dataclass(frozen=True)
class Picture:
    """An SVG element and its caption."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Example:
    """The history of a user beside their recommendations."""

    heading: str
    text: str
    history: list[str]
    more: int
    recommended: list[dict[str, Any]]


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    heading: str
    texts: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)


def number(value: Any, form: str = ".4f", small: str = "") -> Cell:
    """A number as a cell; "-" for NaN, which is sorted below all."""
    if value is None or not math.isfinite(value):
        return Cell("-" if value is None or math.isnan(value) else str(value), key=-1e300)
    return Cell(format(value, form), small, float(value))


def bounds(low: float, high: float) -> str:
    """An interval."""
    return "" if math.isnan(low) else f"{low:.4f} to {high:.4f}"


def data(split: Split) -> Section:
    """Sizes, the long tail, activity."""
    summary = split.summary()
    columns = [*summary.columns, "density, %"]
    rows = []
    for part, *counts in summary.itertuples(index=False):
        cells = counts[0] * counts[1]
        density = number(100 * counts[2] / cells if cells else math.nan, ".2f")
        rows.append([Cell(part), *(number(count, ",") for count in counts), density])
    of_users = np.diff(split.train.matrix.indptr)
    of_items = np.bincount(split.train.matrix.indices, minlength=len(split.items))
    of_users, of_items = of_users[of_users > 0], of_items[of_items > 0]
    shown = [
        Picture(figures.long_tail(of_items), "Long tail of the training part; dashed: if all items were as popular."),
        Picture(figures.activity(of_users), "Users of the training part by number of interactions."),
    ]
    texts = [
        f"{len(split.users):,} users and {len(split.items):,} items have an id. Cold users have no history, cold items "
        "no training interaction."
    ]
    if split.folds_in:
        texts.append(
            "History: the interactions of the test users, who are new to the models, that they are served from."
        )
    return Section("data", "Data", texts, shown, [Table("Parts of the data", columns, rows)])


def comparison(comparison: Comparison, metric: str, pairs: Any) -> Section:
    """Means with intervals, and the differences between models."""
    table = comparison.summary().to_dict("records")
    timed = [part for part in ("fit", "recommend") if any(not math.isnan(row[f"{part} seconds"]) for row in table)]
    rows = []
    for row in table:
        means = [
            number(row[name], ".4f", bounds(row[f"{name} low"], row[f"{name} high"])) for name in comparison.metrics
        ]
        times = [number(row[f"{part} seconds"], ".2f") for part in timed]
        rows.append([Cell(row["model"]), *means, *times])
    columns = ["model", *comparison.metrics, *(f"{part}, s" for part in timed)]
    forest = [(row["model"], row[metric], row[f"{metric} low"], row[f"{metric} high"]) for row in table]
    pictures = [Picture(figures.intervals(forest, metric), f"{metric}, with 95 % bootstrap intervals of means.")]
    tables = [Table("Means over test users, with 95 % bootstrap intervals", columns, rows)]
    texts = [
        "An interval says how well a model's mean is known. Whether two models differ is tested by the paired "
        "differences, even if their intervals overlap."
    ]
    if pairs is not None:
        tables.append(_pairs(pairs, metric))
        texts.append(
            "Differences are taken user by user. p is from a paired randomization test, adjusted after Holm for "
            "the number of pairs; it is about the choice of users, not about the split or random initialization."
        )
    return Section("models", "Models compared", texts, pictures, tables)


def _pairs(pairs: Any, metric: str) -> Table:
    """Every pair of models, user by user."""
    rows = [
        [
            Cell(f"{row['model']} minus {row['other']}"),
            number(row["difference"], "+.4f", bounds(row["low"], row["high"])),
            number(row["p holm"], ".4f"),
            number(row["effect size"], "+.2f"),
            *(number(row[column], ",") for column in ("wins", "ties", "losses")),
        ]
        for row in pairs.to_dict("records")
    ]  # fmt: skip
    columns = ["models", "difference", "p (Holm)", "effect size", "wins", "ties", "losses"]
    return Table(f"Differences in {metric}, user by user", columns, rows)


def history(comparison: Comparison, metric: str) -> Section | None:
    """Means of users by the length of their history; None if it is not known, or the metric has no value per user."""
    sizes = next(iter(comparison.evaluations.values())).history_sizes
    if (sizes < 0).any() or metric not in comparison.per_user_metrics:
        return None
    quantiles = np.unique(np.rint(np.quantile(sizes, [0.2, 0.4, 0.6, 0.8])).astype(int))
    edges = [1, *(int(edge) for edge in quantiles if edge > 1)]
    tables = {name: result.by_history(edges) for name, result in comparison.evaluations.items()}
    of_metric = {name: table[table["metric"] == metric] for name, table in tables.items()}
    first = next(iter(of_metric.values()))
    groups = [str(group) for group in first["group"]]
    series = {name: table[["mean", "low", "high"]].to_numpy(dtype=float) for name, table in of_metric.items()}
    rows = [
        [
            Cell(group, key=float(place)),
            number(n, ","),
            *(number(values[place, 0], ".4f", bounds(*values[place, 1:])) for values in series.values()),
        ]
        for place, (group, n) in enumerate(zip(groups, first["n"], strict=True))
    ]  # fmt: skip
    return Section(
        "history",
        "Users by history length",
        ["Groups are fifths of the test users; users without a history are a separate group."],
        [Picture(figures.by_group(groups, series, metric), f"Mean {metric}, with 95 % bootstrap intervals.")],
        [Table(f"Mean {metric} by history length", ["interactions in the history", "users", *series], rows)],
    )


def transfer(adapter: Any, curves: Any) -> Section:
    """The candidates of an adapter's selection, and learning curves."""
    texts: list[str] = []
    shown: list[Picture] = []
    tables: list[Table] = []
    if adapter is not None:
        report = getattr(adapter, "report_", adapter)
        if not isinstance(report, pd.DataFrame) or "kept" not in report:
            raise ParameterTypeError(
                "transfer must be an adapter fitted with guard=True, or its report_, got "
                f"{type(adapter).__name__}{' without a report_' if report is None else ''}"
            )
        metric, against = report.columns[1:3]
        rows = [
            [
                Cell(row["method"]),
                number(row[metric]),
                number(row[against], "+.4f", bounds(row["low"], row["high"])),
                number(row["parameters"], ","),
                Cell("yes" if row["kept"] else ""),
            ]
            for row in report.to_dict("records")
        ]  # fmt: skip
        columns = ["method", metric, against, "parameters", "kept"]
        tables.append(Table("Adapters compared on validation users of the target", columns, rows))
        if hasattr(adapter, "verdict_"):
            texts.append(f"Kept: {adapter.best_.label} ({adapter.verdict_}).")
    if isinstance(curves, LearningCurve):
        texts += [f"The base: {' '.join(repr(curves.base).split())}.", *curves.verdicts()]
        tables.append(_learning_table(curves))
        curves = curves.summary()
    if curves is not None:
        table = frames.eager(curves).to_native()
        names = [str(name) for name in table.columns if name not in ("users", "method")]
        if {"users", "method"} - set(table.columns) or not names:
            got = ", ".join(map(str, table.columns))
            raise DataError(f"curves must have the columns users, method and a metric, got {got}")
        metric = names[0]
        points = pd.DataFrame({name: np.asarray(table[name]) for name in ("users", "method", metric)})
        means = points.groupby(["method", "users"], sort=True)[metric].mean()
        methods = dict.fromkeys(points["method"].tolist())
        series = {name: (means[name].index.tolist(), means[name].tolist()) for name in methods}
        shown.append(Picture(figures.curves(series, metric), f"{metric} by the number of target users adapted to."))
    return Section("transfer", "Transfer to a new domain", texts, shown, tables)


def _learning_table(curve: LearningCurve) -> Table:
    """Means and standard errors by method and number of target users."""
    means = curve.summary().set_index(["method", "users"])
    methods, sizes = (list(dict.fromkeys(means.index.get_level_values(name))) for name in ("method", "users"))
    rows = [
        [Cell(method), *(_with_error(*means.loc[(method, size)][[curve.metric, "standard error"]]) for size in sizes)]
        for method in methods
    ]
    return Table(f"{curve.metric} by target users, with standard errors", ["method", *map(str, sizes)], rows)


def _with_error(mean: float, error: float) -> Cell:
    """A mean beside its standard error."""
    return number(mean, small="" if math.isnan(error) else f"± {error:.4f}")


def tuning(tunings: dict[str, Tuning]) -> Section:
    """How each model was tuned."""
    first = next(iter(tunings.values()))
    rows, series = [], {}
    for name, tuning in tunings.items():
        trials = tuning.trials_
        values = ", ".join(f"{key}={_short(value)}" for key, value in tuning.best_params_.items())
        rows.append([
            Cell(name), number(tuning.best_value_),
            number(tuning.gain_, "+.4f", bounds(*tuning.gain_interval_)), number(len(trials), ","),
            number(int((trials["state"] == "pruned").sum()), ","), number(trials["seconds"].sum(), ".1f"),
            Cell(values or "nothing to tune"),
        ])  # fmt: skip
        series[name] = (trials["value"].to_numpy(dtype=float), (trials["state"] == "finished").to_numpy())
    columns = ["model", f"best {first.metric}", "gain", "trials", "pruned", "seconds", "parameters"]
    return Section(
        "tuning",
        "Tuning",
        [
            "Parameters were chosen on validation interactions cut from the training part; the models were then fitted "
            f"on the whole training part. The test part was not used. Validation: {first.validation}. Seed "
            f"{first.seed}. The best value of many trials is optimistic: compare models on the test part. The gain is "
            "that over the model's own parameters on the same validation users, with its 95 % interval; where this "
            "includes 0, the choice may be chance."
        ],
        [
            Picture(
                figures.tuning(series, first.metric, lower=not parse(first.metric)[0].greater_is_better),
                "The best value so far after each trial. Dots are trials; crosses are pruned ones, where they stopped.",
            )
        ],
        [Table("Best trials", columns, rows)],
    )


def examples(comparison: Comparison, metric: str, split: Split, titles: dict[Any, str]) -> Section | None:
    """Test users at fixed quantiles of the best model's metric; None without a fitted model or values per user."""
    best, result = next(iter(comparison.evaluations.items()))
    model = comparison.models.get(best)
    if model is None or metric not in result.values:
        return None
    values = result.values[metric]
    served = np.flatnonzero((result.history_sizes > 0) & ~np.isnan(values))
    if not len(served):
        return None
    sign = 1 if parse(metric)[0].greater_is_better else -1
    order = served[np.argsort(sign * values[served], kind="stable")]
    places = {
        "Served well": order[int(0.9 * (len(order) - 1))],
        "In the middle": order[len(order) // 2],
        "Served badly": order[int(0.1 * (len(order) - 1))],
    }
    examples = [
        _example(model, f"{heading}: user {result.users[place]}", result.users[place], f"{metric} {values[place]:.4f}",
                 split, titles)
        for heading, place in places.items()
    ]  # fmt: skip
    text = (
        f"By {best}: the test users at nine tenths, one half and one tenth of the order by {metric}; they are not "
        "chosen by hand. Recommendations are from the whole catalogue; a tick marks items of the test part."
    )
    return Section("examples", "Examples", [text], examples=examples)


def _example(model: Any, heading: str, user: Any, value: str, split: Split, titles: dict[Any, str]) -> Example:
    """A user with a history."""
    row = split.users.indices([user])[0]
    if split.folds_in:
        lists = model.recommend_from(split.history, N_SHOWN, users=[user], exclude_seen=split.exclude_seen)
    else:
        lists = model.recommend([user], N_SHOWN, exclude_seen=split.exclude_seen)
    relevant = set(split.items.ids[split.test.matrix[[row]].indices].tolist())
    recommended = np.ma.masked_array(lists.items[0]).compressed().tolist()
    history = _newest(split.history, row)
    return Example(
        heading,
        f"{value}; {len(history)} interactions in the history, {len(relevant)} in the test part",
        [titles.get(item, str(item)) for item in history[:N_SHOWN]],
        max(0, len(history) - N_SHOWN),
        [{"title": titles.get(item, str(item)), "hit": item in relevant} for item in recommended],
    )


def _newest(part: Interactions, row: int) -> list[Any]:
    """The items of a user, the newest first if there are times."""
    start, stop = part.matrix.indptr[row], part.matrix.indptr[row + 1]
    columns = part.matrix.indices[start:stop]
    if part.times is not None:
        columns = columns[np.argsort(part.times[start:stop], kind="stable")[::-1]]
    return part.items.ids[columns].tolist()


def protocol(comparison: Comparison, split: Split | None) -> Section:
    """The protocol, and the formula of each metric."""
    rows = [[Cell(part), Cell(text)] for part, text in comparison.protocol.describe().items()]
    if split is not None:
        facts = split.as_dict()
        seed = "none, or not a number" if facts["seed"] is None else str(facts["seed"])
        rows += [[Cell("seed of the split"), Cell(seed)], [Cell("SHA-256 of the split"), Cell(facts["sha256"])]]
    formulas = [[Cell(name), Cell(_formula(name))] for name in comparison.metrics]
    tables = [
        Table("How the models were evaluated", ["part", "protocol"], rows, sortable=False),
        Table("Metrics", ["metric", "formula"], formulas, sortable=False),
    ]
    return Section("protocol", "Protocol", tables=tables)


def _formula(name: str) -> str:
    """The formula of a metric and its direction."""
    metric, _ = parse(name)
    return f"{metric.formula} ({'greater' if metric.greater_is_better else 'smaller'} is better)"


def _short(value: Any) -> str:
    """A parameter, reals with four digits."""
    real = isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral)
    return format(value, ".4g") if real else str(value)
