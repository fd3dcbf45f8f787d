"""The command line: each command over the Python interface and nothing more."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions
    from lrrec.evaluation.protocol import Evaluation
    from lrrec.splits import Split

# lrrec's own modules are imported inside the commands: `lrrec --help` must answer at once.

app = typer.Typer(
    name="lrrec", no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False,
    help="Low-rank recommenders: fit, evaluate honestly, recommend.\n\nStart with [bold]lrrec demo[/bold].",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
data_app = typer.Typer(no_args_is_help=True, help="Public data sets: list them, fetch one, describe one.")
app.add_typer(data_app, name="data")

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
Model = Annotated[str, typer.Option("--model", "-m", help="ials or popularity.")]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", help="A parameter of the model as NAME=VALUE; may be repeated.", show_default=False),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_MODELS = {"ials": "IALS", "popularity": "Popularity"}
_SPLITS = ("by-user", "leave-last", "by-time", "random", "published")


@app.callback()
def _options(debug: Debug = False) -> None:
    """Options before the command."""


@app.command(epilog="Example:  lrrec demo")
def demo(
    data: Annotated[str, typer.Option(help="Name of a data set with titles.")] = "ml-100k",
    data_home: DataHome = None,
    k: Annotated[int, typer.Option("-k", help="How many titles to recommend.")] = 10,
) -> None:
    """Fetch MovieLens-100K, fit two models, compare them, and show recommendations.

    Without any network the made-up data set takes its place.
    """
    from rich.console import Console
    from rich.table import Table

    import lrrec

    console = Console()
    try:
        dataset = lrrec.datasets.load(data, data_home)
    except lrrec.errors.FetchError as error:
        _say(f"{error}\n\n{data} cannot be had here: what follows is from MADE-UP data, not from real people.\n")
        dataset = lrrec.datasets.load("made-up")
    likes = dataset.interactions(min_rating=4)
    split = lrrec.splits.by_user(likes, test_size=0.2, history=0.8, random_state=0)
    console.print(f"{dataset.recipe.title}: {dataset!r}")
    console.print(
        f"Ratings of 4 stars and more are likes. {len(split.test_rows)} users are kept out of training; "
        "80 % of their likes are given, the rest must be found among all movies."
    )
    popularity = lrrec.Popularity().fit(split.train)
    # chosen on validation users cut from the training users of ml-100k, among 32 settings
    ials = lrrec.IALS(n_factors=64, unobserved_weight=0.4, reg=0.01, random_state=0).fit(split.train, progress=True)
    results = {"Popularity": lrrec.evaluate(popularity, split), "IALS": lrrec.evaluate(ials, split)}
    console.print(_metrics_table(results))

    row = int(split.test_rows[len(split.test_rows) // 2])
    user = split.users.ids[row]
    given, wanted = (part.items.ids[part.matrix[[row]].indices] for part in (split.history, split.test))
    titles = dict(zip(dataset.items["item"], dataset.items["title"], strict=True))
    recommended = ials.recommend_from(split.history, k, users=[user]).items[0].compressed()
    table = Table(title=f"User {user}, whom the model has never seen", title_justify="left")
    table.add_column(f"liked (the model is told {len(given)} of {len(given) + len(wanted)})")
    table.add_column("IALS recommends")
    for place in range(k):
        liked = titles[given[place]] if place < len(given) else ""
        found = recommended[place] if place < len(recommended) else None
        mark = "  [green]✓ liked too[/green]" if found in wanted else ""
        table.add_row(liked, "" if found is None else f"{titles[found]}{mark}")
    console.print(table)


@data_app.command("list", epilog="Example:  lrrec data list")
def data_list(data_home: DataHome = None) -> None:
    """List the data sets that can be fetched by name."""
    from rich.console import Console
    from rich.table import Table

    from lrrec import datasets
    from lrrec.datasets.fetch import locate

    table = Table(box=None)
    for column in ("name", "users", "items", "ratings", "here", "about"):
        table.add_column(column, justify="right" if column in ("users", "items", "ratings") else "left")
    for name in datasets.names():
        known = datasets.recipe(name)
        counts = (f"{known.statistics[what]:,}" for what in ("users", "items", "ratings"))
        table.add_row(name, *counts, "yes" if locate(known, data_home) else "no", known.about)
    Console().print(table)


@data_app.command("get", epilog="Example:  lrrec data get ml-1m")
def data_get(name: Annotated[str, typer.Argument(help="Name of the data set.")], data_home: DataHome = None) -> None:
    """Fetch a data set into the cache, unless it is there, and print its folder."""
    from lrrec import datasets
    from lrrec.datasets.fetch import fetch

    known = datasets.recipe(name)
    if known.needs:
        fetch(datasets.recipe(known.needs), data_home)
    typer.echo(fetch(known, data_home))


@data_app.command("info", epilog="Example:  LRREC_DATA=~/data lrrec data info ml-1m")
def data_info(name: Annotated[str, typer.Argument(help="Name of the data set.")], data_home: DataHome = None) -> None:
    """Describe a data set: size (counted, if it is here), source, licence, citation."""
    from lrrec import datasets
    from lrrec.datasets.fetch import locate

    known = datasets.recipe(name)
    here = locate(known, data_home)
    there_too = known.needs is None or locate(datasets.recipe(known.needs), data_home)
    counts = datasets.load(name, data_home).statistics() if here and there_too else known.statistics
    typer.echo(f"{known.title}\n{known.about}\n")
    typer.echo(f"{counts['users']:,} users, {counts['items']:,} items, {counts['ratings']:,} ratings")
    typer.echo(f"counted in {here}" if here and there_too else "as published; not fetched yet")
    for table, columns in known.columns.items():
        typer.echo(f"{table}: {', '.join(columns)}")
    typer.echo(f"\nsource: {known.homepage}\nlicence: {known.licence}\ncite: {known.citation}")


@app.command(epilog="Example:  lrrec fit ml-100k --min-rating 4 -p n_factors=32 --out movies.lrrec")
def fit(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to save the model to.")],
    model: Model = "ials",
    param: Param = None,
    min_rating: MinRating = None,
    user: UserColumn = "user",
    item: ItemColumn = "item",
    value: ValueColumn = None,
    time: TimeColumn = None,
    data_home: DataHome = None,
) -> None:
    """Fit a model on all of the data and save it."""
    interactions = _read(data, data_home, min_rating, user, item, value, time)
    fitted = _fit(_make(model, param), interactions)
    fitted.save(out)
    typer.echo(f"{fitted!r} fitted on {interactions!r}, saved to {out} ({out.stat().st_size:,} bytes)")


@app.command(epilog="Example:  lrrec evaluate ml-100k --min-rating 4 --model popularity --split by-user")
def evaluate(
    data: Data,
    model: Model = "ials",
    param: Param = None,
    split: Annotated[str, typer.Option(help="by-user, leave-last, by-time, random, or published.")] = "by-user",
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="NAME@K, e.g. ndcg@10; may be repeated.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the model.")] = 0,
    min_rating: MinRating = None,
    user: UserColumn = "user",
    item: ItemColumn = "item",
    value: ValueColumn = None,
    time: TimeColumn = None,
    data_home: DataHome = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV file for the values of every user.", show_default=False)
    ] = None,
) -> None:
    """Split the data, fit a model on the training part, and print metrics with 95 % bootstrap intervals."""
    from rich.console import Console

    import lrrec
    from lrrec.evaluation.protocol import METRICS
    from lrrec.validate import check_option

    check_option(split, "--split", _SPLITS)
    for name in metric or ():
        lrrec.metrics.parse(name)
    estimator = _make(model, param, seed)
    cut: Split
    if split == "published":
        cut = lrrec.datasets.load(data, data_home).split()
    else:
        interactions = _read(data, data_home, min_rating, user, item, value, time)
        make = getattr(lrrec.splits, split.replace("-", "_"))
        cut = make(interactions, random_state=seed) if split in ("by-user", "random") else make(interactions)
    result = lrrec.evaluate(_fit(estimator, cut.train), cut, metric or METRICS)
    console = Console()
    console.print(_metrics_table({repr(estimator): result}))
    for what, how in result.protocol.items():
        console.print(f"{what}: {how}", style="dim", highlight=False)
    if out is not None:
        result.to_frame().to_csv(out, index=False)
        typer.echo(f"{len(result.users):,} users written to {out}")


@app.command(epilog="Example:  lrrec recommend movies.lrrec --user 42 --user 7 -k 5")
def recommend(
    model: Annotated[Path, typer.Argument(help="A model saved by [bold]lrrec fit[/bold].")],
    user: Annotated[
        list[str] | None,
        typer.Option("--user", "-u", help="Id of a user; may be repeated. All users without it.", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Length of the lists.")] = 10,
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
    import numpy as np

    import lrrec
    from lrrec.errors import UnknownIdError

    fitted = lrrec.load(model)
    users: Any
    if user:
        try:
            users = user if fitted.users_.ids.dtype == object else [int(one) for one in user]
        except ValueError:
            raise UnknownIdError(f"unknown ids: {user[0]!r} (the model's user ids are integers)") from None
    else:
        users = fitted.users_.ids[np.diff(fitted.seen_.indptr) > 0]
    lists = fitted.recommend(users, k, exclude_seen=not include_seen, unknown="popular" if popular else "raise")
    lists.to_frame().to_csv(sys.stdout if out is None else out, index=False)
    if out is not None:
        typer.echo(f"{len(lists):,} users written to {out}")


def _read(
    data: str,
    data_home: Path | None,
    min_rating: float | None,
    user: str,
    item: str,
    value: str | None,
    time: str | None,
) -> "Interactions":
    """A data set by name, or a CSV file."""
    import lrrec

    if data in lrrec.datasets.names():
        return lrrec.datasets.load(data, data_home).interactions(min_rating)
    if not Path(data).exists():
        known = ", ".join(lrrec.datasets.names())
        raise lrrec.errors.ParameterError(f"DATA must be an existing CSV file or one of {known}, got {data!r}")
    interactions = lrrec.Interactions.from_csv(data, user, item, value, time)
    return interactions if min_rating is None else interactions.implicit(min_rating)


def _make(model: str, params: list[str] | None, seed: int | None = None) -> Any:
    """An unfitted model from its name and NAME=VALUE pairs."""
    import json

    import lrrec
    from lrrec.validate import check_option

    cls = getattr(lrrec, _MODELS[check_option(model, "--model", tuple(_MODELS))])
    known = cls().get_params()
    given: dict[str, Any] = {} if seed is None or "random_state" not in known else {"random_state": seed}
    for pair in params or ():
        name, equals, text = pair.partition("=")
        if not equals or name not in known:
            options = ", ".join(known) or "none"
            raise lrrec.errors.ParameterError(f"--param must be NAME=VALUE with NAME one of {options}, got {pair!r}")
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


def _metrics_table(results: dict[str, "Evaluation"]) -> Any:
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


def _say(line: str) -> None:
    typer.echo(line, err=True)


def main() -> None:
    """Run the command line; an error that is the user's is one line, and the exit code is not 0."""
    debug = "--debug" in sys.argv[1:]
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app()
    except KeyboardInterrupt:
        _say("stopped")
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        from lrrec.errors import LrrecError

        known = isinstance(error, LrrecError | OSError)
        _say(f"Error: {error}" if known else f"Error: {type(error).__name__}: {error} (a bug? --debug shows where)")
        sys.exit(1)
