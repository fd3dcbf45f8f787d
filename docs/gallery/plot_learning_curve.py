"""
What is a model of one market worth in another?
===============================================

A new market has few users. Is it better to serve them with the model of a large market, to adapt this model, or to fit
a model of the new market alone? The picture shows each method with more and more users of the new market, all measured
on the same new users.
"""

import matplotlib.pyplot as plt

import lrrec
from lrrec.adapt import learning_curve

# %%
# The made-up data set has two populations with different tastes and partly different films.

dataset = lrrec.datasets.load("made-up")
table = dataset.interactions(min_rating=4).to_frame().merge(dataset.users, on="user")
source, target = (lrrec.Interactions.from_frame(group) for _, group in table.groupby("population"))
print("source:", source)
print("target:", target)

# %%
# The base is fitted to the source alone. ``fold-in`` serves target users with the base as it is; ``scratch`` and
# ``item-item scratch`` are models of the target alone; ``guarded`` is what an adapter keeps after its comparison.

base = lrrec.IALS(16, unobserved_weight=0.2, reg=0.02, random_state=0).fit(source)
curve = learning_curve(base, target, sizes=[10, 25], metric="ndcg@10", n_validation=20, n_draws=3)

# %%
# Methods are tuned on 20 further users of the target. Users are drawn three times.

curve.plot()
plt.show()

# %%
# What the picture says, with the best of the models of the target alone and of the adapters:

summary = curve.summary()
alone = ["popularity", "scratch", "item-item scratch"]
for users, row in summary.pivot(index="users", columns="method", values="ndcg@10").iterrows():
    adapters = row.drop([*alone, "fold-in", "guarded"])
    print(f"{users} users: fold-in {row['fold-in']:.3f}, target alone {row[alone].max():.3f}, ", end="")
    print(f"adapters {adapters.max():.3f}, guarded {row['guarded']:.3f}.")
print(f"Standard errors are {summary['standard error'].min():.3f} to {summary['standard error'].max():.3f}.")
