"""Results on the terminal."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrrec.evaluation.comparison import Comparison
    from lrrec.evaluation.evaluation_result import Evaluation

DOCUMENTATION = (
    "Documentation: the folder docs of the repository, which begins with docs/start.md; make docs builds the pages. "
    "In Python: help(lrrec.IALS)."
)


def metrics_table(results: dict[str, "Evaluation"], *, mean: str | None = None) -> Any:
    """A table of metrics by models or splits, with means and intervals; `mean` heads a column of means over these."""
    from rich.table import Table

    table = Table()
    table.add_column("metric")
    for name in results:
        table.add_column(name)
    if mean is not None:
        table.add_column(mean)
    means = {name: result.mean() for name, result in results.items()}
    bounds = {name: result.interval() for name, result in results.items()}
    for metric in next(iter(means.values())):
        cells = [_with_interval(means[name][metric], *bounds[name][metric]) for name in results]
        if mean is not None:
            cells.append(f"{sum(one[metric] for one in means.values()) / len(means):.4f}")
        table.add_row(metric, *cells)
    return table


def _with_interval(value: float, low: float, high: float) -> str:
    """A mean and its interval, if there is one."""
    return f"{value:.4f}" if math.isnan(low) else f"{value:.4f}  [{low:.4f}, {high:.4f}]"


def print_differences(console: Any, comparison: "Comparison") -> None:
    """Print how models differ, user by user, in each metric that has a value for every user."""
    for metric in comparison.per_user_metrics:
        for row in comparison.pairs(metric).to_dict("records"):
            console.print(
                f"{metric}: {row['model']} - {row['other']}: {row['difference']:+.4f}  [{row['low']:+.4f}, "
                f"{row['high']:+.4f}]; better for {row['wins']}, worse for {row['losses']} of "
                f"{row['wins'] + row['ties'] + row['losses']} users",
                highlight=False,
            )


def print_protocol(console: Any, result: "Evaluation") -> None:
    """Print how an evaluation was made, a line for each choice."""
    for name, choice in result.protocol.describe().items():
        console.print(f"{name}: {choice}", style="dim", highlight=False)


def report_table(report: Any) -> Any:
    """A table of the candidates that an adapter's selector compared."""
    from rich.table import Table

    metric, against = report.columns[1:3]
    table = Table()
    for name in ("method", metric, against, "parameters", "kept"):
        table.add_column(name)
    for row in report.to_dict("records"):
        difference = f"{row[against]:+.4f}  [{row['low']:+.4f}, {row['high']:+.4f}]"
        kept = "[green]✓[/green]" if row["kept"] else ""
        table.add_row(row["method"], f"{row[metric]:.4f}", difference, f"{row['parameters']:,}", kept)
    return table


def curve_table(curve: Any) -> Any:
    """A table of the means and standard errors of a learning curve, the best of each number of users in bold."""
    from rich.table import Table

    rows = curve.summary().to_dict("records")
    sizes, methods = (list(dict.fromkeys(row[name] for row in rows)) for name in ("users", "method"))
    best = {size: max(row[curve.metric] for row in rows if row["users"] == size) for size in sizes}
    cells: dict[str, list[str]] = {method: [] for method in methods}
    for row in rows:
        mean, error = row[curve.metric], row["standard error"]
        text = f"{mean:.4f}" if math.isnan(error) else f"{mean:.4f} ± {error:.4f}"
        cells[row["method"]].append(f"[bold]{text}[/bold]" if mean == best[row["users"]] else text)
    table = Table(title=f"{curve.metric} by target users adapted to", title_justify="left")
    for name in ("method", *map(str, sizes)):
        table.add_column(name)
    for method, texts in cells.items():
        table.add_row(method, *texts)
    return table
