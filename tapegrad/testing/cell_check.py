"""check_cell: every oracle for the derivatives of a cell against every other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tapegrad.cells import Cell
from tapegrad.cells.layer import refuse_network

from ..errors import OptionError, TapegradError
from . import cell_oracles
from .cell_comparison import Comparison
from .cell_oracles import Oracle
from .cell_problem import CellProblem
from .cell_readings import Inapplicable, Readings
from .cell_report import CellReport
from .gradients import GradientMismatch


class CellMismatch(GradientMismatch):
    """The oracles for a cell disagree.

    Attributes
    ----------
    report : CellReport
    """

    def __init__(self, report: CellReport):
        super().__init__(str(report))
        self.report = report


def check_cell(
    cell: Cell,
    *,
    oracles: Sequence[str] | None = None,
    others: Mapping[str, Callable] | None = None,
    seed: int = 0,
    steps: int | None = None,
    batch: int | None = None,
    dtype: Any = np.float64,
    params: Any = None,
    state: Any = None,
    xs: Any = None,
    masks: bool = True,
    order: int = 2,
) -> CellReport:
    """Hold every way to find the results and derivatives of a cell against every other, on random data.

    Compared are all elements of the outputs and of the final state, computed plainly and under each mode of
    differentiation; the gradients by all parameters, initial states and inputs, contracted with random weights of all
    results; and the tangents of all results along a random direction. The same is done for sequences that end early
    and start anew (``lengths`` and ``reset``), forwards and in reverse, with NaN in their padding, against each row
    alone on unpadded data; and the change of the gradient along the direction, a second derivative, is compared.
    The oracles are

    * ``"tape"``: both modes, through a loop over ``cell.step`` written in Python, with no scan;
    * ``"sympy"``: the equations that :func:`tapegrad.symbolic.derive` prints, evaluated;
    * ``"reference"``, ``"numba"`` and whatever else ``tapegrad.backends.available()`` lists: both modes, through
      the scan that the backend runs;
    * ``"rtrl"``: gradients by forward mode alone, one element after the other;
    * ``"differences"``: the step evaluated on plain arrays, by complex step or extrapolated central differences;
    * ``"jax"`` and ``"torch"``, where they are installed and only when they are named: the traced step in the functions
      of that library, which differentiates it by its own rules.

    What a step gives to ``stop_gradient`` is constant for each of them: differences hold it at the value that it has at
    the point, at the same call in every evaluation, and the other libraries have a function of this meaning.

    An oracle that does not apply is left out, and the report says why. Of cells with more than 400 numbers to
    differentiate by, the last two look at a random choice. Second derivatives are those of the tape, of the
    reference and of differences of the gradient; under masks differences look at results and tangents alone, RTRL at
    some two elements of each array, the equations at sequences in reverse, and compiled backends at reverse mode. A
    first call compiles five loops for ``"numba"``, some seconds; leave it out where many cells are drawn.

    Parameters
    ----------
    cell : Cell
    oracles : sequence of str, optional
        Two or more; by default all but ``"jax"`` and ``"torch"``.
    others : dict of str to callable, optional
        Oracles of your own: the cell in another library, or its backward pass written by hand. Each is called as
        ``run(params, state, xs, (d_state, d_ys))``, with the derivative of a loss by the final state and by ys, and
        returns ``(state, ys), (d_params, d_state, d_xs)``; None stands for what it does not compute.
    seed : int
        Of the data and of the numbers of steps and rows.
    steps, batch : int, optional
        Drawn by default, 3 to 5 and 2 to 3.
    dtype : dtype
        Of the tape and the backends. SymPy and differences are evaluated in float64 at the same numbers.
    params, state, xs : pytrees of arrays, optional
        Data of your own. By default parameters and state are what the cell starts with, shaken, so that no two gates
        are alike; inputs are normal, or integers below the size of the table that they choose from.
    masks : bool
        Whether to check ``lengths``, ``reset`` and ``reverse``. They are left out, and the report says so, for a cell
        whose rows depend on each other.
    order : int
        1 to leave second derivatives out.

    Returns
    -------
    CellReport
        What was compared, over how many numbers, with the worst difference of each pair; print it.

    Raises
    ------
    CellMismatch
        An AssertionError, with the argument, the element, the numbers, the relative error, and Python that repeats it.
    OptionError
        When the options make no sense, or fewer than two oracles apply.
    NonFiniteError
        When the cell gives no finite numbers on random data.
    TracingError
        When the step is no function of its arguments.

    Notes
    -----
    Numbers may differ by 1000 units of rounding of their dtype, beside the largest of their array, and by 100 times as
    much as they move when all data move by one unit, or as single precision errs, scaled: so a cell that amplifies
    rounding errors, or in which large terms cancel, is not accused of them. A fault of 0.1 % is caught in float64 in
    every array that is larger than 1e-10 of the largest.

    Examples
    --------
    >>> from tapegrad.cells import Elman
    >>> check_cell(Elman(3, 4), oracles=("tape", "rtrl", "differences")).ok
    True
    """
    refuse_network("check_cell", cell)
    if not isinstance(cell, Cell):
        hint = "; give an instance, made with its sizes" if isinstance(cell, type) else ""
        raise OptionError(f"check_cell: cell={cell!r} is no Cell{hint}")
    if order not in (1, 2):
        raise OptionError(f"check_cell: order={order!r}; give 1, or 2 for second derivatives too")
    chosen = cell_oracles.oracles(oracles, others)
    problem = CellProblem(cell, seed, steps, batch, dtype, params, state, xs)
    readings: dict[str, Readings] = {}
    skipped: dict[str, str] = {}
    with np.errstate(all="ignore"):
        masked, reason = problem.masked() if masks else ([], "")
        for oracle in chosen:
            try:
                found = _read(oracle, problem, masked, order, skipped)
            except Exception as error:
                error.add_note(f"check_cell: raised by the oracle {oracle.name!r}, with seed={seed!r}")
                raise
            if found is not None:
                readings[oracle.name] = found
    if reason:
        skipped["lengths, reset and reverse"] = reason
    if len(readings) < 2:
        raise OptionError(
            f"check_cell: {cell!r}: of the oracles {', '.join(o.name for o in chosen)} fewer than two apply: "
            + "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        )
    compared = Comparison([problem, *masked], {oracle.name: oracle for oracle in chosen}, readings, order)
    report = CellReport(
        cell, seed, problem.steps, problem.batch, problem.dtype, compared.pairs, skipped, compared.mismatches(),
        problem.given, tuple(others or ()), str(masked[0].masks) if masked else "", masks, order,
    )  # fmt: skip
    if not report.ok:
        raise CellMismatch(report)
    return report


def _read(
    oracle: Oracle, problem: CellProblem, masked: Sequence[CellProblem], order: int, skipped: dict[str, str]
) -> Readings | None:
    """All that an oracle says; None, with the reason in ``skipped``, when it does not apply to the cell."""
    try:
        found = oracle.read(problem)
    except Inapplicable as reason:
        skipped[oracle.name] = " ".join(str(reason).split())
        return None
    try:
        for other in masked if oracle.masked is not None else ():
            found.update(oracle.masked(other))  # type: ignore[misc]
    except Inapplicable as reason:
        skipped[f"{oracle.name} under masks"] = " ".join(str(reason).split())
    if order > 1 and oracle.second is not None:
        try:
            found.update(oracle.second(problem))
        except TapegradError as reason:  # a rule of the user's own may allow one order only
            skipped[f"{oracle.name} to second order"] = " ".join(str(reason).split())
    return found
