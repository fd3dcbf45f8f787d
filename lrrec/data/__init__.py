"""Interactions of users with items, and the ids of both."""

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions

__all__ = ["IdMap", "Interactions"]
