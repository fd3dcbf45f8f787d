"""lrrec fit, evaluate, recommend."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrrec.cli.options import (
    Data,
    DataHome,
    ItemColumn,
    MinRating,
    Model,
    Param,
    Seed,
    Separator,
    TimeColumn,
    UserColumn,
    ValueColumn,
)
from lrrec.cli.show import metrics_table
from lrrec.metrics.registry import DEFAULT_METRICS, METRICS
from lrrec.models import by_command_name

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions
    from lrrec.splits import Split

MODELS = by_command_name()
_SPLITS = ("by-user", "leave-last", "by-time", "random", "published")


def fit(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to save the model to.")],
    model: Model = "ials",
    param: Param = None,
    seed: Seed = 0,
    min_rating: MinRating = None,
    user: UserColumn = "user",
    item: ItemColumn = "item",
    value: ValueColumn = None,
    time: TimeColumn = None,
    sep: Separator = ",",
    data_home: DataHome = None,
) -> None:
    """Fit a model on all of the data and save it."""
    check_folder(out)
    estimator = _make(model, param, seed)
    interactions = read_interactions(data, data_home, min_rating, (user, item, value, time), sep)
    fitted = _fit(estimator, interactions)
    fitted.save(out)
    typer.echo(f"{fitted!r} fitted on {interactions!r}, saved to {out} ({out.stat().st_size:,} bytes)")


def evaluate(
    data: Data,
    model: Model = "ials",
    param: Param = None,
    split: Annotated[
        str,
        typer.Option(
            help="by-user (test users are new to the model), leave-last and by-time (need times), random, or published "
            "(data sets that come with one)."
        ),
    ] = "by-user",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help=f"NAME@K with NAME one of {', '.join(m.name for m in METRICS.values() if m.has_cutoff)}; or one of "
            f"{', '.join(m.name for m in METRICS.values() if not m.has_cutoff)}; may be repeated.",
            show_default=False,
        ),
    ] = None,
    test_size: Annotated[
        float, typer.Option(help="Share of users (by-user) or of interactions (by-time, random) to test on.")
    ] = 0.2,
    seed: Seed = 0,
    min_rating: MinRating = None,
    user: UserColumn = "user",
    item: ItemColumn = "item",
    value: ValueColumn = None,
    time: TimeColumn = None,
    sep: Separator = ",",
    data_home: DataHome = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV file for the values of every user.", show_default=False)
    ] = None,
) -> None:
    """Split the data, fit a model on the training part, and print metrics with 95 % bootstrap intervals."""
    from rich.console import Console

    import lrrec
    from lrrec.validate import check_option

    how = check_option(split.replace("_", "-"), "--split", _SPLITS)
    metrics = lrrec.metrics.check_names(metric or list(DEFAULT_METRICS))
    if out is not None:
        check_folder(out)
    estimator = _make(model, param, seed)
    cut: Split
    if how == "published":
        if data not in lrrec.datasets.names():
            raise lrrec.errors.ParameterError(f"--split must not be published for a file, got DATA {data!r}")
        cut = lrrec.datasets.load(data, data_home).split()
    else:
        interactions = read_interactions(data, data_home, min_rating, (user, item, value, time), sep)
        if how == "leave-last":
            cut = lrrec.splits.leave_last(interactions)
        elif how == "by-time":
            cut = lrrec.splits.by_time(interactions, test_size)
        else:
            make = lrrec.splits.by_user if how == "by-user" else lrrec.splits.random
            cut = make(interactions, test_size, random_state=seed)
    result = lrrec.evaluate(_fit(estimator, cut.train), cut, metrics=metrics)
    console = Console()
    console.print(metrics_table({repr(estimator): result}))
    for what, done in result.protocol.describe().items():
        console.print(f"{what}: {done}", style="dim", highlight=False)
    if out is not None:
        result.to_frame().to_csv(out, index=False)
        typer.echo(f"{len(result.users):,} users written to {out}")


def recommend(
    model: Annotated[
        Path, typer.Argument(help="A model saved by [bold]lrrec fit[/bold], or an adapter by [bold]lrrec adapt[/bold].")
    ],
    base: Annotated[
        Path | None, typer.Option("--base", "-b", help="An adapter's base model.", show_default=False)
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", "-u", help="Id of a user; may be repeated. All users without it.", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the lists.")] = 10,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also recommend what the user has already.")
    ] = False,
    popular: Annotated[
        bool, typer.Option("--popular", help="Recommend what is popular to unknown users instead of refusing.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="CSV file to write; standard output without it.", show_default=False),
    ] = None,
) -> None:
    """Recommend items to known users with a saved model, as CSV: user, item, rank, score."""
    import lrrec
    from lrrec.errors import DataError, UnknownIdError

    if out is not None:
        check_folder(out)
    fitted = lrrec.load(model) if base is None else lrrec.load(model, base=lrrec.load(base))
    if not len(fitted.users_) and not (user and popular):
        raise DataError(
            f"{model} must hold users to recommend to, got an adapter without: make it by lrrec adapt --histories"
        )
    users: Any = user or None
    if user and len(fitted.users_) and fitted.users_.ids.dtype != object:
        try:
            users = [int(one.replace("_", "x")) for one in user]
        except ValueError:
            raise UnknownIdError(
                f"--user must be an integer, as the model's user ids are, got {', '.join(user)}"
            ) from None
    try:
        lists = fitted.recommend(users, k, exclude_seen=not include_seen, unknown="popular" if popular else "raise")
    except UnknownIdError as error:
        raise UnknownIdError(str(error).replace("pass unknown='popular'", "use --popular")) from None
    lists.to_frame().to_csv(sys.stdout if out is None else out, index=False)
    if out is not None:
        typer.echo(f"recommended to {len(lists):,} users, in {out}")


def check_folder(out: Path) -> None:
    """Refuse a file that cannot be written, before any work is done."""
    from lrrec.errors import ParameterError

    if not out.absolute().parent.is_dir() or out.is_dir():
        raise ParameterError(f"--out must be a file in a folder that exists, got {str(out)!r}")


def read_interactions(
    data: str, data_home: Path | None, min_rating: float | None,
    columns: tuple[str, str, str | None, str | None], sep: str,
) -> "Interactions":  # fmt: skip
    """A data set by name, or a CSV file."""
    import lrrec

    if data in lrrec.datasets.names():
        if columns != ("user", "item", None, None):
            raise lrrec.errors.ParameterError(f"columns must only be named for a CSV file, got DATA {data!r}")
        return lrrec.datasets.load(data, data_home).interactions(min_rating)
    if not Path(data).exists():
        known = ", ".join(lrrec.datasets.names())
        raise lrrec.errors.ParameterError(f"DATA must be an existing CSV file or one of {known}, got {data!r}")
    if min_rating is not None and columns[2] is None:
        raise lrrec.errors.ParameterError("--min-rating must come with --value-column for a CSV file, got none")
    duplicates = "sum" if min_rating is None else "last"  # ratings are revised, counts add up
    user, item, value, time = columns
    interactions = lrrec.Interactions.from_csv(
        data, user=user, item=item, value=value, time=time, sep=sep, duplicates=duplicates
    )
    return interactions if min_rating is None else interactions.binarize(min_rating)


def _make(model: str, params: list[str] | None, seed: int) -> Any:
    """An unfitted model from its name and NAME=VALUE pairs."""
    import json

    import lrrec
    from lrrec.validate import check_option

    cls = getattr(lrrec, MODELS[check_option(model, "--model", tuple(MODELS))])
    known = cls().get_params()
    given: dict[str, Any] = {"random_state": seed} if "random_state" in known else {}
    for pair in params or ():
        name, equals, text = pair.partition("=")
        if not equals or name not in known:
            expected = f"NAME=VALUE with NAME one of {', '.join(known)}" if known else f"left out: {model} has none"
            raise lrrec.errors.ParameterError(f"--param must be {expected}, got {pair!r}")
        try:
            given[name] = json.loads(text)
        except json.JSONDecodeError:
            given[name] = text
    return cls(**given)


def _fit(model: Any, interactions: "Interactions") -> Any:
    """Fit, with a progress bar where the model has one."""
    import inspect

    shows = "progress" in inspect.signature(model.fit).parameters
    return model.fit(interactions, progress=True) if shows else model.fit(interactions)
