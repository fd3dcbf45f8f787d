"""lrrec evaluate."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

import lrrec
from lrrec.cli import options as opt
from lrrec.cli.feature_table import FeatureTables
from lrrec.cli.inputs import PROTOCOL_HELP, SEVERAL, Source, check_out, check_protocol, item_vectors, make_model
from lrrec.cli.show import metrics_table, print_differences, print_protocol
from lrrec.errors import ParameterError


def evaluate(
    data: opt.Data,
    model: opt.Models = None,
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
    """Split the data, fit models on the training part, and print metrics with 95 % bootstrap intervals."""
    import pandas as pd
    from rich.console import Console

    from lrrec.metrics import check_names
    from lrrec.metrics.registry import DEFAULT_METRICS

    protocol = check_protocol(split, "--split")
    metrics = check_names(metric or list(DEFAULT_METRICS))
    check_out(out)
    estimators = _make_models(model or ["ials"], param, seed, protocol)
    source = Source(
        data, data_home, min_rating, user, item, value, time, delimiter, read,
        min_interactions=min_interactions, test_file=test_file, history_file=history_file,
        half_life=half_life,
    )  # fmt: skip
    features = FeatureTables.read(estimators, source, item_features, user_features, feature)
    results = {}
    for made in source.splits(protocol, test_size=test_size, repeats=repeats, seed=seed):
        cut = source.weighted(made)
        of_users = None if features.of_users is None else features.of_users.reindex(cut.users)
        vectors = item_vectors(cut, metrics)
        for estimator in estimators:
            part = (f"{one} {cut.params[one]}" for one in SEVERAL.values() if one in cut.params)
            fitted, name = features.fit(estimator, cut.train), next(part, repr(estimator))
            served_by = of_users if "user_features" in inspect.signature(estimator.fit).parameters else None
            results[name] = lrrec.evaluate(fitted, cut, metrics=metrics, vectors=vectors, user_features=served_by)
    console = Console()
    mean = f"mean of {estimators[0]!r}" if protocol in SEVERAL else None
    console.print(metrics_table(results, mean=mean))
    if len(estimators) > 1:
        print_differences(console, lrrec.Comparison(results))
    last = next(reversed(results.values()))
    print_protocol(console, last)
    if out is not None:
        table = last.to_frame()
        if len(results) > 1:
            label = "split" if protocol in SEVERAL else "model"
            table = pd.concat({name: one.to_frame() for name, one in results.items()}, names=[label]).reset_index(0)
        table.to_csv(out, index=False)
        typer.echo(f"{len(table):,} users written to {out}")


def _make_models(names: list[str], param: list[str] | None, seed: int, protocol: str) -> list[Any]:
    """The models to evaluate."""
    repeated = len(names) > 1
    if repeated and param:
        raise ParameterError("--param must be for one model, got several: leave it out, or evaluate one model")
    if repeated and protocol in SEVERAL:
        raise ParameterError(f"--model must be one with --split {protocol}, got {', '.join(names)}")
    if len(set(names)) < len(names):
        raise ParameterError(f"--model must name different models, got {', '.join(names)}")
    return [make_model(name, param, seed=seed) for name in names]
