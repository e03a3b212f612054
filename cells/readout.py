"""Readouts: layers without a state that turn a hidden state into an output."""

from typing import Any

import numpy as np

from tapegrad.errors import ShapeError
from tapegrad.functions import sigmoid, softmax

from .activations import ACTIVATIONS, check_activation
from .base import Cell
from .checks import check_params, describe
from .registry import register
from .specs import Parameter


class Readout(Cell):
    """Base of the readouts: y = psi(h W_hy + b_y), where each subclass has its psi.

    Called as ``readout(params, h)`` it takes any leading axes and returns y alone. It is also a Cell whose state is
    None, for the top of a :class:`Stacked`.

    Parameters
    ----------
    input_size, output_size : int

    References
    ----------
    Goodfellow, Bengio & Courville 2016, equations 10.10 and 10.11, where V is W_hy transposed and c is b_y.
    """

    source = "Goodfellow, Bengio & Courville 2016, equations 10.10, 10.11"

    input_size: int
    output_size: int

    def parameters(self) -> dict[str, Parameter]:
        m, n = self.input_size, self.output_size
        return {"W_hy": Parameter((m, n)), "b_y": Parameter((n,), init="zeros")}

    def __call__(self, params: Any, h: Any) -> Any:  # type: ignore[override]
        """The outputs for hidden states.

        Parameters
        ----------
        params : dict as ``parameters()``
        h : array (..., input_size)

        Returns
        -------
        array (..., output_size)

        Raises
        ------
        StructureError, ShapeError, DtypeError
            When params or h do not fit.
        """
        self._check(params, h)
        return self.step(params, None, h)[1]

    def logits(self, params: Any, h: Any) -> Any:
        """What goes into psi, h W_hy + b_y; the cross entropies of :mod:`tapegrad.functions` want this.

        Parameters, errors and shapes are those of a call.
        """
        self._check(params, h)
        return h @ params["W_hy"] + params["b_y"]

    def _check(self, params: Any, h: Any) -> None:
        check_params(self, params)
        if getattr(h, "shape", ())[-1:] != (self.input_size,):
            raise ShapeError(
                f"{self!r}: h is {describe(h)}, expected shape (..., {self.input_size}); make the readout with the "
                "hidden_size of the cell as its input_size, and give it ys, not (state, ys)"
            )


@register(kind="readout")
class Linear(Readout):
    """The linear readout y = h W_hy + b_y. Its output is what the cross entropies take as logits."""

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        return state, x @ params["W_hy"] + params["b_y"]


@register(kind="readout")
class SigmoidReadout(Readout):
    """The readout y = sigmoid(h W_hy + b_y): independent probabilities."""

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        return state, sigmoid(x @ params["W_hy"] + params["b_y"])


def _several_classes(rng: np.random.Generator) -> Readout:
    m, n = rng.permutation(np.arange(2, 6))[:2].tolist()  # the softmax over a single class is constant
    return SoftmaxReadout(m, n)


@register(kind="readout", variants={"": _several_classes})
class SoftmaxReadout(Readout):
    """The readout y = softmax(h W_hy + b_y): the probabilities of output_size classes."""

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        return state, softmax(x @ params["W_hy"] + params["b_y"])


@register(kind="readout")
class Dense(Readout):
    """A feedforward layer, y = phi(h W_hy + b_y): what makes the way into a cell, out of it, or its transition deep.

    Parameters
    ----------
    input_size, output_size : int
    activation : {"tanh", "sigmoid", "relu", "identity"}
        phi.

    References
    ----------
    Pascanu, Gulcehre, Cho & Bengio 2014, "How to construct deep recurrent neural networks", section 3.3.

    Examples
    --------
    A deep output (DO-RNN): ``Stacked((Elman(8, 32), Dense(32, 16), SoftmaxReadout(16, 5)))``. A deep input:
    ``Stacked((Dense(8, 16), Elman(16, 32)))``. A deep transition: :class:`DeepTransition`.
    """

    source = "Pascanu, Gulcehre, Cho & Bengio 2014, section 3.3"

    activation: str = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_activation("Dense", "activation", self.activation)

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        phi = ACTIVATIONS[self.activation]
        return state, phi(x @ params["W_hy"] + params["b_y"])
