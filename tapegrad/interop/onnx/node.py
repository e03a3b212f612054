"""A recurrent node of the standard as a layer: one direction or two, and the shapes of its inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.cells import Bidirectional, Layer

from ... import pytree
from ...errors import OptionError, ShapeError
from .cells import OnnxCell

__all__ = ["OnnxNode"]

DIRECTIONS = ("forward", "reverse", "bidirectional")


class OnnxNode(Layer):
    """A node RNN, LSTM or GRU: cells of its equations, run in its direction.

    As a layer it takes and gives sequences as all layers here do; :meth:`run` takes and gives what the standard's
    operator does.

    Parameters
    ----------
    cells : tuple of OnnxCell
        One, or the forward and the backward one of a bidirectional node; these may differ in their activations alone.
    direction : {"forward", "reverse", "bidirectional"}
    layout : {0, 1}
        Whether the arrays of :meth:`run` have the batch first.

    Raises
    ------
    OptionError
        The cells do not make a node.

    Notes
    -----
    Parameters and state: those of the cell; of a bidirectional node ``{"forward": ..., "backward": ...}`` and a tuple.
    Output: (T, B, hidden_size), of a bidirectional node (T, B, 2 hidden_size), forward first.

    Examples
    --------
    >>> from tapegrad.interop.onnx import OnnxGRU
    >>> node = OnnxNode((OnnxGRU(2, 3),), layout=1)
    >>> params = node.init(np.random.default_rng(0))
    >>> [y.shape for y in node.run(params, np.ones((4, 5, 2), np.float32), sequence_lens=np.array([5, 2, 0, 1]))]
    [(4, 5, 1, 3), (4, 1, 3)]
    """

    source = OnnxCell.source

    cells: tuple[OnnxCell, ...]
    direction: str = "forward"
    layout: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(self.cells))
        super().__post_init__()
        if self.direction not in DIRECTIONS:
            raise OptionError(f"OnnxNode: direction={self.direction!r}, expected one of {', '.join(DIRECTIONS)}")
        if self.layout not in (0, 1):
            raise OptionError(f"OnnxNode: layout={self.layout!r}, expected 0 (time first) or 1 (batch first)")
        wanted = 2 if self.direction == "bidirectional" else 1
        if len(self.cells) != wanted or not all(isinstance(cell, OnnxCell) for cell in self.cells):
            raise OptionError(
                f"OnnxNode: cells={self.cells!r}, expected {wanted} of OnnxRNN, OnnxLSTM or OnnxGRU for the direction "
                f"{self.direction!r}"
            )
        if len({_shared(cell) for cell in self.cells}) > 1:
            raise OptionError(
                f"OnnxNode: the cells {self.cells[0]!r} and {self.cells[1]!r} differ in more than their activations, "
                "which the two directions of a node cannot"
            )

    @property
    def operator(self) -> str:
        """RNN, LSTM or GRU."""
        return self.cells[0].operator

    @property
    def input_size(self) -> int:
        return self.cells[0].input_size

    @property
    def hidden_size(self) -> int:
        return self.cells[0].hidden_size

    @property
    def output_size(self) -> int:
        return self.hidden_size * len(self.cells)

    def parameters(self) -> Any:
        each = [cell.parameters() for cell in self.cells]
        return each[0] if len(each) == 1 else {"forward": each[0], "backward": each[1]}

    def state(self) -> Any:
        states = [cell.state() for cell in self.cells]
        return states[0] if len(states) == 1 else tuple(states)

    def of_directions(self, params: Any) -> list[Any]:
        """The parameters of each of the cells."""
        return [params] if len(self.cells) == 1 else [params["forward"], params["backward"]]

    def __call__(
        self,
        params: Any,
        xs: Any,
        state: Any = None,
        *,
        lengths: Any = None,
        reset: Any = None,
        reverse: bool = False,
        checkpoint: Any = None,
        backend: str = "auto",
    ) -> Any:
        """Run over sequences.

        Parameters
        ----------
        params : pytree as ``parameters()``, of arrays of one floating dtype
        xs : array (T, B, input_size)
        state : pytree as ``state()`` of arrays (B, hidden_size), optional
        lengths, reset, reverse, checkpoint, backend
            As for a call of a cell; ``reverse`` exchanges the directions.

        Returns
        -------
        state : as it came in
        ys : array (T, B, output_size)
        """
        layer: Layer = self.cells[0] if len(self.cells) == 1 else Bidirectional(self.cells[0], self.cells[1])
        backwards = reverse != (self.direction == "reverse")
        options = {"lengths": lengths, "reset": reset, "checkpoint": checkpoint, "backend": backend}
        return layer(params, xs, state, reverse=backwards, **options)

    def run(
        self,
        params: Any,
        X: Any,
        *,
        sequence_lens: Any = None,
        initial_h: Any = None,
        initial_c: Any = None,
        backend: str = "auto",
    ) -> tuple[Any, ...]:
        """What the operator gives for its inputs, in the standard's shapes.

        Parameters
        ----------
        params : pytree as ``parameters()``
        X : array (T, B, input_size); with layout 1 (B, T, input_size)
        sequence_lens : array (B,) of int, optional
        initial_h, initial_c : array (D, B, hidden_size), optional; with layout 1 (B, D, hidden_size)
            D is the number of directions.
        backend : str

        Returns
        -------
        Y : array (T, D, B, hidden_size); with layout 1 (B, T, D, hidden_size)
            0 in the padding.
        Y_h : array (D, B, hidden_size); with layout 1 (B, D, hidden_size)
        Y_c : as Y_h, of an LSTM

        Raises
        ------
        ShapeError
            An initial state does not fit.
        """
        xs = np.swapaxes(X, 0, 1) if self.layout else X
        given = {"initial_h": initial_h, "initial_c": initial_c}
        states = self._states(given, xs.shape[1], xs.dtype)
        final, ys = self(
            params, xs, states[0] if len(states) == 1 else tuple(states), lengths=sequence_lens, backend=backend
        )
        finals = [final] if len(self.cells) == 1 else list(final)
        steps, batch = ys.shape[:2]
        each = np.reshape(ys, (steps, batch, len(self.cells), self.hidden_size))
        lasts = [np.stack(parts, axis=int(self.layout)) for parts in zip(*map(pytree.leaves, finals), strict=True)]
        return (np.swapaxes(each, 0, 1) if self.layout else np.swapaxes(each, 1, 2), *lasts)

    def _states(self, given: dict[str, Any], batch: int, dtype: np.dtype) -> list[Any]:
        """The state that each direction starts from."""
        directions, states = len(self.cells), []
        for number, cell in enumerate(self.cells):
            leaves, structure = pytree.flatten(cell.initial_state(batch, dtype))
            for place, (name, array) in enumerate(given.items()):
                if array is None:
                    continue
                lead = (batch, directions) if self.layout else (directions, batch)
                if place >= len(leaves):
                    raise OptionError(f"{self.operator}: {name} came, but only an LSTM has one")
                if array.shape != (*lead, self.hidden_size):
                    raise ShapeError(
                        f"{self.operator}: {name} is of shape {array.shape}, expected {(*lead, self.hidden_size)}: "
                        f"{'batch, directions' if self.layout else 'directions, batch'}, hidden_size"
                    )
                leaves[place] = array[:, number] if self.layout else array[number]
            states.append(structure.unflatten(leaves))
        return states


def _shared(cell: OnnxCell) -> Any:
    """What both directions of a node have in common."""
    options = {name: value for name, value in vars(cell).items() if name not in cell.activations}
    return type(cell), tuple(sorted(options.items(), key=lambda option: option[0]))
