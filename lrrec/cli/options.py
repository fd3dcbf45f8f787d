"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from lrrec.models import by_command_name

DataHome = Annotated[
    Path | None,
    typer.Option(
        help="Folder with data sets, searched before LRREC_DATA, the cache and the network.", show_default=False
    ),
]
Data = Annotated[
    str, typer.Argument(help="Name of a data set (see [bold]lrrec data list[/bold]) or path of a CSV file.")
]
UserColumn = Annotated[str, typer.Option("--user-column", help="CSV: column of user ids.")]
ItemColumn = Annotated[str, typer.Option("--item-column", help="CSV: column of item ids.")]
ValueColumn = Annotated[
    str | None,
    typer.Option(
        "--value-column",
        help="CSV: column of ratings, counts or weights; every row counts 1 without it.",
        show_default=False,
    ),
]
TimeColumn = Annotated[
    str | None, typer.Option("--time-column", help="CSV: column of times, for splits by time.", show_default=False)
]
MinRating = Annotated[
    float | None,
    typer.Option(
        help="Count values of at least this as positive, with weight 1; without it the values are weights.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help=f"One of {', '.join(by_command_name())}; als is for ratings, neural needs torch.",
    ),
]
Param = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        help="A parameter of the model as NAME=VALUE; may be repeated. [bold]-p help[/bold] lists the names.",
        show_default=False,
    ),
]
Metric = Annotated[
    list[str] | None,
    typer.Option("--metric", help="NAME@K with NAME one of METRICS; may be repeated.", show_default=False),
]
Seed = Annotated[int, typer.Option(help="Seed of all random draws.")]
Separator = Annotated[str, typer.Option("--sep", help="CSV: separator of columns.")]


class EvaluatingCommand(TyperCommand):
    """A command whose help lists the metrics, which are loaded when it is shown: they need numpy."""

    def format_help(self, *args: Any) -> None:
        """Name the metrics in the help of `Metric`."""
        from lrrec.metrics import METRICS

        for option in self.params:
            if option.name == "metric" and (text := getattr(option, "help", None)):
                option.help = text.replace("METRICS", ", ".join(METRICS))  # type: ignore[attr-defined]
        super().format_help(*args)
