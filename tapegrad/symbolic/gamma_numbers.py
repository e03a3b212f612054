"""The bounds of the gamma analysis for real parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sympy import Float, oo

from tapegrad import pytree
from tapegrad.errors import OptionError

from .evaluation import as_print, evaluate
from .expressions import Value

if TYPE_CHECKING:
    from .gamma import Bound


def bound_of(bound: Bound, params: Any, given: Mapping[str, float]) -> float:
    """The bound of gamma_step: see :meth:`Bound.evaluate`."""
    made = bound.gamma_step.bound
    if made == oo:
        return float("inf")
    table = matrices(bound, params)
    values: dict[Any, Any] = {}
    definitions = bound.ranges.definitions
    todo = list(made.free_symbols)
    while todo:  # what a definition needs comes before it
        symbol = todo[-1]
        missing = definitions[symbol].free_symbols - set(values) if symbol in definitions else set()
        if missing:
            todo.extend(missing)
            continue
        todo.pop()
        if symbol in definitions:
            values[symbol] = Float(definitions[symbol].xreplace(values).evalf(17), 17)
        elif symbol not in values:
            values[symbol] = Float(_norm(bound, symbol, table, given), 17)
    made = made.xreplace(values)
    if made.func.__name__ == "SpectralNorm":
        return float(np.linalg.norm(np.array(made.args[0].tolist(), np.float64), 2))
    return float(made)


def _norm(bound: Bound, symbol: Any, table: dict[Value, np.ndarray], given: Mapping[str, float]) -> float:
    """The number that a symbol stands for."""
    kind, value = bound.ranges.norms[symbol]
    if value in table:
        matrix = table[value]
        if kind == "elements":
            return float(np.max(np.abs(matrix), initial=0.0))
        return float(np.linalg.norm(matrix, {"sigma": 2, "rows": np.inf, "columns": 1}[kind])) if matrix.size else 0.0
    if value.name in given:
        # a vector is at most so long, if this is its largest element
        size = 1.0 if kind == "elements" else float(np.sqrt(int(value.shape[0]) * int(value.shape[1])))
        return size * float(given[value.name])
    limit = next((r.limit for r in bound.states if r.state == value), oo)
    if kind != "elements" or limit == oo:
        raise OptionError(
            f"evaluate: the bound contains the norm of {value}, which has no limit; give its largest absolute value, "
            f"evaluate(params, {{{value.name!r}: 1.0}})"
        )
    return float(limit)


def matrices(bound: Bound, params: Any) -> dict[Value, np.ndarray]:
    """The parameters and constants as they are printed."""
    leaves = pytree.leaves(params)
    if len(leaves) != len(bound.subject.params):
        raise OptionError(f"evaluate: params holds {len(leaves)} arrays, the step takes {len(bound.subject.params)}")
    table = {v: np.asarray(a).reshape(tuple(map(int, v.shape))) for v, a in bound.constants.items()}
    for leaf, array in zip(bound.subject.params, leaves, strict=True):
        matrix = as_print(np.asarray(array), leaf.layout)
        table[leaf.symbol] = matrix.T if leaf.turned else matrix
    return table


def radius(bound: Bound, params: Any) -> float:
    """The spectral radius of a Jacobian that is the same at all times."""
    if not bound.constant:
        raise OptionError(
            "spectral_radius: the Jacobian of this cell changes from step to step, so that eigenvalues decide nothing; "
            "see the bound of gamma_step, or measure the product of the Jacobians"
        )
    table = matrices(bound, params)
    rows = []
    for new in bound.old:
        row = []
        for old in bound.old:
            block = bound.blocks.get((new.name, old.name))
            none = np.zeros((int(new.shape[0]), int(old.shape[0])))
            row.append(none if block is None else evaluate(bound.written_out_matrix(block), table.__getitem__))
        rows.append(row)
    return float(np.max(np.abs(np.linalg.eigvals(np.block(rows))), initial=0.0)) if rows else 0.0
