"""How good models are: metrics of every user, intervals, and paired tests of differences."""

from lrrec.evaluation.comparison import Comparison, compare
from lrrec.evaluation.evaluator import evaluate
from lrrec.evaluation.item_groups import by_item_group, popularity_groups
from lrrec.evaluation.protocol import Candidates, Protocol
from lrrec.evaluation.ready_lists import evaluate_lists
from lrrec.evaluation.result import Evaluation

__all__ = [
    "Candidates", "Comparison", "Evaluation", "Protocol", "by_item_group", "compare", "evaluate", "evaluate_lists",
    "popularity_groups",
]  # fmt: skip
