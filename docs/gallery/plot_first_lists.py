"""
From a table to lists
=====================

What does a list of recommendations look like, and do two people get different ones? A model needs a table with a row
for each interaction. The picture shows the first ten films of two users with their scores.
"""

import matplotlib.pyplot as plt

import lrrec

plt.style.use("seaborn-v0_8-colorblind")

# %%
# The made-up data set comes with lrrec. A rating of 4 or 5 counts as positive.

dataset = lrrec.datasets.load("made-up")
ratings = dataset.ratings
print(ratings.head(3))
likes = lrrec.Interactions.from_frame(ratings, value="rating", time="time").binarize(min_value=4)
print(likes)

# %%
# `lrrec.IALS` learns factors of users and films. Its lists leave out the films that a user likes already.

model = lrrec.IALS(16, unobserved_weight=0.3, reg=0.02, random_state=0).fit(likes)
lists = model.recommend([7, 42], k=10).to_frame()
lists["title"] = lists["item"].map(dataset.items.set_index("item")["title"])
print(lists.head(3))

# %%
# The model is fitted to a score of 1 for a film that a user likes and of 0 for the others.

in_both = lists["item"].duplicated(keep=False)
fig, axes = plt.subplots(2, figsize=(6.4, 5.6), sharex=True, layout="constrained")
for ax, (user, rows) in zip(axes, lists.groupby("user"), strict=True):
    for shared, color, label in ((False, "C0", "in this list alone"), (True, "C2", "in both lists")):
        films = rows[in_both[rows.index] == shared]
        ax.barh(films["rank"], films["score"], color=color, label=label)
    ax.set_yticks(rows["rank"], rows["title"], fontsize=9)
    ax.set_title(f"User {user}", loc="left")
    ax.invert_yaxis()
axes[1].legend(loc="lower right")
axes[1].set_xlabel("score")
plt.show()

# %%
# What the picture says:

for user, rows in lists.groupby("user"):
    print(f"User {user}: the scores fall from {rows['score'].max():.2f} to {rows['score'].min():.2f} in ten places.")
print(f"Films in both lists: {lists['item'].duplicated().sum()} of 10.")
