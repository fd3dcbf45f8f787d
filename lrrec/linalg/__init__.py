"""Arrays in, arrays out: no ids, no classes, no files, no global state."""

from lrrec.linalg.als import implicit_loss, solve_rows
from lrrec.linalg.topk import top_k

__all__ = ["implicit_loss", "solve_rows", "top_k"]
