"""Cut interactions into what a model may learn from and what it is asked for.

| split        | test users in training | asks                                                                  |
|--------------|------------------------|-----------------------------------------------------------------------|
| `random`     | yes                    | which held-out interactions are found                                 |
| `leave_last` | yes                    | what comes next for each user                                         |
| `by_time`    | as it happened         | what comes after a date, nothing after it being known                 |
| `by_user`    | no                     | how new users, known by a history, are served (strong generalization) |
| `cold_items` | as it happened         | which items are liked that nobody has tried, by their features        |

`with_negatives` gives the test users of a split candidates, as protocols do that rank one item among a hundred.

and several at once, made one after another as they are asked for:

| splits     | each tests on                                                        |
|------------|----------------------------------------------------------------------|
| `k_folds`  | one of k parts of the users, or of the interactions, each part once  |
| `windows`  | a stretch of time, after learning from what came before it           |
| `repeated` | another draw of a split of the table above                           |
"""

from lrrec.splits.holdout import by_time, by_user, cold_items, history_mask, leave_last, random, with_negatives
from lrrec.splits.resampling import k_folds, repeated, windows
from lrrec.splits.split import Split

__all__ = [
    "Split",
    "by_time",
    "by_user",
    "cold_items",
    "history_mask",
    "k_folds",
    "leave_last",
    "random",
    "repeated",
    "windows",
    "with_negatives",
]
