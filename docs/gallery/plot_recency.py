"""
When do weights by recency help?
================================

``decayed`` gives recent interactions more weight: with a half-life of 90 days, one that is 90 days old counts half. The
picture shows nDCG@10 by the half-life, for people whose tastes change and for people whose tastes stay the same.
"""

import matplotlib.pyplot as plt
import numpy as np

import lrrec

plt.style.use("seaborn-v0_8-colorblind")
N_USERS, N_GENRES, N_FILMS, N_DAYS = 800, 8, 40, 720  # films of each genre

# %%
# The data are simulated. Seven of ten films are of a person's favourite genre, the others of any genre. Where tastes
# change, a person has another favourite after a random day.


def simulate(*, tastes_change):
    """Return interactions with their days."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(N_USERS), 40)
    days = rng.integers(N_DAYS, size=len(users))
    first, second = rng.integers(N_GENRES, size=(2, N_USERS))
    last_day_of_first = rng.integers(N_DAYS, size=N_USERS) if tastes_change else np.full(N_USERS, N_DAYS)
    favourite = np.where(days > last_day_of_first[users], second[users], first[users])
    genre = np.where(rng.random(len(users)) < 0.7, favourite, rng.integers(N_GENRES, size=len(users)))
    films = genre * N_FILMS + rng.integers(N_FILMS, size=len(users))
    return lrrec.Interactions.from_pairs(users, films, times=days, duplicates="last")


# %%
# Models are tested on the last fifth of the interactions. Weights make sums smaller, so ``reg`` is chosen for each
# half-life, on a validation part before the test part.


def ndcg(model, split):
    """Fit a model and return its nDCG@10."""
    return lrrec.evaluate(model.fit(split.train), split, metrics=["ndcg@10"]).mean()["ndcg@10"]


def tuned_ndcg(split):
    """Return nDCG@10 on the test part with the reg that is best on the validation part."""
    models = [lrrec.EASE(reg) for reg in (30, 100, 300, 1000)]
    return ndcg(max(models, key=lambda model: ndcg(model, split.validation)), split)


half_lives = [30, 60, 120, 240, 480]
results = {}
for name, tastes_change in (("tastes change", True), ("tastes stay the same", False)):
    split = lrrec.splits.by_time(simulate(tastes_change=tastes_change), test_size=0.2, repeats="drop")
    split = lrrec.splits.with_validation(split)
    results[name] = tuned_ndcg(split), [tuned_ndcg(split.decayed(half_life)) for half_life in half_lives]

# %%
# The horizontal lines are the results without weights.

fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (name, (without, values)), color, marker in zip(results.items(), ("C0", "C2"), "os", strict=True):
    ax.plot(half_lives, values, marker=marker, color=color, label=name)
    ax.axhline(without, color=color, linestyle=":", label=f"{name}, no weights")
ax.set_xscale("log")
ax.set_xticks(half_lives, map(str, half_lives))
ax.minorticks_off()
ax.set(xlabel="half-life, days", ylabel="nDCG@10")
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %%
# What the picture says:

for name, (without, values) in results.items():
    best = int(np.argmax(values))
    print(f"Where {name}: {without:.3f} without weights, {values[best]:.3f} with the best half-life, ", end="")
    print(f"{half_lives[best]} days, and {values[0]:.3f} with the shortest.")
