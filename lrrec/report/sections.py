"""The sections of a report: what each says, shows and tabulates."""

import math
import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lrrec.data import frames
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterTypeError
from lrrec.evaluation.comparison import Comparison
from lrrec.metrics import ERRORS, METRICS
from lrrec.report import figures
from lrrec.splits import Split
from lrrec.tuning.result import Tuning

N_SHOWN = 10  # titles of a list


@dataclass(frozen=True)
class Cell:
    """One cell: what is read, smaller beside it, and what is sorted by where that is a number."""

    text: str
    small: str = ""
    key: float | None = None


@dataclass(frozen=True)
class Table:
    """QuadraticLoss in rows; the first of a row is its name."""

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
    """An SVG element and what stands below it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Example:
    """What is known of a user beside what they are recommended."""

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
    """A number as a cell; nothing for NaN, which is sorted below all."""
    if value is None or not math.isfinite(value):
        return Cell("-" if value is None or math.isnan(value) else str(value), key=-1e300)
    return Cell(format(value, form), small, float(value))


def bounds(low: float, high: float) -> str:
    """An interval."""
    return "" if math.isnan(low) else f"{low:.4f} to {high:.4f}"


def data(split: Split) -> Section:
    """Sizes, the long tail, activity."""
    facts = split.summary()
    rows = []
    for part in ("train", "history", "test"):
        if part == "history" and not split.folds_in:
            continue
        counts = facts[part]
        cells = counts["users"] * counts["items"]
        density = number(100 * counts["interactions"] / cells if cells else math.nan, ".2f")
        rows.append([Cell(part), *(number(counts[what], ",") for what in ("users", "items", "interactions")), density])
    of_users = np.diff(split.train.matrix.indptr)
    of_items = np.bincount(split.train.matrix.indices, minlength=len(split.items))
    of_users, of_items = of_users[of_users > 0], of_items[of_items > 0]
    shown = [
        Picture(figures.long_tail(of_items), "Long tail of the training part; dashed: if all items were as popular."),
        Picture(figures.activity(of_users), "Users of the training part by how much they did."),
    ]
    columns = ["part", "users", "items", "interactions", "density, %"]
    texts = [f"{facts['users']:,} users and {facts['items']:,} items are known by an id."]
    if split.folds_in:
        texts.append("History is what is given of the test users, who are new to the models.")
    return Section("data", "Data", texts, shown, [Table("What each part holds", columns, rows)])


def comparison(found: Comparison, metric: str, pairs: Any) -> Section:
    """Means with intervals, and the differences between models."""
    table = found.table().to_dict("records")
    timed = [what for what in ("fit", "recommend") if any(not math.isnan(row[f"{what} seconds"]) for row in table)]
    rows = []
    for row in table:
        means = [number(row[one], ".4f", bounds(row[f"{one} low"], row[f"{one} high"])) for one in found.metrics]
        times = [number(row[f"{what} seconds"], ".2f") for what in timed]
        rows.append([Cell(row["model"]), *means, *times])
    columns = ["model", *found.metrics, *(f"{what}, s" for what in timed)]
    forest = [(row["model"], row[metric], row[f"{metric} low"], row[f"{metric} high"]) for row in table]
    shown = [Picture(figures.intervals(forest, metric), f"Mean {metric} over users, with 95 % bootstrap intervals.")]
    tables = [Table("Means over test users, with 95 % bootstrap intervals", columns, rows)]
    texts = [
        "An interval says how well a model's mean is known. Two of them may overlap although one model surely is "
        "ahead: the paired differences answer that."
    ]
    if pairs is not None:
        tables.append(_pairs(pairs, metric))
        texts.append(
            "Differences are taken user by user. p is of a paired randomization test, corrected after Holm for the "
            "number of pairs; it speaks of the choice of users, not of the split or of a model's random start."
        )
    return Section("models", "Models compared", texts, shown, tables)


def _pairs(pairs: Any, metric: str) -> Table:
    """Every two models, user by user."""
    rows = [
        [
            Cell(f"{row['model']} less {row['other']}"),
            number(row["difference"], "+.4f", bounds(row["low"], row["high"])),
            number(row["p holm"], ".4f"),
            number(row["effect size"], "+.2f"),
            *(number(row[what], ",") for what in ("wins", "ties", "losses")),
        ]
        for row in pairs.to_dict("records")
    ]  # fmt: skip
    columns = ["models", "difference", "p (Holm)", "effect size", "wins", "ties", "losses"]
    return Table(f"Differences in {metric}, user by user", columns, rows)


def history(found: Comparison, metric: str) -> Section | None:
    """Means of users by how much was known of them; nothing where that is not known."""
    sizes = next(iter(found.evaluations.values())).history_sizes
    if (sizes < 0).any():
        return None
    quantiles = np.unique(np.rint(np.quantile(sizes, [0.2, 0.4, 0.6, 0.8])).astype(int))
    edges = [1, *(int(edge) for edge in quantiles if edge > 1)]
    tables = {name: one.by_history(edges) for name, one in found.evaluations.items()}
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
        ["Groups are cut at fifths of the test users; users without any history are a group of their own."],
        [Picture(figures.by_group(groups, series, metric), f"Mean {metric}, with 95 % bootstrap intervals.")],
        [Table(f"Mean {metric} by history length", ["known interactions", "users", *series], rows)],
    )


def transfer(adapter: Any, curves: Any) -> Section:
    """What an adapter's guard compared, and learning curves."""
    texts: list[str] = []
    shown: list[Picture] = []
    tables: list[Table] = []
    if adapter is not None:
        report = getattr(adapter, "report_", adapter)
        if not isinstance(report, pd.DataFrame) or "against fold-in" not in report:
            raise ParameterTypeError(
                "transfer must be an adapter fitted with guard=True, or its report_, got "
                f"{type(adapter).__name__}{' without a report_' if report is None else ''}"
            )
        metric = report.columns[1]
        rows = [
            [
                Cell(row["method"]),
                number(row[metric]),
                number(row["against fold-in"], "+.4f", bounds(row["low"], row["high"])),
                number(row["parameters"], ","),
                Cell("yes" if row["kept"] else ""),
            ]
            for row in report.to_dict("records")
        ]  # fmt: skip
        columns = ["method", metric, "against fold-in", "numbers", "kept"]
        tables.append(Table("Ways to adapt, on target users held back", columns, rows))
        if hasattr(adapter, "verdict_"):
            texts.append(f"Kept: {adapter.best_.name} ({adapter.verdict_}).")
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


