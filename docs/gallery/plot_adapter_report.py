"""
Which way to adapt a model?
===========================

A model can be taken to a new market in several ways, and none is best everywhere. `lrrec.AdapterSelector` compares them
on validation users of the market, each with settings that were chosen on other users, and keeps one. The picture shows
the comparison.
"""

import matplotlib.pyplot as plt

import lrrec

# %%
# The base is a model of 300 users. The target has 120 users with other tastes and partly other films.

dataset = lrrec.datasets.load("made-up")
table = dataset.interactions(min_rating=4).to_frame().merge(dataset.users, on="user")
source, target = (lrrec.Interactions.from_frame(group) for _, group in table.groupby("population"))
base = lrrec.IALS(16, unobserved_weight=0.2, reg=0.02, random_state=0).fit(source)

# %%
# ``fold-in`` is the base as it is; ``scratch`` and ``item-item scratch`` are models of the target alone; the others
# start from the base. A blend of the best three is compared, too. All rank the films of the target.

selector = lrrec.AdapterSelector(random_state=0).fit(target, base=base, catalogue=target.items.ids)
selector.plot()
plt.show()

# %%
# What the picture says:

report = selector.report_.set_index("method")
kept = report[report["kept"]].iloc[0]
print(f"Kept: {kept.name}, with {selector.metric} {kept[selector.metric]:.3f} on {kept['users']} validation users.")
difference, low, high = kept[["against fold-in", "low", "high"]]
print(f"Difference to fold-in: {difference:+.3f}, 80 % interval {low:+.3f} to {high:+.3f}.")
print("The verdict:", selector.verdict_)
