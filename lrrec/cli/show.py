"""Tables for the terminal."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrrec.evaluation.protocol import Evaluation


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
        cells = ("{:.4f}  [{:.4f}, {:.4f}]".format(means[name][metric], *bounds[name][metric]) for name in results)
        table.add_row(metric, *cells)
    return table


def frame_table(frame: Any) -> Any:
    """A pandas frame as it is, numbers rounded."""
    from rich.table import Table

    table = Table()
    for name in frame.columns:
        table.add_column(str(name))
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    return table
