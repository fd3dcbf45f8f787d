"""lrrec demo: from ratings to ranked lists, in one command."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lrrec
from lrrec.cli.options import DataHome
from lrrec.cli.show import DOCUMENTATION, metrics_table, report_table

if TYPE_CHECKING:
    from lrrec.splits import Split

NEXT = f"""
Where to go next, with a table of yours, a row for each rating:
  lrrec evaluate ratings.csv --value-column rating --min-rating 4 --model ials --split by-user
  lrrec fit ratings.csv --value-column rating --min-rating 4 --model ials --out movies.lrrec
  lrrec recommend movies.lrrec -k 10 --out lists.csv
{DOCUMENTATION}"""


def demo(
    data: Annotated[str, typer.Option(help="Name of a data set with titles.")] = "ml-100k",
    data_home: DataHome = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many titles to recommend.")] = 10,
) -> None:
    """Fit models to MovieLens-100K, compare them, show recommendations; then adapt a model to a new market.

    Without a network the made-up data set takes the place of MovieLens-100K.
    """
    from rich.console import Console

    console = Console()
    try:
        dataset = lrrec.datasets.load(data, data_home)
    except lrrec.errors.FetchError as error:
        fallback = f"{data} cannot be downloaded: the following is on MADE-UP data, not on real people."
        typer.echo(f"{error}\n\n{fallback}\n", err=True)
        dataset = lrrec.datasets.load("made-up")
    likes = dataset.interactions(min_rating=4)
    split = lrrec.splits.by_user(likes, test_size=0.2, history=0.8, random_state=0)
    console.print(f"{dataset.recipe.title}: {dataset!r}")
    console.print(
        f"Ratings of 4 stars and more are likes. {len(split.test_rows)} test users are not in training: "
        "80 % of their likes are their history, the models rank all movies to find the others."
    )
    popularity = lrrec.Popularity().fit(split.train)
    ials = lrrec.IALS(n_factors=64, unobserved_weight=0.4, reg=0.01, random_state=0).fit(split.train, progress=True)
    console.print(f"{ials!r}, chosen among 32 settings on validation users cut from the training users of ml-100k")
    results = {"Popularity": lrrec.evaluate(popularity, split), "IALS": lrrec.evaluate(ials, split)}
    if find_spec("torch"):
        neural = lrrec.NeuralMF(64, unobserved_weight=1.0, learning_rate=1e-3, n_epochs=10, random_state=0)
        neural.fit(split.train, init=ials, progress=True)
        console.print(
            f"{' '.join(repr(neural).split())}, initialized from that IALS and fine-tuned; chosen among 24 settings "
            "in the same way"
        )
        results["NeuralMF"] = lrrec.evaluate(neural, split)
    else:
        console.print("NeuralMF is left out: it needs torch (pip install 'lrrec[torch]')", highlight=False)
    console.print(metrics_table(results))
    titles = dict(zip(dataset.items["item"], dataset.items["title"], strict=True))
    _show_recommendations(console, ials, split, titles, k)
    _show_adaptation(console)
    console.print(NEXT, highlight=False, markup=False, soft_wrap=True)


def _show_recommendations(console: Any, model: Any, split: "Split", titles: dict[Any, str], k: int) -> None:
    """A test user's history beside the recommendations, hits marked."""
    from rich.table import Table

    row = int(split.test_rows[len(split.test_rows) // 2])
    user = split.users.ids[row]
    history, relevant = (part.items.ids[part.matrix[[row]].indices] for part in (split.history, split.test))
    recommended = model.recommend_from(split.history, k, users=[user]).items[0].compressed()
    title = f"User {user}, new to the model: {len(history)} likes in the history, {len(relevant)} held out"
    table = Table(title=title, title_justify="left")
    table.add_column("history (excerpt)", no_wrap=True)
    table.add_column("IALS recommends (✓ held out)", no_wrap=True)
    for rank in range(k):
        liked = titles[history[rank]] if rank < len(history) else ""
        item = recommended[rank] if rank < len(recommended) else None
        mark = "[green]✓[/green] " if item in relevant else "  "
        table.add_row(liked, "" if item is None else f"{mark}{titles[item]}")
    console.print(table)


def _show_adaptation(console: Any) -> None:
    """Adapt a model of one population to 60 users of another; evaluate it before and after."""
    import numpy as np

    dataset = lrrec.datasets.load("made-up")
    likes = dataset.interactions(min_rating=4)
    of_target = (dataset.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
    base = lrrec.IALS(random_state=0).fit(likes.filter(~of_target))
    target = likes.filter(of_target)
    users = np.unique(target.rows())
    few = np.isin(target.rows(), users[:60])
    rest = target.filter(~few)
    first = lrrec.splits.history_mask(rest, 0.5, np.random.default_rng(0).random(len(rest)))
    split = lrrec.Split(target.filter(few), rest.filter(first), rest.filter(~first))
    console.print(
        f"\nA new market, MADE-UP: a model of {len(np.unique(likes.filter(~of_target).rows()))} users of one "
        f"population and a partly new catalogue is adapted to 60 users of another, and evaluated on "
        f"{len(users) - 60} more, half of whose likes are their history."
    )
    adapter = lrrec.LowRankAdapter(rank=4, random_state=0).fit(split.train, base=base)
    assert adapter.report_ is not None
    console.print(report_table(adapter.report_))
    kept = f"Kept: {adapter.best_.label}, {adapter.n_parameters:,} parameters ({adapter.verdict_})."
    console.print(kept, highlight=False)
    results = {"before": base, "after": adapter}
    shown = {name: lrrec.evaluate(model, split, metrics=["ndcg@20", "recall@20"]) for name, model in results.items()}
    console.print(metrics_table(shown))
