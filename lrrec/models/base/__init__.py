"""The bases of all models: recommending, factors, quadratic losses, item-item weights."""

from lrrec.models.base.alternating_model import AlternatingModel
from lrrec.models.base.encoder_model import EncoderModel
from lrrec.models.base.explanation import Explanation
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.feature_model import FeatureModel
from lrrec.models.base.item_item import ItemItemModel
from lrrec.models.base.quadratic_model import QuadraticModel
from lrrec.models.base.recommender import Recommender
from lrrec.models.base.results import Neighbors, Recommendations

__all__ = [
    "AlternatingModel",
    "EncoderModel",
    "Explanation",
    "FactorModel",
    "FeatureModel",
    "ItemItemModel",
    "Neighbors",
    "QuadraticModel",
    "Recommendations",
    "Recommender",
]
