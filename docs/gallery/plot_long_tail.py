"""
The long tail
=============

Do recommendations go to the same few films that everybody knows? In most data a small part of the items has a large
part of the interactions. The picture shows how the places in the lists of four models are distributed over the films,
beside the likes that the models learned from.
"""

import matplotlib.pyplot as plt
import numpy as np

import lrrec

plt.style.use("seaborn-v0_8-colorblind")

# %%
# All models are fitted to the same training part. Coverage is the share of the films that are in at least one list.

likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
split = lrrec.splits.by_user(likes, test_size=0.3, random_state=0)
models = {
    "Popularity": lrrec.Popularity(),
    "ItemKNN": lrrec.ItemKNN(),
    "IALS": lrrec.IALS(16, unobserved_weight=0.3, reg=0.02, random_state=0),
    "RP3Beta": lrrec.RP3Beta(),
}
comparison = lrrec.compare(models, split, metrics=["ndcg@10", "coverage@10"])
print(comparison.summary()[["model", "ndcg@10", "coverage@10"]].round(3).to_string(index=False))

# %%
# The films are ordered by their number of training users. A curve says which share of all places the most popular
# films have together.

n_films = split.train.n_items
train_counts = np.bincount(split.train.matrix.indices, minlength=n_films)
by_popularity = np.argsort(-train_counts, kind="stable")
counts = {"likes in training": train_counts}
for name, model in comparison.models.items():
    lists = model.recommend_from(split.history, k=10)
    counts[name] = np.bincount(lists.indices.ravel(), minlength=n_films)

share_of_films = 100 * np.arange(n_films + 1) / n_films
curves = {
    name: 100 * np.append(0, places[by_popularity].cumsum()) / places.sum() for name, places in counts.items()
}  # fmt: skip

# %%
# Beside the curves, the diagonal is where all films would have equally many places.

fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
styles = [("black", "-"), ("C0", "--"), ("C1", "-."), ("C2", "-"), ("C3", ":")]
for (name, curve), (color, style) in zip(curves.items(), styles, strict=True):
    ax.plot(share_of_films, curve, color=color, linestyle=style, linewidth=2, label=name)
ax.plot([0, 100], [0, 100], color="0.7", linewidth=1)
ax.set(xlabel="most popular films, % of all films", ylabel="their share of likes or of places, %")
ax.set(xlim=(0, 100), ylim=(0, 101))
ax.legend(loc="lower right")
plt.show()

# %%
# What the picture says:

for name, curve in curves.items():
    print(f"{name}: the most popular tenth of the films has {np.interp(10, share_of_films, curve):.0f} %.")
