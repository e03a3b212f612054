"""Both directions of time: a layer that reads each sequence forwards and one that reads it backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, ShapeError

from ..calls import checked
from ..checks import data_inputs
from ..gated import GRU
from ..layer import Layer
from ..registry import register
from ..simple import Elman
from .joining import checked_layer, drawn, given, noise_inputs, size_of, taken_apart, valid_reset
from .recording import asked, called

MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "concatenate": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "mean": lambda a, b: (a + b) / 2,
    "product": lambda a, b: a * b,
}


def _two(rng: np.random.Generator) -> Bidirectional:
    m, n, k = rng.permutation(np.arange(1, 5))[:3].tolist()
    return Bidirectional(GRU(m, n), Elman(m, k))


def _summed(rng: np.random.Generator) -> Bidirectional:
    m, n = rng.permutation(np.arange(1, 5))[:2].tolist()
    return Bidirectional(Elman(m, n), Elman(m, n), merge="mean")


@register(kind="layer", variants={"": _two, "mean": _summed})
class Bidirectional(Layer):
    """A layer that runs forwards in time and one that runs backwards, with their outputs put together.

    ::

        hf_t = forward(x_t, hf_{t-1})
        hb_t = backward(x_t, hb_{t+1})
        y_t = [hf_t, hb_t]                  or their sum, mean or product

    Parameters
    ----------
    forward, backward : Cell or Layer
        Both read the whole of xs, and neither sees the other's state.
    merge : {"concatenate", "sum", "mean", "product"}
        How the two outputs of a step become one.

    Raises
    ------
    OptionError
        When one of them is no layer, or ``merge`` is unknown.
    ShapeError
        When they take different inputs, or give outputs of different sizes that are to be added or multiplied.

    Notes
    -----
    Parameters: ``{"forward": ..., "backward": ...}``. State: the pair of their states; what comes back is that of the
    forward layer after the last step and that of the backward layer after the first. The output at t is that of both
    layers at t. With ``lengths`` the backward layer starts at the end of each row. ``reset[t, b]`` begins a new
    sequence at t, for both: the backward layer starts again before it reads step t - 1.

    The paper's states outside of the sequence are 0.5; give them as ``state``, or let the cells' states declare
    ``init=0.5``. Its output y_t = psi(hf_t Vf + hb_t Vb + c) is a readout on top of "concatenate".

    References
    ----------
    Schuster & Paliwal 1997, "Bidirectional recurrent neural networks", section II.

    Examples
    --------
    >>> from tapegrad.cells import LSTM
    >>> layer = Bidirectional(LSTM(3, 4), LSTM(3, 5))
    >>> params = layer.init(np.random.default_rng(0))
    >>> (forward, backward), ys = layer(params, np.zeros((7, 2, 3), np.float32))
    >>> ys.shape
    (7, 2, 9)
    """

    records = True
    source = "Schuster & Paliwal 1997, section II"

    forward: Layer
    backward: Layer
    merge: str = "concatenate"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge not in MERGES:
            raise OptionError(f"Bidirectional: merge={self.merge!r}, expected one of {', '.join(MERGES)}")
        for name in ("forward", "backward"):
            checked_layer("Bidirectional", name, getattr(self, name))
        wanted = data_inputs(self.forward), data_inputs(self.backward)
        if None not in wanted and wanted[0] != wanted[1]:
            raise ShapeError(
                f"Bidirectional: forward, {self.forward!r}, takes {wanted[0]}, and backward, "
                f"{self.backward!r}, takes {wanted[1]}; both read the same xs, so give them one input_size"
            )
        f, b = self._sizes()
        if self.merge != "concatenate" and None not in (f, b) and f != b:
            raise ShapeError(
                f"Bidirectional: merge={self.merge!r} of outputs of sizes {f}, forward, and {b}, backward; give both "
                "one hidden_size, or write merge='concatenate'"
            )

    @property
    def _layers(self) -> tuple[Layer, Layer]:
        return self.forward, self.backward

    def _sizes(self) -> tuple[int | None, int | None]:
        return size_of(self.forward), size_of(self.backward)

    @property
    def output_size(self) -> int | None:
        f, b = self._sizes()
        if self.merge != "concatenate":
            return f
        return None if f is None or b is None else f + b

    def parameters(self) -> dict[str, Any]:
        return {"forward": self.forward.parameters(), "backward": self.backward.parameters()}

    def state(self) -> tuple[Any, Any]:
        return self.forward.state(), self.backward.state()

    @property
    def noisy(self) -> bool:
        return self.forward.noisy or self.backward.noisy

    def noise(
        self, rng: np.random.Generator | None, steps: int, batch: int, dtype: Any = np.float32, training: bool = True
    ) -> tuple[Any, ...]:
        """The noise of a call: that of the forward and that of the backward layer, None for one that takes none."""
        return drawn(self._layers, rng, steps, batch, dtype, training)

    def output_lengths(self, lengths: Any) -> Any:
        return self.forward.output_lengths(lengths)

    def inputs(self) -> Any:
        wanted = data_inputs(self.forward)
        wanted = data_inputs(self.backward) if wanted is None else wanted
        return (wanted, (noise_inputs(self.forward), noise_inputs(self.backward))) if self.noisy else wanted

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
        """Run over sequences, in both directions.

        Parameters
        ----------
        params : dict as ``parameters()``
        xs : array (T, B, input_size), or pytree as ``inputs()`` of arrays (T, B, ...)
        state : pair as ``state()`` of arrays (B, ...), optional
            Where each direction starts; ``initial_state(B)`` by default.
        lengths, reset, reverse, checkpoint, backend
            As for a call of a :class:`Cell`; ``reverse`` exchanges the directions.
        record : True, str or sequence of str, optional
            Variables of the steps to return too: "forward.r", "backward.r" and so on, or True for all.

        Returns
        -------
        state : pair as it came in
        ys : pytree of arrays (T, B, ...)
        recorded : dict of arrays (T, B, ...)
            Only with ``record``.

        Raises
        ------
        StructureError, ShapeError, DtypeError
            When params, state and xs do not fit the layer or each other.
        """
        xs, noise = taken_apart(self, xs, len(self._layers))
        state = checked(self, params, xs, state)
        own = [given(layer, xs, None if noise is None else noise[i]) for i, layer in enumerate(self._layers)]
        options = {"lengths": lengths, "checkpoint": checkpoint, "backend": backend}
        other = None if reset is None else _other_side(valid_reset(xs, reset), reverse)
        wanted = asked(self, record, {"forward": self.forward, "backward": self.backward})
        ends, ys, recorded = [], [], {}
        for i, (name, again, turned) in enumerate((("forward", reset, reverse), ("backward", other, not reverse))):
            args = params[name], own[i], state[i]
            own_options = {"reset": again, "reverse": turned, **options}
            end, y, found = called(self._layers[i], name, args, own_options, wanted.get(name))
            ends.append(end)
            ys.append(y)
            recorded.update({f"{name}.{variable}": value for variable, value in found.items()})
        result = tuple(ends), pytree.map(MERGES[self.merge], *ys)
        return result if record is None else (*result, recorded)


def _other_side(reset: np.ndarray, reverse: bool) -> np.ndarray:
    """The same boundaries between steps, as a loop in the other direction meets them."""
    moved = np.zeros_like(reset)
    if reverse:
        moved[1:] = reset[:-1]
    else:
        moved[:-1] = reset[1:]
    return moved
