"""What is compiled for a function, to be read: the plan of each of its scans, and the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import tapegrad as tg
from tapegrad.errors import UnsupportedPrimitive
from tapegrad.scan_primitive import Step
from tapegrad.tape import AbstractTape

from .describe import describe
from .graph import Unlowered
from .inlining import holds_apart, inner_steps
from .plan import Plan, make_plan


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
        For each scan its plan, as comments, and the function ``loop``, which runs all steps on the rows of one thread.
        Weights come to it packed, those that a product has in common side by side.

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
    from .numba_cpu.lower import lower

    parts = []
    with _named_refusals("source"):
        for made, taken in _plans(function, *args, gradient=gradient):
            said, text = describe(made, taken), lower(made).source
            parts.append("".join(f"# {line}".rstrip() + "\n" for line in said.splitlines()) + f"\n{text}")
    return "\n\n".join(parts)


def plan(function: Callable, *args: Any, gradient: bool = True) -> str:
    """What is done before, in and after the loop of each scan of a function; see :func:`source`.

    Names are those of the code of the step; what it does not name has a letter, and so has an array that the step
    captured. In a plan

    * ``next h = ...`` is the state of the next step, and ``output h = ...`` the output of this one;
    * ``keep h = ...`` is stored at each step for the backward loop, whose plan reads it as ``h``;
    * ``hold h = ...`` is stored at each step for what is done after the loop;
    * ``a += ...`` adds to what is there, and ``dW += ...  (over rows and time)`` makes up a sum over time, from which
      what stands under ``once, from the sums`` is computed when the loop has ended;
    * ``dh`` is the derivative of the loss with respect to ``h``. Where h is a state and an output, ``dh`` is what comes
      from later steps, ``dh here`` what comes from the output of this step, and ``dh kept``, in second derivatives,
      what comes from the backward loop that read h.

    Parameters
    ----------
    function, *args, gradient
        As for :func:`source`.

    Returns
    -------
    str
        One plan for each loop, in the order in which they run, with an empty line between them.

    Raises
    ------
    UnsupportedPrimitive
        When a step cannot be compiled.
    """
    with _named_refusals("plan"):
        return "\n\n".join(describe(made, taken) for made, taken in _plans(function, *args, gradient=gradient))


def _plans(function: Callable, *args: Any, gradient: bool) -> Iterator[tuple[Plan, set[str]]]:
    """Each plan, with the names that the code of any of the steps uses."""
    steps = steps_of(function, *args, gradient=gradient)
    taken = {name for step in steps for name in step.tape.names.values()}
    for step in steps:
        yield make_plan(step), taken


@contextmanager
def _named_refusals(function: str) -> Iterator[None]:
    try:
        yield
    except Unlowered as reason:
        raise UnsupportedPrimitive(f"{function}: {reason.primitive} cannot be compiled") from None


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
