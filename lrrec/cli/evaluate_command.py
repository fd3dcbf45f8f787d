"""lrrec evaluate."""

from pathlib import Path
from typing import Annotated

import typer

import lrrec
from lrrec.cli import options as opt
from lrrec.cli.inputs import PROTOCOL_HELP, Source, check_out, check_protocol, fit_model, make_model
from lrrec.cli.show import metrics_table, print_protocol


def evaluate(
    data: opt.Data,
    model: opt.Model = "ials",
    param: opt.Param = None,
    split: Annotated[str, typer.Option(help=PROTOCOL_HELP)] = "by-user",
    metric: opt.Metric = None,
    test_size: Annotated[
        float, typer.Option(help="Share of users (by-user) or of interactions (by-time, random) to test on.")
    ] = 0.2,
    seed: opt.Seed = 0,
    min_rating: opt.MinRating = None,
    user: opt.UserColumn = "user",
    item: opt.ItemColumn = "item",
    value: opt.ValueColumn = None,
    time: opt.TimeColumn = None,
    sep: opt.Separator = ",",
    data_home: opt.DataHome = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV file for the values of every user.", show_default=False)
    ] = None,
) -> None:
    """Split the data, fit a model on the training part, and print metrics with 95 % bootstrap intervals."""
    from rich.console import Console

    from lrrec.metrics import check_names
    from lrrec.metrics.registry import DEFAULT_METRICS

    protocol = check_protocol(split, "--split")
    metrics = check_names(metric or list(DEFAULT_METRICS))
    check_out(out)
    estimator = make_model(model, param, seed=seed)
    source = Source(data, data_home, min_rating, user, item, value, time, sep)
    cut = source.split(protocol, test_size, seed)
    result = lrrec.evaluate(fit_model(estimator, cut.train), cut, metrics=metrics)
    console = Console()
    console.print(metrics_table({repr(estimator): result}))
    print_protocol(console, result)
    if out is not None:
        result.to_frame().to_csv(out, index=False)
        typer.echo(f"{len(result.users):,} users written to {out}")
