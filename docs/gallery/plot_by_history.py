"""
For whom is a model good?
=========================

A mean over all users hides those whom a model serves badly. The picture shows nDCG@10 by the length of a user's
history, with 95 % intervals, for popular films and for a model of factors.
"""

import matplotlib.pyplot as plt

import lrrec

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

edges = (1, 10, 20, 40)
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for name, evaluation in comparison.evaluations.items():
    evaluation.plot_by_history("ndcg@10", edges=edges, label=name, ax=ax)
ax.legend(loc="upper left")
plt.show()

# %%
# What the picture says:

popularity, ials = (evaluation.by_history(edges) for evaluation in comparison.evaluations.values())
for before, after in zip(popularity.itertuples(), ials.itertuples(), strict=True):
    print(f"{after.group} likes ({after.n} users): Popularity {before.mean:.3f}, IALS {after.mean:.3f}")
