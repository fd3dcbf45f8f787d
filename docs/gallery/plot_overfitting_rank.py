"""
Can a model have too many factors?
==================================

With more factors a model can describe the training data more closely, noise included. The picture shows nDCG@10 of
new users by the number of factors: for a singular value decomposition without regularization, with it, and for
`lrrec.IALS`.
"""

import matplotlib.pyplot as plt

import lrrec

plt.style.use("seaborn-v0_8-colorblind")

# %%
# ``reg="auto"`` is set by how much of the matrix may be noise. With ``reg=0``, `lrrec.TruncatedSVD` is PureSVD.

likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
split = lrrec.splits.by_user(likes, test_size=0.3, random_state=0)
models = {
    "TruncatedSVD, reg=0": lrrec.TruncatedSVD(reg=0),
    'TruncatedSVD, reg="auto"': lrrec.TruncatedSVD(),
    "IALS": lrrec.IALS(unobserved_weight=0.3, reg=0.02, random_state=0),
}
ranks = [1, 2, 4, 8, 16, 32, 64, 128, 256]

# %%
# Each model is fitted with each number of factors.

curves = {}
for name, model in models.items():
    curves[name] = []
    for rank in ranks:
        result = lrrec.evaluate(model.set_params(n_factors=rank).fit(split.train), split, metrics=["ndcg@10"])
        curves[name].append(result.mean()["ndcg@10"])

fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (name, values), style in zip(curves.items(), ("o-C2", "s--C0", "^-.C1"), strict=True):
    ax.plot(ranks, values, style, label=name)
ax.set_xscale("log", base=2)
ax.set_xticks(ranks, map(str, ranks))
ax.set(xlabel="number of factors", ylabel="nDCG@10 of new users")
ax.legend(loc="lower center")
plt.show()

# %%
# What the picture says:

for name, values in curves.items():
    best = max(values)
    print(f"{name}: best with {ranks[values.index(best)]} factors ({best:.3f}); with {ranks[-1]} {values[-1]:.3f}.")
