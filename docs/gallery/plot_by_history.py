"""
For whom is a model good?
=========================

A mean over all users hides those whom a model serves badly. The picture shows nDCG@10 by the length of a user's
history, with 95 % intervals, for popular films and for a model of factors.
"""

import matplotlib.pyplot as plt

import lrrec

plt.style.use("seaborn-v0_8-colorblind")

# %%
# Half of the users are test users, so that each group has some.

likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
split = lrrec.splits.by_user(likes, test_size=0.5, random_state=0)
models = {
    "Popularity": lrrec.Popularity(),
    "IALS": lrrec.IALS(16, unobserved_weight=0.3, reg=0.02, random_state=0),
}
comparison = lrrec.compare(models, split, metrics=["ndcg@10"])

# %%
# Users with a long history also have more test films, which are easier to hit. So compare models within a group, and
# not the groups with each other.

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.6), sharey=True, layout="constrained")
for ax, (name, evaluation) in zip(axes, comparison.evaluations.items(), strict=True):
    evaluation.plot_by_history("ndcg@10", ax=ax)
    ax.set_title(name)
plt.show()

# %%
# What the picture says:

popularity, ials = (evaluation.by_history() for evaluation in comparison.evaluations.values())
for before, after in zip(popularity.itertuples(), ials.itertuples(), strict=True):
    print(f"{after.group} likes ({after.n} users): Popularity {before.mean:.3f}, IALS {after.mean:.3f}")
