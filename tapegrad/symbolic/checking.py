"""For teaching: a backward pass written by hand against the derived one, with the term that is wrong named."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, StructureError

from .derivation import derive
from .lesson import Lesson
from .marking import Marker
from .notation import Notation
from .report import Report


def check_backward(
    student: Callable,
    cell: Any,
    params: Any = None,
    state: Any = None,
    x: Any = None,
    *,
    steps: int = 4,
    seed: int = 0,
    rtol: float = 1e-6,
    notation: str | Notation | None = None,
) -> Report:
    """Compare a backward pass that was written by hand with the derived one, and say what is wrong in it.

    The numbers are random. The loss is any: what is given is its derivative by each output, and by the last state.

    Parameters
    ----------
    student : callable
        ``student(params, values, dys, dstate) -> grads`` or ``-> (grads, adjoints)``, for one sequence, all arrays in
        the row-major layout of the code, as ``cell.step`` has them but without the axis of the batch:

        * ``params`` as ``cell.init`` gives them;
        * ``values``, a dict: for each state an array (T + 1, ...), where row t is what the step in row t of the inputs
          starts from, and row t + 1 what it makes; for each input and each other named value of the step (gates,
          sums that functions are applied to) an array (T, ...). The names are those of ``derive(cell).forward``;
        * ``dys``, the derivative of the loss by each output, (T, ...); as a pytree if there are several;
        * ``dstate``, its derivative by the last state beside what goes through the outputs; zeros are meant where the
          function takes three arguments only;
        * ``grads``, a pytree like ``params``, or a dict by path;
        * ``adjoints``, optional: a dict with the derivative of the loss by any of the values, for each time as in
          ``values`` (for a state (T + 1, ...), or (T, ...) without that by the first one). With them mistakes
          are told apart that the gradients mix.
    cell, params, state, x
        As for :func:`derive`; they count by their shapes. Integer inputs are drawn from the rows of ``x``.
    steps : int
        T; 1 checks the backward pass of a single step.
    seed : int
    rtol : float
        What is allowed, relative to the largest element.
    notation : str or Notation, optional

    Returns
    -------
    Report
        True when all is right.

    Raises
    ------
    StructureError
        When ``student`` returns something else than gradients.
    OptionError
        For an adjoint of a value that the step does not have.

    Notes
    -----
    A mistake is named by trying: each term of each equation missing, with the wrong sign, twice, without one of its
    factors, with a transposed weight, with a neighbouring time or another value in the place of one, and the
    sums without one of their steps. What gives exactly the numbers that were found is said. Each equation is
    judged with the adjoints that the function itself found, so that what follows from one mistake is not counted again.

    Examples
    --------
    >>> from tapegrad.cells import Elman
    >>> def backward(params, values, dys):
    ...     h, x, da = values["h"], values["x"], np.zeros_like(dys)
    ...     for t in reversed(range(len(x))):
    ...         dh = dys[t]                                    # what comes from t + 1 is missing
    ...         da[t] = dh * (1 - h[t + 1] ** 2)
    ...     return {"W_xh": x.T @ da, "W_hh": h[:-1].T @ da, "b_h": da.sum(axis=0)}
    >>> check_backward(backward, Elman(2, 3))
    The backward pass of Elman is wrong.
    δh_t lacks the term W_hhᵀ δa_{t+1}, first at t = 3 (row 2)
        derived: δh_t = ...
        also explains: ∂L/∂W_hh, ∂L/∂W_xh, ∂L/∂b_h
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise OptionError(f"check_backward: steps={steps!r}, expected an integer of at least 1")
    derivation = derive(cell, params, state, x, notation=notation)
    with_state = _takes_four(student)
    lesson = Lesson(derivation, int(steps), np.random.default_rng(seed), with_state, x)
    arguments = [lesson.params, lesson.values(), lesson.outputs, lesson.final][: 4 if with_state else 3]
    answer = student(*[pytree.map(np.copy, tree) for tree in arguments])
    grads, adjoints = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, {})
    if not isinstance(adjoints, Mapping):
        raise StructureError(
            f"check_backward: the function returned a {type(adjoints).__name__} beside the gradients, expected a dict "
            "of adjoints"
        )
    marker = Marker(lesson)
    return marker.marked(marker.by_path(grads), adjoints, rtol)


def _takes_four(student: Callable) -> bool:
    try:
        inspect.signature(student).bind(None, None, None, None)
    except TypeError:
        return False
    return True
