"""Whether two pytrees of numbers agree, and which element says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import pytree
from ..tensor import Tensor
from .gradients import GradientMismatch

#: What two correct computations of one gradient may differ by, beside the largest element of the array.
ROUNDING = {np.dtype(np.float16): 1e-1, np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-9}
LISTED = 5  # arrays that a failure names, the worst first


@dataclass(frozen=True)
class Gap:
    """Where two arrays of one shape differ most.

    Attributes
    ----------
    index : tuple of int
    first, second : float
        The two elements.
    relative : float
        Their difference beside the larger of the two.
    count : int
        How many elements differ by more than is allowed.
    """

    index: tuple[int, ...]
    first: float
    second: float
    relative: float
    count: int


def relative_error(a: float, b: float) -> float:
    """|a - b| beside the larger of the two; infinite where one is no number."""
    gap = abs(a - b)
    if not np.isfinite(gap):
        return float("inf")
    return gap / max(abs(a), abs(b)) if gap else 0.0


def worst_gap(first: Any, second: Any, allowed: Any) -> Gap | None:
    """The element at which two arrays exceed what is allowed by most; None where they agree.

    NaN agrees with nothing, not with NaN either, and infinities do not agree with themselves: neither is a gradient.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)
        excess = np.where(np.isnan(gap), np.inf, gap - allowed)
        bad = ~(gap <= allowed) | np.isinf(a) | np.isinf(b)
    if not bad.any():
        return None
    worst = np.unravel_index(np.argmax(np.where(bad, excess, -np.inf)), gap.shape)
    one, two = float(a[worst]), float(b[worst])
    return Gap(tuple(map(int, worst)), one, two, relative_error(one, two), int(np.count_nonzero(bad)))


def largest(array: Any) -> float:
    """The largest finite magnitude in an array, 0 when there is none."""
    array = np.abs(np.asarray(array, np.float64))
    return float(np.max(array, initial=0.0, where=np.isfinite(array)))


def assert_gradients_close(
    found: Any, expected: Any, *, rtol: float | None = None, atol: float = 0.0, name: str = "gradient"
) -> None:
    """Fail unless two pytrees of gradients agree, array by array.

    An element may differ by ``atol + rtol * m``, where m is the largest magnitude in its array of ``expected``: the
    elements of a gradient are sums over the same steps and rows, so their rounding errors are alike, and small
    ones are no more accurate than large ones. NaN and infinities agree with nothing.

    Parameters
    ----------
    found, expected : pytrees of arrays
        Of one structure.
    rtol : float, optional
        By default 1e-9, and 1e-4 for arrays of which one is float32.
    atol : float
    name : str
        What the numbers are called in a message.

    Raises
    ------
    GradientMismatch
        With the path of each array that differs, the worst element, both numbers and the relative error. It is an
        AssertionError.

    Examples
    --------
    >>> assert_gradients_close({"w": np.ones(2)}, {"w": np.ones(2) + 1e-12})
    """
    left, right = pytree.structure(found), pytree.structure(expected)
    if left != right:
        raise GradientMismatch(f"assert_gradients_close: {name} has the structure {left!r}, expected {right!r}")
    failures = []
    for path, a, b in zip(pytree.paths(expected), pytree.leaves(found), pytree.leaves(expected), strict=True):
        where = name if path == "value" else f"{name}{path if path.startswith('[') else '.' + path}"
        gap, text = _compared(where, a, b, rtol, atol)
        if text:
            failures.append((gap, text))
    if failures:
        failures.sort(key=lambda failure: -failure[0])
        more = f"\n... and {len(failures) - LISTED} more arrays" if len(failures) > LISTED else ""
        raise GradientMismatch(
            f"assert_gradients_close: {len(failures)} of {right.size} arrays differ\n"
            + "\n".join(text for _, text in failures[:LISTED]) + more
        )  # fmt: skip


def _compared(where: str, a: Any, b: Any, rtol: float | None, atol: float) -> tuple[float, str]:
    """The relative error and what is said of two arrays; nothing where they agree."""
    a, b = (x.value if isinstance(x, Tensor) else np.asarray(x) for x in (a, b))
    if a.shape != b.shape:
        return np.inf, f"{where} has shape {a.shape}, expected {b.shape}"
    chosen = max(ROUNDING.get(x.dtype, 0.0) for x in (a, b)) if rtol is None else rtol
    allowed = atol + chosen * largest(b)
    gap = worst_gap(a, b, allowed)
    if gap is None:
        return 0.0, ""
    return gap.relative, (
        f"{where} at element {gap.index}:\n"
        f"  found           {gap.first!r}\n"
        f"  expected        {gap.second!r}\n"
        f"  relative error  {gap.relative:.2e}; allowed is a difference of {allowed:.1e}; {gap.count} of {a.size} "
        "elements differ by more"
    )
