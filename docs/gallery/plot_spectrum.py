"""
How much of the data is noise?
==============================

The singular values of the interaction matrix say how much of it each direction explains. Even a random matrix has
singular values, up to a noise level. The picture shows the values of the data, this level, and what is left in a
`lrrec.TruncatedSVD`, whose ``reg`` lowers each value and drops the small ones.
"""

import matplotlib.pyplot as plt
import numpy as np

import lrrec
from lrrec.linalg import compress, parallel_analysis, truncated_svd

plt.style.use("seaborn-v0_8-colorblind")

# %%
# A random matrix with entries of mean 0 and the same sum of squares has about the noise level as its largest singular
# value.

matrix = lrrec.datasets.load("made-up").interactions(min_rating=4).matrix
squares = np.square(matrix.data).sum()
noise = np.sqrt(squares / matrix.shape[0]) + np.sqrt(squares / matrix.shape[1])
svd = truncated_svd(matrix, 60)

# %%
# ``reg="auto"`` is three quarters of the noise level, at most half of the largest norm of a row or column. The singular
# values of the model's scores are those of the data less ``reg``.

model = lrrec.TruncatedSVD(60).fit(matrix)
reg = model.reg_[0]
of_scores = compress(model.user_factors_, model.item_factors_, 60).s

# %%
# For a second opinion, interactions are permuted so that each user and each film has as many as before.

_, _, permuted = parallel_analysis(matrix, 60)

fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
svd.plot(noise=noise, ax=ax)
numbers = np.arange(1, 61)
ax.plot(numbers, permuted, color="0.5", linestyle=":", linewidth=2, label="permuted interactions")
ax.plot(numbers, of_scores, color="C1", linestyle="--", linewidth=2, label='scores of TruncatedSVD, reg="auto"')
ax.set_yscale("linear")
ax.legend()
plt.show()

# %%
# What the picture says:

print(f"{(svd.s > noise).sum()} of the first 60 singular values are above the noise level of {noise:.1f}.")
print(f"{(svd.s > permuted).sum()} are above the permuted value of the same number.")
print(f'reg="auto" is {reg:.1f}: the model keeps {(of_scores > 0.01).sum()} directions, and the first ', end="")
print(f"falls from {svd.s[0]:.1f} to {of_scores[0]:.1f}.")
