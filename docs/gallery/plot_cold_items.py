"""
Can new films be ranked before anybody has seen them?
=====================================================

A new film has no interactions. What a model knows about it are its features, here genres and a year. The picture shows
how well three models rank new films by their features, beside a random order.
"""

import matplotlib.pyplot as plt
import numpy as np

import lrrec
from lrrec.features import FeatureEncoder, Number, Tags

# %%
# A fifth of the films is taken out of the training part. The models rank these films alone.

dataset = lrrec.datasets.load("made-up")
split = lrrec.splits.cold_items(dataset.interactions(min_rating=4), random_state=0)
films = dataset.items.assign(year=dataset.items["title"].str[-5:-1].astype(int))  # "The Last Dune (1998)"
features = FeatureEncoder({"genres": Tags(), "year": Number()}, id="item").fit_transform(films)
print(len(split.candidates), "new films")


# %%
# A random order is all that is left without features. `lrrec.compare` takes any object that returns lists.


class RandomOrder:
    """Rank the candidates in a random order."""

    def recommend(self, users, k, items, **options):
        """Return k of the items for each user."""
        rng = np.random.default_rng(0)
        return [rng.permutation(items)[:k] for _ in users]


models = {
    "random order": RandomOrder(),
    "ItemContent": lrrec.ItemContent(),
    "EASE with features": lrrec.EASE(reg=100),
    "IALS with features": lrrec.IALS(16, unobserved_weight=0.3, reg=0.02, random_state=0),
}
comparison = lrrec.compare(models, split, metrics=["ndcg@10"], item_features=features)

# %%
# The intervals are about the choice of users.

comparison.plot("ndcg@10")
plt.show()

# %%
# What the picture says:

means = comparison.summary().set_index("model")["ndcg@10"]
best, second = comparison.best_first("ndcg@10")[:2]
pair = comparison.pairs("ndcg@10", baseline=second).set_index("model").loc[best]
print(f"{best} has nDCG@10 {means[best]:.3f}, a random order {means['random order']:.3f}.")
print(f"Its difference to {second} is {pair['difference']:.3f}, 95 % interval {pair['low']:.3f} to {pair['high']:.3f}.")
