"""
Why was this film recommended?
==============================

The score of many models is a sum over the user's history. ``explain`` returns what each film of the history adds to the
score of a recommended one. The picture shows these contributions for the first recommendation of one user.
"""

import matplotlib.pyplot as plt

import lrrec

plt.style.use("seaborn-v0_8-colorblind")

# %%
# `lrrec.EASE` is linear in the history: without one of the films the score changes by exactly its contribution.

dataset = lrrec.datasets.load("made-up")
films = dataset.items.set_index("item")
model = lrrec.EASE(reg=100).fit(dataset.interactions(min_rating=4))
user = 25
item = model.recommend([user], k=1).items[0, 0]
explanation = model.explain(user, item)
print(explanation)

# %%
# Films that share a genre with the recommended one have another colour.

history = explanation.to_frame()
wanted = set(films.loc[item, "genres"].split("|"))
shares = films.loc[history["item"], "genres"].str.split("|").map(lambda genres: bool(wanted & set(genres))).to_numpy()

fig, ax = plt.subplots(figsize=(6.4, 5), layout="constrained")
for mask, color, label in ((shares, "C0", "shares a genre"), (~shares, "C2", "shares none")):
    rows = history[mask]
    ax.barh(rows.index, rows["contribution"], color=color, label=label)
ax.set_yticks(history.index, films.loc[history["item"], "title"], fontsize=9)
ax.invert_yaxis()
ax.axvline(0, color="black", linewidth=0.8)
ax.set(xlabel=f"contribution to the score of {films.loc[item, 'title']}")
ax.legend(loc="lower right")
plt.show()

# %%
# What the picture says:

first = explanation.contributions[:5].sum()
title, genres = films.loc[item, ["title", "genres"]]
print(f"User {user} gets {title}, {genres}, with a score of {explanation.score:.2f}.")
print(f"Five of {len(explanation.items)} films of the history make up {first:.2f} of it.")
print(f"{shares.sum()} of them share a genre with it, and they add ", end="")
print(f"{history['contribution'][shares].sum():.3f}; the others {history['contribution'][~shares].sum():.3f}.")
