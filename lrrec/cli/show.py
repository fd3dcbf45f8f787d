"""Tables for the terminal."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrrec.evaluation.result import Evaluation


def metrics_table(results: dict[str, "Evaluation"]) -> Any:
    """Models by metrics, mean and interval."""
    from rich.table import Table

    table = Table()
    table.add_column("metric")
    for name in results:
        table.add_column(name)
    means = {name: result.mean() for name, result in results.items()}
    bounds = {name: result.interval() for name, result in results.items()}
    for metric in next(iter(means.values())):
        table.add_row(metric, *(_with_interval(means[name][metric], *bounds[name][metric]) for name in results))
    return table


def _with_interval(value: float, low: float, high: float) -> str:
    """A mean and its interval, if there is one."""
    return f"{value:.4f}" if math.isnan(low) else f"{value:.4f}  [{low:.4f}, {high:.4f}]"


def report_table(report: Any) -> Any:
    """What an adapter's guard compared, a row a method."""
    from rich.table import Table

    metric = report.columns[1]
    table = Table()
    for name in ("method", metric, "against fold-in", "numbers", "kept"):
        table.add_column(name)
    for row in report.to_dict("records"):
        apart = f"{row['against fold-in']:+.4f}  [{row['low']:+.4f}, {row['high']:+.4f}]"
        kept = "[green]✓[/green]" if row["kept"] else ""
        table.add_row(row["method"], f"{row[metric]:.4f}", apart, f"{row['parameters']:,}", kept)
    return table
