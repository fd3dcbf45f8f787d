"""What happened: ids and matrices."""

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions

__all__ = ["IdMap", "Interactions"]
