"""Split interactions into a training and a test part.

| split        | test users in training | test interactions                                             |
|--------------|------------------------|---------------------------------------------------------------|
| `random`     | yes                    | drawn at random from all interactions                         |
| `leave_last` | yes                    | the last n of each user                                       |
| `by_time`    | some                   | all after a point in time; training has none of them          |
| `by_user`    | no                     | a part of those of new users, who are encoded from the others |
|              |                        | (strong generalization)                                       |
| `cold_items` | some                   | all on new items, which only features tell apart              |
| `cold_users` | no                     | all of new users, of whom nothing but features is known       |

`with_negatives` adds sampled negatives: each test user's candidates are the relevant item and, say, 99 others.
`with_validation` adds a validation split of the training part. `Split.from_frames` makes a split of given parts.

Splits in the order of time (`leave_last`, `by_time`, `windows`, order="time") cut what happened before repeated pairs
of user and item are merged: `repeats` says whether what users have had already stays in test. Ties in time are drawn.

Generators of several splits:

| splits     | tests on                                                                 |
|------------|--------------------------------------------------------------------------|
| `k_folds`  | each of k parts of the users, or of the interactions, once               |
| `windows`  | one period after another, training on the interactions before it         |
| `repeated` | repeated draws of a split of the first table                             |
"""

from lrrec.splits.holdout import (
    by_time,
    by_user,
    cold_items,
    cold_users,
    leave_last,
    random,
    with_negatives,
    with_validation,
)
from lrrec.splits.parts import history_mask
from lrrec.splits.resampling import k_folds, repeated, windows
from lrrec.splits.split import Split

__all__ = [
    "Split",
    "by_time",
    "by_user",
    "cold_items",
    "cold_users",
    "history_mask",
    "k_folds",
    "leave_last",
    "random",
    "repeated",
    "windows",
    "with_negatives",
    "with_validation",
]
