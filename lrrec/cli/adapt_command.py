"""lrrec adapt."""

from pathlib import Path
from typing import Annotated

import typer

from lrrec.cli.model_commands import check_folder, read_interactions
from lrrec.cli.options import DataHome, ItemColumn, MinRating, Seed, Separator, UserColumn, ValueColumn
from lrrec.cli.show import report_table


def adapt(
    base: Annotated[Path, typer.Option("--base", "-b", help="The trained model, saved by [bold]lrrec fit[/bold].")],
    data: Annotated[str, typer.Option("--data", "-d", help="The new domain: a CSV file, or the name of a data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to save the adapter to.")],
    rank: Annotated[str, typer.Option(help="Rank of the change, or auto.")] = "8",
    metric: Annotated[str, typer.Option(help="What the guard compares by.")] = "ndcg@20",
    guard: Annotated[
        bool, typer.Option("--guard/--no-guard", help="Compare on users held back, and keep what wins.")
    ] = True,
    same_users: Annotated[
        bool, typer.Option("--same-users", help="Equal user ids are the same people in both domains.")
    ] = False,
    histories: Annotated[
        bool, typer.Option("--histories", help="Store the new users' interactions too, to recommend to them by id.")
    ] = False,
    seed: Seed = 0,
    min_rating: MinRating = None,
    user: UserColumn = "user",
    item: ItemColumn = "item",
    value: ValueColumn = None,
    sep: Separator = ",",
    data_home: DataHome = None,
) -> None:
    """Adapt a trained model to a new domain, and say whether that helps."""
    from rich.console import Console

    import lrrec
    from lrrec.errors import ParameterError

    check_folder(out)
    if rank != "auto" and not rank.isdecimal():
        raise ParameterError(f"--rank must be an integer >= 1 or auto, got {rank!r}")
    model = lrrec.load(base)
    if not isinstance(model, lrrec.FactorModel):
        raise ParameterError(f"--base must be a factor model (ials, svd, nmf, als, neural), got {type(model).__name__}")
    target = read_interactions(data, data_home, min_rating, (user, item, value, None), sep)
    adapter = lrrec.LowRankAdapter(
        rank if rank == "auto" else int(rank), guard=guard, metric=metric, random_state=seed
    ).fit(target, base=model, same_users=same_users)
    console = Console()
    if adapter.report_ is not None:
        console.print(report_table(adapter.report_))
    console.print(f"Kept: {adapter.best_.name} ({adapter.verdict_}).", highlight=False)
    adapter.save(out, histories=histories)
    told = "" if histories else ", without its users: --histories to recommend to them by lrrec recommend"
    typer.echo(f"{adapter.n_parameters:,} numbers saved to {out} ({out.stat().st_size:,} bytes){told}")
