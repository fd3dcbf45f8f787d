"""
The long tail
=============

A few items have most of the interactions.
"""

import numpy as np

import lrrec

# %%
# Counts.

counts = np.sort(np.bincount(lrrec.datasets.load("made-up").interactions(min_rating=4).matrix.indices))[::-1]
print(counts[:5])
