"""
What does diversity cost?
=========================

Re-ranking puts more genres into a list, and for these it leaves out films with better scores. The picture shows nDCG@10
against the diversity of the lists, for several settings of two methods of `lrrec.rerank`.
"""

import matplotlib.pyplot as plt

import lrrec
from lrrec import rerank

plt.style.use("seaborn-v0_8-colorblind")

# %%
# The steps choose among the items of the lists, so the model makes lists of 50 films.

dataset = lrrec.datasets.load("made-up")
split = lrrec.splits.by_user(dataset.interactions(min_rating=4), test_size=0.3, random_state=0)
model = lrrec.IALS(16, unobserved_weight=0.3, reg=0.02, random_state=0).fit(split.train)
lists = model.recommend_from(split.history, k=50)

# %%
# Diversity is the mean of 1 - cosine over the pairs of films in a list, by their genres. ``MMR`` weighs it against the
# score; ``Quota`` limits how many films have the same first genre.

genres = dataset.items.set_index("item")["genres"]
vectors = genres.str.get_dummies("|")
first_genre = genres.str.split("|").str[0]
metrics = ["ndcg@10", "diversity@10"]


def measured(step):
    """Return the mean of both metrics for the lists after a step."""
    return lrrec.evaluate_lists(step(lists), split, metrics=metrics, vectors=vectors).mean()


settings = (0, 0.1, 0.3, 0.5, 0.7)
mmr = {diversity: measured(rerank.MMR(vectors, diversity=diversity, k=10)) for diversity in settings}
quota = {at_most: measured(rerank.Quota(first_genre, at_most, k=10)) for at_most in (2, 3, 4, 5)}

# %%
# The number at a point is the setting.

fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
curves = {"MMR, diversity": (mmr, "o-C0", (6, 4)), "Quota, at_most": (quota, "s--C2", (-10, -12))}
for name, (results, style, offset) in curves.items():
    x, y = ([result[metric] for result in results.values()] for metric in reversed(metrics))
    ax.plot(x, y, style, label=name)
    for setting, *point in zip(results, x, y, strict=True):
        ax.annotate(setting, point, offset, textcoords="offset points", fontsize=9)
ax.margins(0.08)
ax.set(xlabel="diversity@10", ylabel="nDCG@10")
ax.legend()
plt.show()

# %%
# What the picture says:

plain = mmr[0]
for name, result in {"MMR with diversity=0.3": mmr[0.3], "Quota with at_most=3": quota[3]}.items():
    ndcg, diversity = (100 * (result[metric] / plain[metric] - 1) for metric in metrics)
    print(f"{name}: diversity {diversity:+.0f} %, nDCG@10 {ndcg:+.0f} %, beside the lists of the model.")
