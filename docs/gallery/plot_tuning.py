"""
How many trials does tuning need?
=================================

``tune`` tries settings of a model on validation users that it cuts out of the training part. The picture shows the
value of each trial and the best one so far: where the line is level, further trials gained nothing.
"""

import matplotlib.pyplot as plt

import lrrec

# %%
# The first trial has the model's own settings, numbers in the place of "auto". The test users decide nothing.

likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
split = lrrec.splits.by_user(likes, test_size=0.2, random_state=0)
space = {
    "n_factors": [8, 32, 128],
    "unobserved_weight": (0.01, 1.0, "log"),
    "reg": (0.001, 0.1, "log"),
}
model = lrrec.IALS(random_state=0)
tuning = lrrec.tune(model, split, space=space, n_trials=20, random_state=0)
print({name: round(value, 3) for name, value in tuning.best_params_.items()})

# %%
# A trial that is clearly worse than the best one after the first of five folds is not tried on the others.

tuning.plot()
plt.show()

# %%
# What the picture says:

trials = tuning.trials_
best = trials["value"][trials["state"] == "finished"].idxmax()
low, high = tuning.gain_interval_
print(f"Trial {best + 1} of {len(trials)} is the best, with {tuning.best_value_:.3f} on validation.")
print(f"The model's own settings have {trials['value'][0]:.3f}: a gain of {tuning.gain_:.3f}, ", end="")
print(f"95 % interval {low:.3f} to {high:.3f}.")
test = lrrec.evaluate(tuning.model_, split, metrics=["ndcg@10"])
print(f"On the test users the tuned model has {test.mean()['ndcg@10']:.3f}.")