def tuning(tunings: dict[str, Tuning]) -> Section:
    """How each model was tuned."""
    first = next(iter(tunings.values()))
    rows, series = [], {}
    for name, one in tunings.items():
        states = one.trials_["state"]
        params = ", ".join(f"{key}={_short(value)}" for key, value in one.best_params_.items()) or "nothing to tune"
        rows.append([
            Cell(name), number(one.best_value_), number(len(states), ","), number(int((states == "pruned").sum()), ","),
            number(one.trials_["seconds"].sum(), ".1f"), Cell(params),
        ])  # fmt: skip
        series[name] = one.trials_["value"].to_numpy(dtype=float)
    columns = ["model", f"best {first.metric}", "trials", "pruned", "seconds", "parameters"]
    return Section(
        "tuning",
        "Tuning",
        [
            "Parameters were chosen on a validation part cut out of the training part, which the models were then "
            f"fitted to as a whole; the test part decided nothing. Validation: {first.validation}. Seed {first.seed}. "
            "The best of many trials flatters: what counts is the comparison on the test part."
        ],
        [
            Picture(
                figures.tuning(series, first.metric, lower=first.metric in ERRORS),
                "The best value so far after each trial; dots are the trials, pruned ones where they were stopped.",
            )
        ],
        [Table("Best trials", columns, rows)],
    )


