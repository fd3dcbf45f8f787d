"""Reading rows of a large array in any order: prefetching, and copies of a row's vectors."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lrrec.linalg.jit import REORDER, kernel

AHEAD = 8  # distance in vectors between the one copied and the one prefetched


@intrinsic
def prefetch(typingctx: Any, array: Any, i: Any, j: Any) -> Any:
    """Load the cache line of array[i, j] of a two-dimensional array ahead of its use."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        data = context.make_array(kind)(context, builder, args[0])
        at = [context.cast(builder, v, t, types.intp) for v, t in zip(args[1:], signature.args[1:], strict=True)]
        pointer = cgutils.get_item_pointer(context, builder, kind, data, at, wraparound=False)
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        call = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), "llvm.prefetch.p0"
        )
        builder.call(call, [builder.bitcast(pointer, byte), word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, i, j), codegen


@kernel(fastmath=REORDER, inline="always")
def gather(Y, indices, data, begin, end, q, w):
    """Copy the rows indices[begin:end] of Y to q and data[begin:end] to w; return their number, padded.

    q (N, D) and w (N,) are padded with zeros to a multiple of four, so that loops can handle four rows at a time.
    """
    n_factors = Y.shape[1]
    last = end - AHEAD
    for s in range(begin, end):
        if s < last:
            ahead = indices[s + AHEAD]
            for z in range(0, n_factors, 16):
                prefetch(Y, ahead, z)  # type: ignore[call-arg]
        j = indices[s]
        for f in range(n_factors):
            q[s - begin, f] = Y[j, f]
        w[s - begin] = data[s]
    n = end - begin
    padded = (n + 3) // 4 * 4
    for s in range(n, padded):
        w[s] = 0
        for f in range(n_factors):
            q[s, f] = 0
    return padded


@kernel(fastmath=REORDER, inline="always")
def longest_row(start, stop, indptr):
    """Return the number of entries of the longest of the rows start..stop, padded to a multiple of four."""
    longest = indptr[start] - indptr[start]
    for u in range(start, stop):
        longest = max(longest, indptr[u + 1] - indptr[u])
    return (longest + 3) // 4 * 4
