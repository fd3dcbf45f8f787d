"""Features of items and users from tables: columns of numbers, categories, tags, text and vectors."""

from lrrec.data.features import Features
from lrrec.features.columns import Category, Column, Number, Tags, Vector
from lrrec.features.feature_encoder import FeatureEncoder
from lrrec.features.text import Text

__all__ = ["Category", "Column", "FeatureEncoder", "Features", "Number", "Tags", "Text", "Vector"]
