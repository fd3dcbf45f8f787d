"""Make the made-up data set: planted low-rank tastes, a source domain and a shifted target domain.

    python datasets/made-up/generate.py

writes ratings.csv, items.csv and users.csv beside this file, the same bytes every time.

A user's taste is a point in the space of genres. In the target domain tastes act through a change of rank 2: what
appeals there about two directions of items differs from the source. Some items exist in only one domain.
"""

from pathlib import Path

import numpy as np
import pandas as pd

SEED = 20
GENRES = ("Adventure", "Comedy", "Drama", "Mystery", "Romance", "Science Fiction")
FIRST = (
    "Amber", "Broken", "Crimson", "Distant", "Electric", "Forgotten", "Gentle", "Hollow", "Iron", "Jade",
    "Kindred", "Last", "Midnight", "Northern", "Open", "Paper", "Quiet", "Restless", "Silver", "Twelfth",
)  # fmt: skip
SECOND = (
    "Anchor", "Bridge", "Cartographer", "Dune", "Ember", "Ferry", "Garden", "Harbour", "Island", "Journey",
    "Kingdom", "Lighthouse", "Meridian", "Orchard", "Promise", "River", "Signal", "Tide", "Voyage", "Winter",
)  # fmt: skip
N_SOURCE, N_TARGET, N_ITEMS, N_FACTORS, N_SHIFT = 300, 120, 320, 6, 2
N_SOURCE_ONLY, N_TARGET_ONLY = 30, 40
START, DAY = 1_600_000_000, 86_400


def main() -> None:
    """Write the three tables."""
    rng = np.random.default_rng(SEED)
    folder = Path(__file__).parent
    items, appeal, fame = make_items(rng)
    change = 1.5 * rng.normal(size=(N_ITEMS, N_SHIFT)) @ np.linalg.qr(rng.normal(size=(N_FACTORS, N_SHIFT)))[0].T
    n_users = N_SOURCE + N_TARGET
    favourites = rng.dirichlet(np.full(N_FACTORS, 0.3), n_users) * N_FACTORS
    tastes = 0.6 * rng.normal(size=(n_users, N_FACTORS)) + 0.5 * favourites
    users = pd.DataFrame({
        "user": np.arange(1, n_users + 1),
        "population": ["source"] * N_SOURCE + ["target"] * N_TARGET,
        "age": rng.integers(16, 76, n_users),
    })  # fmt: skip
    sold = {"source": np.arange(N_ITEMS) < N_ITEMS - N_TARGET_ONLY, "target": np.arange(N_ITEMS) >= N_SOURCE_ONLY}
    ratings = []
    for row, (user, population) in enumerate(zip(users.user, users.population, strict=True)):
        here = appeal + change if population == "target" else appeal
        utility = here @ tastes[row] / 2
        wanted = np.where(sold[population], utility * 0.9 + fame + rng.gumbel(size=N_ITEMS), -np.inf)
        chosen = np.argsort(-wanted)[: int(np.clip(rng.lognormal(3.3, 0.6), 8, 120))]
        stars = np.clip(np.rint(3.4 + 0.8 * utility[chosen] + rng.normal(scale=0.6, size=len(chosen))), 1, 5)
        begun = START + rng.integers(0, 700 * DAY)
        times = begun + np.sort(rng.integers(0, 30 * DAY, len(chosen)))
        order = rng.permutation(len(chosen))
        chosen_items = items.item.to_numpy()[chosen[order]]
        rated = {"user": user, "item": chosen_items, "rating": stars[order].astype(int), "time": times}
        ratings.append(pd.DataFrame(rated))
    for name, table in (("ratings", pd.concat(ratings)), ("items", items), ("users", users)):
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")


def make_items(rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The item table, the items' factors (one a genre, plus noise), and how famous each is."""
    member = rng.random((N_ITEMS, N_FACTORS)) < 0.22
    member[np.arange(N_ITEMS), rng.integers(0, N_FACTORS, N_ITEMS)] = True
    appeal = 1.4 * member - 0.4 + rng.normal(scale=0.25, size=member.shape)
    fame = 0.9 * rng.normal(size=N_ITEMS)
    pairs = rng.permutation(len(FIRST) * len(SECOND))[:N_ITEMS]
    years = rng.integers(1960, 2020, N_ITEMS)
    titles = [
        f"The {FIRST[p // len(SECOND)]} {SECOND[p % len(SECOND)]} ({y})" for p, y in zip(pairs, years, strict=True)
    ]
    genres = ["|".join(g for g, m in zip(GENRES, row, strict=True) if m) for row in member]
    return pd.DataFrame({"item": np.arange(101, 101 + N_ITEMS), "title": titles, "genres": genres}), appeal, fame


if __name__ == "__main__":
    main()
