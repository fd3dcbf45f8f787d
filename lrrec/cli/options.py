"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from lrrec.metrics import METRICS
from lrrec.models import by_command_name


def model_names(incomplete: str) -> list[str]:
    """Complete the name of a model in a shell."""
    return [name for name in by_command_name() if name.startswith(incomplete)]


def data_names(incomplete: str) -> list[str]:
    """Complete the name of a data set in a shell, which completes names of files where there is none."""
    from lrrec.datasets import names  # pandas is slow to import

    return [name for name in names() if name.startswith(incomplete)]


DataHome = Annotated[
    Path | None,
    typer.Option(
        help="Folder with data sets, searched before LRREC_DATA, the cache and the network.", show_default=False
    ),
]
DATA_HELP = (
    "Name of a data set (see [bold]lrrec data list[/bold]) or path of a CSV file, a Parquet file (.parquet, or a "
    "folder of them), JSON lines (.jsonl) or saved interactions (.lrrec)."
)
Data = Annotated[str, typer.Argument(help=DATA_HELP, autocompletion=data_names)]
OptionalData = Annotated[str | None, typer.Argument(help=DATA_HELP, show_default=False, autocompletion=data_names)]
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
HalfLife = Annotated[
    str | None,
    typer.Option(
        help="Weight training interactions by their age, half after this time: '90 days' where times are dates, else a "
        "number in their units. Not for als.",
        show_default=False,
    ),
]
MinRating = Annotated[
    float | None,
    typer.Option(
        help="Count values of at least this as positive, with weight 1; without it the values are weights.",
        show_default=False,
    ),
]
MODEL_HELP = f"One of {', '.join(by_command_name())}; als is for ratings, neural needs torch."
Model = Annotated[str, typer.Option("--model", "-m", help=MODEL_HELP, autocompletion=model_names)]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        help=f"{MODEL_HELP} Repeat it to compare several, user by user. Default: ials.",
        show_default=False,
        autocompletion=model_names,
    ),
]
Param = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        help="A parameter of the model as NAME=VALUE; may be repeated. A wrong name lists the right ones.",
        show_default=False,
    ),
]
Metric = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help=f"NAME@K with NAME one of {', '.join(name for name, metric in METRICS.items() if metric.has_cutoff)}; or "
        f"{', '.join(name for name, metric in METRICS.items() if not metric.has_cutoff)}. May be repeated. diversity "
        "compares items by the training users who have them; rmse and mae need test users of training.",
        show_default=False,
    ),
]
MinInteractions = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Leave out users and items of DATA with fewer interactions, until all that are left have as many.",
        show_default=False,
    ),
]
Repeats = Annotated[
    str | None,
    typer.Option(
        help="Splits in the order of time: keep what users have had already in test, and recommend seen items too; or "
        "drop it, to test on what is new to them.",
        show_default=False,
    ),
]
TestFile = Annotated[
    Path | None,
    typer.Option(help="CSV file of test interactions, with the columns of DATA; trains on DATA.", show_default=False),
]
HistoryFile = Annotated[
    Path | None,
    typer.Option(help="CSV file of the histories of test users, where they are not in DATA.", show_default=False),
]
ItemFeatures = Annotated[
    Path | None,
    typer.Option(
        help="CSV or Parquet file of items: the column of their ids, and columns of numbers, or of texts with | "
        "between several, such as genres. For ials, neural, ease, content and blend.",
        show_default=False,
    ),
]
UserFeatures = Annotated[
    Path | None,
    typer.Option(help="The same of users, for ials: new users are served by them.", show_default=False),
]
AdaptItemFeatures = Annotated[
    Path | None,
    typer.Option(
        help="CSV or Parquet file of items, as for [bold]lrrec fit[/bold]: item-item adapters then take items of "
        "similar features for related, those that are new to the base, too.",
        show_default=False,
    ),
]
FeatureKind = Annotated[
    list[str] | None,
    typer.Option(
        "--feature",
        metavar="COLUMN=KIND",
        help="How a column of --item-features or --user-features is encoded: number, category, tags, text, vector, or "
        "none to leave it out. May be repeated.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random draws.")]
Delimiter = Annotated[str, typer.Option("--delimiter", help="CSV: what is between two columns.")]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        help="How a file is read, as NAME=VALUE with NAME one of duplicates, missing, time_format and, for CSV, "
        "encoding, header (null for none: columns are then numbers), quoting, decimal; see Interactions.from_csv. May "
        "be repeated.",
        show_default=False,
    ),
]
