"""lrrec evaluate."""

from pathlib import Path
from typing import Annotated

import typer

import lrrec
from lrrec.cli import options as opt
from lrrec.cli.feature_table import FeatureTables
from lrrec.cli.inputs import PROTOCOL_HELP, Source, check_out, check_protocol, item_vectors, make_model
from lrrec.cli.show import metrics_table, print_protocol


def evaluate(
    data: opt.Data,
    model: opt.Model = "ials",
    param: opt.Param = None,
    split: Annotated[str, typer.Option(help=PROTOCOL_HELP)] = "by-user",
    metric: opt.Metric = None,
    test_size: Annotated[
        float | None,
        typer.Option(
            help="Share of users (by-user), items (cold-items) or interactions (by-time, random, each of the windows: "
            "0.1) to test on. Default: 0.2.",
            show_default=False,
        ),
    ] = None,
    repeats: opt.Repeats = None,
    test_file: opt.TestFile = None,
    history_file: opt.HistoryFile = None,
    seed: opt.Seed = 0,
    min_rating: opt.MinRating = None,
    min_interactions: opt.MinInteractions = None,
    user: opt.UserColumn = "user",
    item: opt.ItemColumn = "item",
    value: opt.ValueColumn = None,
    time: opt.TimeColumn = None,
    half_life: opt.HalfLife = None,
    delimiter: opt.Delimiter = ",",
    read: opt.Read = None,
    data_home: opt.DataHome = None,
    item_features: opt.ItemFeatures = None,
    user_features: opt.UserFeatures = None,
    feature: opt.FeatureKind = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV file for the values of every user.", show_default=False)
    ] = None,
) -> None:
    """Split the data, fit a model on the training part, and print metrics with 95 % bootstrap intervals."""
    import pandas as pd
    from rich.console import Console

    from lrrec.metrics import check_names
    from lrrec.metrics.registry import DEFAULT_METRICS

    protocol = check_protocol(split, "--split")
    metrics = check_names(metric or list(DEFAULT_METRICS))
    check_out(out)
    estimator = make_model(model, param, seed=seed)
    source = Source(
        data, data_home, min_rating, user, item, value, time, delimiter, read,
        min_interactions=min_interactions, test_file=test_file, history_file=history_file,
        half_life=half_life,
    )  # fmt: skip
    features = FeatureTables.read(estimator, source, item_features, user_features, feature)
    results = {}
    for made in source.splits(protocol, test_size=test_size, repeats=repeats, seed=seed):
        cut = source.weighted(made)
        name = next((f"{one} {cut.params[one]}" for one in ("fold", "window") if one in cut.params), repr(estimator))
        fitted = features.fit(estimator, cut.train)
        of_users = None if features.of_users is None else features.of_users.reindex(cut.users)
        vectors = item_vectors(cut, metrics)
        results[name] = lrrec.evaluate(fitted, cut, metrics=metrics, vectors=vectors, user_features=of_users)
    console = Console()
    console.print(metrics_table(results, mean=f"mean of {estimator!r}" if len(results) > 1 else None))
    last = next(reversed(results.values()))
    print_protocol(console, last)
    if out is not None:
        table = last.to_frame()
        if len(results) > 1:
            table = pd.concat({name: one.to_frame() for name, one in results.items()}, names=["split"]).reset_index(0)
        table.to_csv(out, index=False)
        typer.echo(f"{len(table):,} users written to {out}")
