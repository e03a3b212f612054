"""The contract of a cell: parameters, a state and one step; the rest follows from these."""

from __future__ import annotations

from typing import Any

from tapegrad.errors import TapegradError
from tapegrad.scan import loop_of, scan_flat

from .calls import arguments
from .layer import Layer


class Cell(Layer):
    """A recurrent cell: subclass it, annotate its options, and write its equations in ``step``.

    A subclass becomes a frozen dataclass, so that a cell is a value: it compares and hashes by its
    options and never changes. Parameters and state are kept outside of it, in pytrees.

    Attributes
    ----------
    source : str
        The paper and the equations that ``step`` writes down.

    Notes
    -----
    Options whose names end in ``_size`` must be integers of at least 1, those annotated as bool, int or float must be
    such, and become Python's. All options must be hashable. A subclass with
    its own ``__post_init__`` calls ``super().__post_init__()``. ``class MyCell(OtherCell, kw_only=True)`` lets
    options without a default follow inherited ones that have one.

    Examples
    --------
    >>> import numpy as np
    >>> from tapegrad.cells import Parameter, State
    >>> class Leaky(Cell):
    ...     input_size: int
    ...     hidden_size: int
    ...     rate: float = 0.5
    ...
    ...     def parameters(self):
    ...         m, n = self.input_size, self.hidden_size
    ...         return {"U": Parameter((m, n)), "b": Parameter((n,), init="zeros")}
    ...
    ...     def state(self):
    ...         return State((self.hidden_size,))
    ...
    ...     def step(self, params, state, x):
    ...         h = (1 - self.rate) * state + self.rate * np.tanh(x @ params["U"] + params["b"])
    ...         return h, h
    >>> cell = Leaky(input_size=2, hidden_size=3)
    >>> params = cell.init(np.random.default_rng(0), dtype=np.float32)
    >>> state, ys = cell(params, np.ones((5, 4, 2), np.float32))
    >>> state.shape, ys.shape, ys.dtype
    ((4, 3), (5, 4, 3), dtype('float32'))
    """

    records = True

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        """One step for a batch: the equations of the cell, in NumPy.

        Parameters
        ----------
        params : pytree as ``parameters()``
        state : pytree as ``state()``, of arrays (B, ...)
        x : pytree as ``inputs()``, of arrays (B, ...)

        Returns
        -------
        state : as it came in
        y : pytree of arrays (B, ...)
        """
        raise TapegradError(
            f"{type(self).__name__} has no step; write step(self, params, state, x) that returns (new state, output)"
        )

    def __call__(
        self,
        params: Any,
        xs: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        reset: Any = None,
        reverse: bool = False,
        record: Any = None,
        checkpoint: Any = None,
        backend: str = "auto",
    ) -> Any:
        """Run over sequences.

        Parameters
        ----------
        params : pytree as ``parameters()``, of arrays of one floating dtype
        xs : array (T, B, input_size), or pytree as ``inputs()`` of arrays (T, B, ...)
        state : pytree as ``state()`` of arrays (B, ...), optional
            Before the first step; ``initial_state(B)`` by default.
        lengths : array (B,) of int, optional
            How many steps of each sequence count. Padding may hold anything; its ``ys`` are zero.
        reset : array (T, B) of bool, optional
            Where True, the sequence starts again from ``state`` before that step.
        reverse : bool
            Whether to run from the last step, of each sequence, to the first.
        record : True, str or sequence of str, optional
            Names of local variables of ``step`` (its gates, say) to return too; True for all.
        checkpoint, backend
            As for :func:`tapegrad.scan`.

        Returns
        -------
        state : as it came in
            After the last step.
        ys : pytree of arrays (T, B, ...)
        recorded : dict of arrays (T, B, ...)
            Only with ``record``.

        Raises
        ------
        StructureError, ShapeError, DtypeError
            When params, state and xs do not fit the cell or each other; nothing has been computed then.
        """
        loop = loop_of(self.step, reverse, backend)
        params, state, xs = arguments(self, loop.token, params, xs, state)
        return scan_flat(loop, params, state, xs, None, lengths, reset, record, checkpoint)
