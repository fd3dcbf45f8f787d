"""lrrec demo: from ratings to ranked lists, in one command."""

from importlib.util import find_spec
from typing import Annotated, Any

import typer

from lrrec.cli.options import DataHome
from lrrec.cli.show import metrics_table, report_table


def demo(
    data: Annotated[str, typer.Option(help="Name of a data set with titles.")] = "ml-100k",
    data_home: DataHome = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many titles to recommend.")] = 10,
) -> None:
    """Fetch MovieLens-100K, fit models, compare them, show recommendations; then adapt a model to a new market.

    Without any network the made-up data set takes its place.
    """
    from rich.console import Console
    from rich.table import Table

    import lrrec

    console = Console()
    try:
        dataset = lrrec.datasets.load(data, data_home)
    except lrrec.errors.FetchError as error:
        instead = f"{data} cannot be had here: what follows is from MADE-UP data, not from real people."
        typer.echo(f"{error}\n\n{instead}\n", err=True)
        dataset = lrrec.datasets.load("made-up")
    likes = dataset.interactions(min_rating=4)
    split = lrrec.splits.by_user(likes, test_size=0.2, history=0.8, random_state=0)
    console.print(f"{dataset.recipe.title}: {dataset!r}")
    console.print(
        f"Ratings of 4 stars and more are likes. {len(split.test_rows)} users are kept out of training; "
        "80 % of their likes are given, the rest must be found among all movies."
    )
    popularity = lrrec.Popularity().fit(split.train)
    ials = lrrec.IALS(n_factors=64, unobserved_weight=0.4, reg=0.01, random_state=0).fit(split.train, progress=True)
    console.print(f"{ials!r}, chosen among 32 settings on validation users cut from the training users of ml-100k")
    results = {"Popularity": lrrec.evaluate(popularity, split), "IALS": lrrec.evaluate(ials, split)}
    if find_spec("torch"):
        neural = lrrec.NeuralMF(64, unobserved_weight=1.0, learning_rate=1e-3, n_epochs=10, random_state=0)
        neural.fit(split.train, init=ials, progress=True)
        console.print(f"{' '.join(repr(neural).split())}, trained on from that IALS, chosen among 24 settings likewise")
        results["NeuralMF"] = lrrec.evaluate(neural, split)
    else:
        console.print("NeuralMF is left out: it needs torch (pip install 'lrrec[torch]')", highlight=False)
    console.print(metrics_table(results))

    row = int(split.test_rows[len(split.test_rows) // 2])
    user = split.users.ids[row]
    given, wanted = (part.items.ids[part.matrix[[row]].indices] for part in (split.history, split.test))
    titles = dict(zip(dataset.items["item"], dataset.items["title"], strict=True))
    recommended = ials.recommend_from(split.history, k, users=[user]).items[0].compressed()
    title = f"User {user}, new to the model: {len(given)} likes given, {len(wanted)} to be found"
    table = Table(title=title, title_justify="left")
    table.add_column("given, among others", no_wrap=True)
    table.add_column("IALS recommends (✓ found)", no_wrap=True)
    for place in range(k):
        liked = titles[given[place]] if place < len(given) else ""
        found = recommended[place] if place < len(recommended) else None
        mark = "[green]✓[/green] " if found in wanted else "  "
        table.add_row(liked, "" if found is None else f"{mark}{titles[found]}")
    console.print(table)
    show_adapting(console)


def show_adapting(console: Any) -> None:
    """A model of one population, and 60 users of another: before and after."""
    import numpy as np

    import lrrec

    dataset = lrrec.datasets.load("made-up")
    likes = dataset.interactions(min_rating=4)
    of_target = (dataset.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
    base = lrrec.IALS(n_factors=16, unobserved_weight=0.2, reg=0.02, random_state=0).fit(likes.filter(~of_target))
    target = likes.filter(of_target)
    users = np.unique(target.rows())
    few = np.isin(target.rows(), users[:60])
    rest = target.filter(~few)
    first = lrrec.splits.history_mask(rest, 0.5, np.random.default_rng(0).random(len(rest)))
    split = lrrec.Split(target.filter(few), rest.filter(first), rest.filter(~first))
    console.print(
        f"\nA new market, MADE-UP: a model of {len(np.unique(likes.filter(~of_target).rows()))} users of one "
        f"population meets another, with a partly new catalogue. It is adapted to 60 new users, and "
        f"serves {len(users) - 60} others, half of whose likes are given."
    )
    adapter = lrrec.LowRankAdapter(rank=4, random_state=0).fit(split.train, base=base)
    assert adapter.report_ is not None
    console.print(report_table(adapter.report_))
    kept = f"Kept: {adapter.best_.name}, {adapter.n_parameters:,} parameters ({adapter.verdict_})."
    console.print(kept, highlight=False)
    results = {"before": base, "after": adapter}
    shown = {name: lrrec.evaluate(model, split, metrics=["ndcg@20", "recall@20"]) for name, model in results.items()}
    console.print(metrics_table(shown))
