"""The weights of a loop, packed before it runs.

Which weight goes where is data, not code: a function that packs so many weights serves every loop that has as many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .fetching import word
from .linked import Kernel
from .packing import _pack, width_of
from .pointers import behind, element
from .vectors import INT64

HEAD = "from tapegrad.backends.numba_cpu.runtime import *\nimport numpy as np\n\n\n"
_ENTRY = 9  # whole numbers of an entry
_MORE = 4  # the number of weights that a function packs is a multiple of this

_panels = numba.njit(nogil=True, error_model="numpy", boundscheck=False)(_pack)


def weight_table(entries: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    """Where weights are packed, for :func:`pack_weight`.

    Parameters
    ----------
    entries : list of list of (row, step, K, N, start, depth, k, n, whole)
        For each weight the places that it goes to: element (a, b) of its K rows and N columns is found at
        ``a * row + b * step``, and is element (k + a, n + b) of the operand of ``depth`` rows at ``packed[start:]``.
        ``whole`` is 1 where it fills panels by itself, the last one with zeros behind it.

    Returns
    -------
    array of int64
        For each weight where its entries begin, and where the last ones end, in front of the entries.
    """
    count = weight_arguments(len(entries))
    begins = np.cumsum([0, *map(len, entries), *[0] * (count - len(entries))]) * _ENTRY + count + 1
    return np.array([*begins, *(number for places in entries for entry in places for number in entry)], np.int64)


def weight_arguments(count: int) -> int:
    """How many weights the function takes that packs so many: one for each number would be compiled often."""
    return count + -count % _MORE


def prepare_source(count: int) -> str:
    """The text of the function ``prepare(table, packed, w0, w1, ...)`` for so many weights."""
    names = [f"w{i}" for i in range(weight_arguments(count))]
    calls = "".join(f"    pack_weight({name}, table, {i}, packed)\n" for i, name in enumerate(names))
    return f"{HEAD}def prepare({', '.join(['table', 'packed', *names])}):\n{calls}    return\n"


def _weigh(b, table, i, packed):
    """Write a weight to the places that its entries name; ``table`` is the address of their table."""
    width = width_of(packed)
    for at in range(word(table, i), word(table, i + 1), _ENTRY):
        row, step, K, N = word(table, at), word(table, at + 1), word(table, at + 2), word(table, at + 3)
        start, depth, k0, n0 = word(table, at + 4), word(table, at + 5), word(table, at + 6), word(table, at + 7)
        if word(table, at + 8) != 0:
            _panels(b, 1, 1, row, K, step, N, width, behind(packed, start + n0 * depth))
            continue
        for n in range(N):
            column = n0 + n
            target = start + column // width * width * depth + column % width + k0 * width
            for k in range(K):
                packed[target + k * width] = b[n * step + k * row]


_weighed = Kernel(_weigh, "b packed")


@intrinsic
def pack_weight(typingctx, b, table, i, packed):
    """Write weight ``i`` to the places that a table of :func:`weight_table` names; none if it has fewer weights."""
    dtype = _weighed.ready(b, packed)

    def codegen(context, builder, signature, args):
        kinds = signature.args
        source, places, target = (
            element(context, builder, kinds[n], args[n], ir.Constant(INT64, 0)) for n in (0, 1, 3)
        )
        _weighed.call(context, builder, dtype, [source, builder.ptrtoint(places, INT64), args[2], target])
        return context.get_dummy_value()

    return types.void(b, table, types.intp, packed), codegen
