"""lrrec data: public data sets."""

from typing import Annotated

import typer

from lrrec.cli.options import DataHome

app = typer.Typer(no_args_is_help=True, help="Public data sets: list them, fetch one, describe one.")


@app.command("list", epilog="Example:  lrrec data list")
def data_list(data_home: DataHome = None) -> None:
    """List the data sets that can be fetched by name."""
    from rich.console import Console
    from rich.table import Table

    from lrrec import datasets
    from lrrec.datasets.fetch import locate

    table = Table(box=None)
    for column in ("name", "users", "items", "ratings", "here", "title"):
        table.add_column(column, justify="right" if column in ("users", "items", "ratings") else "left")
    for name in datasets.names():
        known = datasets.recipe(name)
        counts = (f"{known.statistics[what]:,}" for what in ("users", "items", "ratings"))
        table.add_row(name, *counts, "yes" if locate(known, data_home) else "no", known.title)
    Console().print(table)


@app.command("get", epilog="Example:  lrrec data get ml-1m")
def data_get(name: Annotated[str, typer.Argument(help="Name of the data set.")], data_home: DataHome = None) -> None:
    """Fetch a data set into the cache, unless it is there, and print its folder."""
    from lrrec import datasets
    from lrrec.datasets.fetch import fetch

    known = datasets.recipe(name)
    if known.needs:
        fetch(datasets.recipe(known.needs), data_home)
    typer.echo(fetch(known, data_home))


@app.command("info", epilog="Example:  LRREC_DATA=~/data lrrec data info ml-1m")
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
