"""lrrec fit."""

from pathlib import Path
from typing import Annotated

import typer

from lrrec.cli.inputs import Source, check_out, fit_model, make_model
from lrrec.cli.options import (
    Data,
    DataHome,
    ItemColumn,
    MinInteractions,
    MinRating,
    Model,
    Param,
    Seed,
    Separator,
    TimeColumn,
    UserColumn,
    ValueColumn,
)


def fit(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to save the model to.")],
    model: Model = "ials",
    param: Param = None,
    seed: Seed = 0,
    min_rating: MinRating = None,
    min_interactions: MinInteractions = None,
    user: UserColumn = "user",
    item: ItemColumn = "item",
    value: ValueColumn = None,
    time: TimeColumn = None,
    sep: Separator = ",",
    data_home: DataHome = None,
) -> None:
    """Fit a model on all of the data and save it."""
    check_out(out)
    estimator = make_model(model, param, seed=seed)
    source = Source(
        data, data_home, min_rating, user, item, value, time, sep, min_interactions=min_interactions
    )  # fmt: skip
    interactions = source.interactions()
    fitted = fit_model(estimator, interactions)
    fitted.save(out)
    typer.echo(f"{fitted!r} fitted on {interactions!r}, saved to {out} ({out.stat().st_size:,} bytes)")
