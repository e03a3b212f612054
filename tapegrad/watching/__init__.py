"""Looking on while functions are transformed: the first value that is not finite, and what tapes hold in memory."""

from __future__ import annotations

from contextlib import ContextDecorator, ExitStack
from typing import Any

import numpy as np

from .memory import TapeMemory
from .watch import watched

__all__ = ["TapeMemory", "detect_anomaly", "tape_memory"]


class detect_anomaly(ContextDecorator):  # noqa: N801 - read as `with detect_anomaly():`
    """Raise an error where NaN or infinity first comes out of finite numbers, forward or backward.

    For use as ``with detect_anomaly():`` or as a decorator ``@detect_anomaly()``, around everything that is to be
    looked at: the gradient and what it calls. It holds for the thread that entered it. The error names the operation,
    its arguments, the number of bad elements and the first of them, the pass, in a loop the step and row, and the line
    of the user's code that did the operation; in the backward pass that is the line whose derivative is being taken.

    A NaN or infinity that comes in from outside (a mask of -inf, padding that holds NaN) is no anomaly, nor is what
    follows from it. What NumPy does on plain arrays is not seen, only operations on Tensors, and loops.

    Loops are traced anew and run operation by operation in NumPy, whatever backend is chosen, so this is for finding
    a fault and not for training. Outside of it nothing is slower. NumPy's own warnings are silent inside.

    Raises
    ------
    NonFiniteError
        At the first anomaly.

    Examples
    --------
    >>> import numpy as np
    >>> from tapegrad import grad
    >>> with detect_anomaly():
    ...     grad(np.sqrt)(0.0)
    Traceback (most recent call last):
    ...
    tapegrad.errors.NonFiniteError: sqrt: finite numbers gave inf in the backward pass: ...
    """

    def __init__(self) -> None:
        self._entered: list[ExitStack] = []

    def _recreate_cm(self) -> detect_anomaly:  # for each call of a function that it decorates
        return detect_anomaly()

    def __enter__(self) -> None:
        stack = ExitStack()
        stack.enter_context(np.errstate(divide="ignore", over="ignore", invalid="ignore"))
        stack.enter_context(watched(checking=True))
        self._entered.append(stack)

    def __exit__(self, *error: Any) -> None:
        self._entered.pop().close()


class tape_memory:  # noqa: N801 - read as `with tape_memory() as report:`
    """Report what the tape holds in memory for the backward pass, by line of the user's code.

    Of the gradients that are taken inside the ``with`` block the one that holds most is reported, as it is when its
    forward pass has ended. Of loops, what they keep is listed by the names of the step's variables.

    Examples
    --------
    >>> import numpy as np
    >>> from tapegrad import grad
    >>> with tape_memory() as report:
    ...     _ = grad(lambda x: np.sum(np.sin(x * 2.0)))(np.ones(1000))
    >>> report.total
    24000
    >>> [row.operation for row in report.rows]
    ['arguments', 'multiply', 'sin']
    """

    def __init__(self) -> None:
        self._entered: list[watched] = []

    def __enter__(self) -> TapeMemory:
        report = TapeMemory()
        self._entered.append(watched(reports=(report,)))
        self._entered[-1].__enter__()
        return report

    def __exit__(self, *error: Any) -> None:
        self._entered.pop().__exit__(*error)
