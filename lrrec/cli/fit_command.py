"""lrrec fit."""

from pathlib import Path
from typing import Annotated

import typer

from lrrec.cli import options as opt
from lrrec.cli.feature_table import FeatureTables
from lrrec.cli.inputs import Source, check_out, make_model


def fit(
    data: opt.Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to save the model to.")],
    model: opt.Model = "ials",
    param: opt.Param = None,
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
) -> None:
    """Fit a model on all of the data and save it."""
    check_out(out)
    estimator = make_model(model, param, seed=seed)
    source = Source(
        data, data_home, min_rating, user, item, value, time, delimiter, read, min_interactions=min_interactions,
        half_life=half_life,
    )  # fmt: skip
    features = FeatureTables.read([estimator], source, item_features, user_features, feature)
    interactions = source.weighted(source.interactions())
    fitted = features.fit(estimator, interactions)
    fitted.save(out)
    typer.echo(f"{fitted!r} fitted on {interactions!r}, saved to {out} ({out.stat().st_size:,} bytes)")
