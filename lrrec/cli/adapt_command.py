"""lrrec adapt."""

from pathlib import Path
from typing import Annotated, Any

import typer

import lrrec
from lrrec.cli import feature_table
from lrrec.cli import options as opt
from lrrec.cli.inputs import Source, as_one, check_out
from lrrec.cli.show import report_table
from lrrec.errors import ParameterError


def adapt(
    base: Annotated[
        list[Path],
        typer.Option(
            "--base",
            "-b",
            help=(
                "The trained model, saved by [bold]lrrec fit[/bold]. Given several times, the models of several "
                "markets: item-item adapters add up what they know of item pairs."
            ),
        ),
    ],
    data: Annotated[str, typer.Option("--data", "-d", help="The new domain: a CSV file, or the name of a data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to save the adapter to.")],
    rank: Annotated[str, typer.Option(help="Rank of the low-rank adapter, or auto.")] = "8",
    metric: Annotated[str, typer.Option(help="Metric by which the candidates are compared.")] = "ndcg@20",
    guard: Annotated[
        bool,
        typer.Option("--guard/--no-guard", help="Compare with fold-in and others on validation users; keep the best."),
    ] = True,
    budget: Annotated[
        str,
        typer.Option(help="thorough: tune every candidate; fast: compare them as they come; or seconds of tuning."),
    ] = "thorough",
    catalogue: Annotated[
        str,
        typer.Option(help="What may be recommended: all items, of the base too, or those of the target's data alone."),
    ] = "all",
    same_users: Annotated[
        bool, typer.Option("--same-users", help="Equal user ids are the same people in both domains.")
    ] = False,
    histories: Annotated[
        bool, typer.Option("--histories", help="Store the new users' interactions too, to recommend to them by id.")
    ] = False,
    seed: opt.Seed = 0,
    min_rating: opt.MinRating = None,
    user: opt.UserColumn = "user",
    item: opt.ItemColumn = "item",
    value: opt.ValueColumn = None,
    delimiter: opt.Delimiter = ",",
    read: opt.Read = None,
    data_home: opt.DataHome = None,
    item_features: opt.AdaptItemFeatures = None,
    feature: opt.FeatureKind = None,
) -> None:
    """Adapt a trained model to a new domain, and report whether that helps."""
    from rich.console import Console

    from lrrec.validate import check_option

    check_out(out)
    if rank != "auto" and not rank.isdecimal():
        raise ParameterError(f"--rank must be an integer >= 1 or auto, got {rank!r}")
    models = as_one([lrrec.load(path) for path in base])
    source = Source(data, data_home, min_rating, user, item, value, None, delimiter, read)
    (features,) = feature_table.read([(item_features, "--item-features", item)], delimiter, feature)
    target = source.interactions()
    options: Any = {"guard": guard, "metric": metric, "budget": _budget(budget), "random_state": seed}
    chosen_rank = rank if rank == "auto" else int(rank)
    several = isinstance(models, list)
    selector = lrrec.AdapterSelector(**options) if several else lrrec.LowRankAdapter(chosen_rank, **options)
    items = target.items if check_option(catalogue, "--catalogue", ("all", "target")) == "target" else None
    adapter = selector.fit(target, base=models, catalogue=items, same_users=same_users, item_features=features)
    console = Console()
    if adapter.report_ is not None:
        console.print(report_table(adapter.report_))
    console.print(f"Kept: {adapter.best_.label} ({adapter.verdict_}).", highlight=False)
    adapter.save(out, histories=histories)
    hint = "" if histories else "; it does not contain the users: add --histories to recommend to them by id"
    typer.echo(f"{adapter.n_parameters:,} parameters saved to {out} ({out.stat().st_size:,} bytes){hint}")


def _budget(text: str) -> float | str:
    """A number of seconds where it is one; the selector refuses what it does not know."""
    try:
        return float(text)
    except ValueError:
        return text
