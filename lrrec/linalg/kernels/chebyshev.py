"""A step of a Chebyshev polynomial of a matrix."""

from lrrec.linalg.jit import REORDER, kernel


@kernel(fastmath=REORDER)
def chebyshev_step(factor, coefficient, product, before, now, out):
    """Write factor (now - 2 product) - before over `before`, add coefficient times it to out, and clear product.

    All (I, B). For product = P now and x = 1 - 2 P, that is T_k+1(x) = 2 x T_k(x) - T_k-1(x), with a factor of 2.
    """
    for i in range(len(now)):
        last, current, times, total = before[i], now[i], product[i], out[i]
        for b in range(now.shape[1]):
            following = factor * (current[b] - 2 * times[b]) - last[b]
            last[b] = following
            total[b] += coefficient * following
            times[b] = 0
