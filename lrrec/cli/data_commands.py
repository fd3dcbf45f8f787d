"""lrrec data: public data sets."""

from typing import Annotated

import typer

import lrrec
from lrrec.cli.options import DataHome

app = typer.Typer(no_args_is_help=True, help="Public data sets: list them, fetch one, describe one.")


@app.command("list", epilog="Example:  lrrec data list")
def data_list(data_home: DataHome = None) -> None:
    """List the data sets that can be fetched by name."""
    from rich.console import Console
    from rich.table import Table

    from lrrec.datasets.fetch import locate

    table = Table(box=None)
    for column in ("name", "users", "items", "ratings", "local", "title"):
        table.add_column(column, justify="right" if column in ("users", "items", "ratings") else "left")
    for name in lrrec.datasets.names():
        recipe = lrrec.datasets.recipe(name)
        counts = (f"{recipe.statistics[column]:,}" for column in ("users", "items", "ratings"))
        table.add_row(name, *counts, "yes" if locate(recipe, data_home) else "no", recipe.title)
    Console().print(table)


@app.command("get", epilog="Example:  lrrec data get ml-1m")
def data_get(name: Annotated[str, typer.Argument(help="Name of the data set.")], data_home: DataHome = None) -> None:
    """Download a data set to the cache, if it is not local, and print its folder."""
    from lrrec.datasets.fetch import fetch

    recipe = lrrec.datasets.recipe(name)
    if recipe.needs:
        fetch(lrrec.datasets.recipe(recipe.needs), data_home)
    typer.echo(fetch(recipe, data_home))


@app.command("info", epilog="Example:  LRREC_DATA=~/data lrrec data info ml-1m")
def data_info(name: Annotated[str, typer.Argument(help="Name of the data set.")], data_home: DataHome = None) -> None:
    """Describe a data set: size (counted, if it is local), source, licence, citation."""
    from lrrec.datasets.fetch import locate

    recipe = lrrec.datasets.recipe(name)
    folder = locate(recipe, data_home)
    is_local = folder and (recipe.needs is None or locate(lrrec.datasets.recipe(recipe.needs), data_home))
    published = recipe.markets.get(name.partition("/")[2], recipe.statistics)
    counts = lrrec.datasets.load(name, data_home).statistics() if is_local else published
    typer.echo(f"{recipe.title}\n{recipe.about}\n")
    typer.echo(f"{counts['users']:,} users, {counts['items']:,} items, {counts['ratings']:,} ratings")
    typer.echo(f"counted in {folder}" if is_local else "as published; not downloaded yet")
    for table, columns in recipe.columns.items():
        typer.echo(f"{table}: {', '.join(columns)}")
    typer.echo(f"\nsource: {recipe.homepage}\nlicence: {recipe.licence}\ncite: {recipe.citation}")