def examples(found: Comparison, metric: str, split: Split, titles: dict[Any, str]) -> Section | None:
    """Test users at fixed places of the best model's ranking of users; nothing where no model is at hand."""
    best = next(iter(found.evaluations))
    model = found.models.get(best)
    one = found.evaluations[best]
    served = np.flatnonzero(one.history_sizes > 0)
    if model is None or not len(served):
        return None
    order = served[np.argsort(one.values[metric][served], kind="stable")]
    if metric in ERRORS:
        order = order[::-1]
    chosen = {
        "Served well": order[int(0.9 * (len(order) - 1))],
        "In the middle": order[len(order) // 2],
        "Served badly": order[int(0.1 * (len(order) - 1))],
    }
    shown = [_example(model, what, one.users[place], one.values[metric][place], metric, split, titles)
             for what, place in chosen.items()]  # fmt: skip
    text = (
        f"By {best}: of the test users in the order of their {metric}, those at nine tenths, one half and one tenth "
        "of the way, not chosen by hand. Recommendations are from the whole catalogue; a tick marks what the test "
        "part holds."
    )
    return Section("examples", "Examples", [text], examples=shown)


def _example(
    model: Any, what: str, user: Any, value: float, metric: str, split: Split, titles: dict[Any, str]
) -> Example:
    """One user, who has a history."""
    row = split.users.indices([user])[0]
    ask = getattr(model, "recommend_from" if split.folds_in else "recommend")
    lists = ask(split.history, N_SHOWN, users=[user]) if split.folds_in else ask([user], N_SHOWN)
    wanted = set(split.items.ids[split.test.matrix[[row]].indices].tolist())
    recommended = np.ma.masked_array(lists.items[0]).compressed().tolist()
    known = _newest(split.history, row)
    return Example(
        f"{what}: user {user}",
        f"{metric} {value:.4f}; {len(known)} interactions known, {len(wanted)} to be found",
        [titles.get(item, str(item)) for item in known[:N_SHOWN]],
        max(0, len(known) - N_SHOWN),
        [{"title": titles.get(item, str(item)), "found": item in wanted} for item in recommended],
    )


def _newest(part: Interactions, row: int) -> list:
    """The items of a user, the newest first where times are known."""
    start, stop = part.matrix.indptr[row], part.matrix.indptr[row + 1]
    columns = part.matrix.indices[start:stop]
    if part.times is not None:
        columns = columns[np.argsort(part.times[start:stop], kind="stable")[::-1]]
    return part.items.ids[columns].tolist()


def protocol(found: Comparison, split: Split | None) -> Section:
    """What was done, exactly."""
    done = next(iter(found.evaluations.values())).protocol
    rows = [[Cell(what), Cell(how)] for what, how in done.items()]
    if split is not None:
        facts = split.summary()
        seed = "none, or not a number" if facts["seed"] is None else str(facts["seed"])
        rows += [[Cell("seed of the split"), Cell(seed)], [Cell("SHA-256 of the split"), Cell(facts["sha256"])]]
    said = []
    for name in found.metrics:
        rule = {**METRICS, **ERRORS}.get(name.partition("@")[0])
        first = (getattr(rule, "__doc__", None) or "").strip().split("\n\n")[0]
        said.append([Cell(name), Cell(" ".join(first.split()) or "see lrrec.metrics")])
    tables = [
        Table("What was done", ["what", "how"], rows, sortable=False),
        Table("Metrics: one value a user, the mean of which is shown", ["metric", "definition"], said, sortable=False),
    ]
    return Section("protocol", "Protocol", tables=tables)


def ranked(found: Comparison, metric: str) -> list[str]:
    """The names of the models, the best first."""
    means = {name: one.mean()[metric] for name, one in found.evaluations.items()}
    return sorted(means, key=lambda name: means[name] if metric in ERRORS else -means[name])


def _short(value: Any) -> str:
    """A parameter, four digits of it."""
    real = isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral)
    return format(value, ".4g") if real else str(value)
