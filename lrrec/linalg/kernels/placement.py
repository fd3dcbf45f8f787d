"""Places of entries in the rows of a matrix that is filled in any order."""

from lrrec.linalg.jit import kernel


@kernel()
def take_places(rows, next_place, out):
    """Write the place of each entry (n,): the next free one of its row; next_place (n_rows,) moves on."""
    for s in range(len(rows)):
        out[s] = next_place[rows[s]]
        next_place[rows[s]] += 1
