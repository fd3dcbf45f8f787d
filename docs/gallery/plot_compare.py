"""
Which model is better, and how sure is that?
============================================

The mean of a metric depends on the users that happen to be in the test part. The picture shows the mean of each model
with a 95 % bootstrap interval. The difference of two models is tested user by user, which is more precise than a look
at two intervals.
"""

import matplotlib.pyplot as plt

import lrrec

# %%
# A third of the users is new to the models. Each of them is served from 80 % of their likes and tested on the rest.

likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
split = lrrec.splits.by_user(likes, test_size=0.33, random_state=0)
models = {
    "Popularity": lrrec.Popularity(),
    "ItemKNN": lrrec.ItemKNN(),
    "TruncatedSVD": lrrec.TruncatedSVD(),
    "NMF": lrrec.NMF(random_state=0),
    "IALS": lrrec.IALS(16, unobserved_weight=0.3, reg=0.02, random_state=0),
    "EASE": lrrec.EASE(reg=100),
}
comparison = lrrec.compare(models, split, metrics=["ndcg@10", "recall@20"])

# %%
# ``plot`` draws the intervals of one metric.

comparison.plot("ndcg@10")
plt.show()

# %%
# ``pairs`` compares every model with the best one: mean difference, paired interval, p-value adjusted for the number of
# pairs, and the numbers of users for whom each of both is better.

best, second, *_ = comparison.best_first("ndcg@10")
pairs = comparison.pairs("ndcg@10", baseline=best)
columns = ["model", "difference", "low", "high", "p holm", "wins", "losses"]
print(pairs[columns].round(3).to_string(index=False))

# %%
# What the picture and the table say:

row = pairs.set_index("model").loc[second]
sure = "excludes" if row["high"] < 0 or row["low"] > 0 else "includes"
print(f"{best} has the best mean. The interval of the difference to {second}, the next, {sure} 0.")
worse = pairs["model"][(pairs["difference"] < 0) & (pairs["p holm"] < 0.05)]
print(f"Models that are worse than {best} beyond chance (p < 0.05): {', '.join(worse) or 'none'}.")
