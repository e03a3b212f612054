"""What is compiled for a function, to be read: the plan of each of its scans, and the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tapegrad as tg
from tapegrad.scan_primitive import Step
from tapegrad.tape import AbstractTape

from .inlining import holds_apart, inner_steps
from .plan import make_plan


def source(function: Callable, *args: Any, gradient: bool = True) -> str:
    """The source text that the backend "numba" compiles for the scans of a function.

    Nothing is run or compiled: the function is traced on the shapes and dtypes of its arguments.

    Parameters
    ----------
    function : callable
        It calls ``scan``, or a cell.
    *args : pytree of arrays
        Arguments for it; their values do not matter.
    gradient : bool
        Also the loops of the backward pass, by all arguments that hold floating numbers only.

    Returns
    -------
    str
        For each scan its plan, as comments, and the functions: ``prepare`` packs the weights, ``loop`` runs all steps
        on the rows of one thread.

    Raises
    ------
    UnsupportedPrimitive
        When a step cannot be compiled.

    Examples
    --------
    >>> from tapegrad.cells import Elman
    >>> cell = Elman(2, 3)
    >>> text = source(lambda p, xs: cell(p, xs)[1], cell.init(np.random.default_rng(0)), np.ones((4, 5, 2), np.float32))
    >>> text.count("def loop(")
    2
    """
    from tapegrad.errors import UnsupportedPrimitive

    from .graph import Unlowered
    from .numba_cpu.lower import lower

    parts = []
    for step in steps_of(function, *args, gradient=gradient):
        try:
            plan = make_plan(step)
            said, text = str(plan), lower(plan).source
        except Unlowered as reason:
            raise UnsupportedPrimitive(f"source: {reason.primitive} cannot be compiled") from None
        parts.append("".join(f"# {line}".rstrip() + "\n" for line in said.splitlines()) + f"\n{text}")
    return "\n\n".join(parts)


def plan(function: Callable, *args: Any, gradient: bool = True) -> str:
    """What is done before, in and after the loop of each scan of a function; see :func:`source`."""
    return "\n\n".join(str(make_plan(step)) for step in steps_of(function, *args, gradient=gradient))


def steps_of(function: Callable, *args: Any, gradient: bool = True) -> list[Step]:
    """The steps of the scans that a function and its pullback run, in the order in which they run."""
    chosen = [i for i, arg in enumerate(args) if all(np.asarray(a).dtype.kind == "f" for a in tg.tree_leaves(arg))]

    def whole(*given: Any) -> Any:
        if not gradient or not chosen:
            return function(*given)

        def of_chosen(*some: Any) -> Any:
            full = list(given)
            for i, value in zip(chosen, some, strict=True):
                full[i] = value
            return function(*full)

        outs, pullback = tg.vjp(of_chosen, *[given[i] for i in chosen])
        return pullback(tg.tree_map(np.ones_like, outs))

    return list(_steps(tg.trace(whole)(*args)))


def _steps(tape: AbstractTape) -> Iterator[Step]:
    for step in inner_steps(tape):
        if holds_apart(step.tape):  # it is carried out operation by operation
            yield from _steps(step.tape)
        else:
            yield step
