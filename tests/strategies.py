"""What hypothesis draws: interactions with times and repeated times, of any small shape."""

import numpy as np
from hypothesis import strategies as st

from lrrec import Interactions


@st.composite
def interactions(draw, min_users=2, min_each=0):
    """Interactions of 2..12 users with 1..10 items each, some at the same time."""
    n_users = draw(st.integers(min_users, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_items = draw(st.integers(max(2, min_each), 15))
    counts = rng.integers(max(1, min_each), n_items + 1, n_users)
    users = np.repeat(np.arange(n_users), counts)
    items = np.concatenate([rng.choice(n_items, count, replace=False) for count in counts])
    times = rng.integers(0, draw(st.sampled_from([2, 10, 1000])), len(users))
    values = rng.integers(1, 6, len(users))
    return Interactions.from_pairs(users, items, values=values, times=times)
