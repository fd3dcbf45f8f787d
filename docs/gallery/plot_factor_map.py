"""
A map of the films
==================

Do the factors of a model know what a film is about? The model below sees who liked what, and neither titles nor genres.
The picture shows the films of a single genre in the two directions in which the factors differ most.
"""

import matplotlib.pyplot as plt
import numpy as np

import lrrec

plt.style.use("seaborn-v0_8-colorblind")

# %%
# The length of a film's factors grows with its popularity, so that they are scaled to length 1.

dataset = lrrec.datasets.load("made-up")
likes = dataset.interactions(min_rating=4)
model = lrrec.IALS(8, unobserved_weight=0.3, reg=0.02, random_state=0).fit(likes)
films = dataset.items.set_index("item").loc[model.items_.ids]
single = ~films["genres"].str.contains("|", regex=False).to_numpy() & model.item_evidence_
films = films[single]
factors = model.item_factors_[single]
factors = factors / np.linalg.norm(factors, axis=1, keepdims=True)

# %%
# The two directions are the first principal components. The legend names the film nearest to the mean of
# each genre, which has a black edge.

U, s, _ = lrrec.linalg.compact_svd(factors - factors.mean(axis=0))
points = U[:, :2] * s[:2]
genres = films["genres"].to_numpy()

fig, ax = plt.subplots(figsize=(6.4, 5.4), layout="constrained")
colors = ("C0", "C1", "C2", "C3", "C5", "0.4")
for genre, marker, color in zip(np.unique(genres), "os^DvP", colors, strict=True):
    rows = np.flatnonzero(genres == genre)
    named = rows[np.linalg.norm(points[rows] - points[rows].mean(axis=0), axis=1).argmin()]
    ax.scatter(*points[rows].T, marker=marker, color=color, s=36, label=f"{genre}: {films['title'].iloc[named]}")
    ax.scatter(*points[named], marker=marker, color=color, s=90, edgecolor="black")
ax.set(xlabel="first principal component", ylabel="second principal component")
fig.legend(loc="outside lower center", ncols=2, fontsize="small")
plt.show()

# %%
# Whether neighbours share their genre can be counted, on the map and in all 8 dimensions.


def share_of_neighbors(vectors):
    """Return the share of films whose nearest film has the same genre, in percent."""
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return 100 * (genres[distances.argmin(axis=1)] == genres).mean()


same = genres[:, None] == genres
chance = 100 * (same.sum() - len(genres)) / (len(genres) * (len(genres) - 1))
print(f"The nearest film has the same genre for {share_of_neighbors(points):.0f} % of {len(genres)} films on the map,")
print(f"and for {share_of_neighbors(factors):.0f} % by all 8 factors. By chance it would be {chance:.0f} %.")
