"""Optimisers: SGD with momentum, RMSProp, Adam.

An optimiser is an immutable description. ``init(params)`` makes its state, a pytree of arrays;
``update(grads, state, params)`` returns new parameters and a new state and writes to none of its
arguments, so that the arrays a tape may still hold never change. Every parameter, and every array
of the state that belongs to it, keeps the parameter's dtype: the constants are Python scalars, which
are weak in NumPy's promotion (NEP 50).

The learning rate ``lr`` is a number, or a function from the number of updates already made
(0, 1, 2, ...) to a number. The state counts the updates, so that a schedule continues where it
stopped when the state is restored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .. import pytree
from ..errors import DtypeError, OptionError, ShapeError

__all__ = ["SGD", "Adam", "InverseSqrt", "Optimizer", "RMSProp"]

Schedule = Callable[[int], float]


class Optimizer(Protocol):
    """What :func:`tapegrad.training.fit` asks of an optimiser."""

    def init(self, params: Any) -> Any:
        """The state before the first update, a pytree of arrays."""

    def update(self, grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """New parameters and a new state."""


@dataclass(frozen=True)
class InverseSqrt:
    """The schedule ``lr * min(1, sqrt(constant / (n + 1)))``, n being the number of updates made.

    The rate is constant for the first ``constant`` updates and then falls as Robbins and Monro's
    conditions for averaging ask (1/sqrt(n)). It does not depend on where the run will end, hence a run
    that is stopped and continued sees the same rates as one that is not.

    Parameters
    ----------
    lr : float
        The rate at the start, positive.
    constant : int
        For how many updates it stays there, at least 1.
    """

    lr: float
    constant: int

    def __post_init__(self) -> None:
        _check_range("InverseSqrt", "lr", self.lr, 0.0, math.inf)
        _check_range("InverseSqrt", "constant", self.constant, 0, math.inf)

    def __call__(self, count: int) -> float:
        return self.lr * min(1.0, math.sqrt(self.constant / (count + 1)))


@dataclass(frozen=True)
class SGD:
    r"""Stochastic gradient descent with classical momentum.

    .. math:: v \leftarrow \mu v - \eta g, \qquad \theta \leftarrow \theta + v

    with :math:`\eta` = ``lr`` and :math:`\mu` = ``momentum``.

    Parameters
    ----------
    lr : float or callable
        The learning rate, positive.
    momentum : float
        In [0, 1). With 0 the velocity is not kept.

    References
    ----------
    Polyak 1964; in this form Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and
    momentum in deep learning", ICML 2013, equations 1 and 2.
    """

    lr: float | Schedule
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("SGD", self.lr)
        _check_fraction("SGD", "momentum", self.momentum)

    def init(self, params: Any) -> dict[str, Any]:
        """The state: ``count`` (int64) and, with momentum, ``velocity`` like ``params``, zeros."""
        return _initial("SGD", params, ["velocity"] * bool(self.momentum))

    def update(self, grads: Any, state: dict[str, Any], params: Any) -> tuple[Any, dict[str, Any]]:
        """One step. See :meth:`Adam.update`, which it agrees with in everything but the formula."""
        grads, lr = _prepare("SGD", grads, params), _rate(self.lr, state)
        if not self.momentum:
            return pytree.map(lambda p, g: p - lr * g, params, grads), _counted(state)
        velocity = pytree.map(lambda v, g: self.momentum * v - lr * g, state["velocity"], grads)
        return pytree.map(lambda p, v: p + v, params, velocity), _counted(state, velocity=velocity)


@dataclass(frozen=True)
class RMSProp:
    r"""RMSProp, plain, or centred and with momentum as Graves uses it.

    .. math::
        n &\leftarrow \rho n + (1 - \rho) g^2 \\
        m &\leftarrow \rho m + (1 - \rho) g \qquad \text{(centred; otherwise } m = 0) \\
        \Delta &\leftarrow \mu \Delta - \eta g / \sqrt{n - m^2 + \epsilon} \\
        \theta &\leftarrow \theta + \Delta

    Parameters
    ----------
    lr : float or callable
        :math:`\eta`, positive.
    decay : float
        :math:`\rho`, in [0, 1).
    momentum : float
        :math:`\mu`, in [0, 1). With 0 the step :math:`\Delta` is not kept.
    centered : bool
        Whether the variance stands under the root instead of the second moment.
    epsilon : float
        :math:`\epsilon`, positive, under the root.

    Notes
    -----
    Graves' settings are ``decay=0.95, momentum=0.9, centered=True, epsilon=1e-4``. Rounding can bring
    :math:`n - m^2` below zero; it is then taken as zero.

    References
    ----------
    Tieleman and Hinton, Coursera lecture 6.5, 2012. Graves, "Generating sequences with recurrent neural
    networks", 2013, arXiv:1308.0850, equations 38 to 45.
    """

    lr: float | Schedule
    decay: float = 0.9
    momentum: float = 0.0
    centered: bool = False
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_rate("RMSProp", self.lr)
        _check_fraction("RMSProp", "decay", self.decay)
        _check_fraction("RMSProp", "momentum", self.momentum)
        _check_range("RMSProp", "epsilon", self.epsilon, 0.0, math.inf)

    def init(self, params: Any) -> dict[str, Any]:
        """The state: ``count`` (int64), ``square`` and as asked ``mean`` and ``step``, like ``params``, zeros."""
        return _initial("RMSProp", params, ["square"] + ["mean"] * self.centered + ["step"] * bool(self.momentum))

    def update(self, grads: Any, state: dict[str, Any], params: Any) -> tuple[Any, dict[str, Any]]:
        """One step. See :meth:`Adam.update`, which it agrees with in everything but the formula."""
        grads, lr, rho = _prepare("RMSProp", grads, params), _rate(self.lr, state), self.decay
        new = {"square": pytree.map(lambda n, g: rho * n + (1 - rho) * (g * g), state["square"], grads)}
        variance = new["square"]
        if self.centered:
            new["mean"] = pytree.map(lambda m, g: rho * m + (1 - rho) * g, state["mean"], grads)
            variance = pytree.map(lambda n, m: np.maximum(n - m * m, 0), variance, new["mean"])
        step = pytree.map(lambda g, n: -lr * g / np.sqrt(n + self.epsilon), grads, variance)
        if self.momentum:
            new["step"] = step = pytree.map(lambda d, s: self.momentum * d + s, state["step"], step)
        return pytree.map(lambda p, s: p + s, params, step), _counted(state, **new)


@dataclass(frozen=True)
class Adam:
    r"""Adam.

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1) g \\
        v &\leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
        \theta &\leftarrow \theta - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    lr : float or callable
        :math:`\eta`, positive.
    beta1, beta2 : float
        The decay rates of the two moments, in [0, 1).
    epsilon : float
        Positive, beside the root.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980, algorithm 1.
    """

    lr: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_rate("Adam", self.lr)
        _check_fraction("Adam", "beta1", self.beta1)
        _check_fraction("Adam", "beta2", self.beta2)
        _check_range("Adam", "epsilon", self.epsilon, 0.0, math.inf)

    def init(self, params: Any) -> dict[str, Any]:
        """The state: ``count`` (int64), ``m`` and ``v`` like ``params``, zeros."""
        return _initial("Adam", params, ["m", "v"])

    def update(self, grads: Any, state: dict[str, Any], params: Any) -> tuple[Any, dict[str, Any]]:
        """One step.

        Parameters
        ----------
        grads : pytree
            Gradients, in the structure and the shapes of ``params``.
        state : dict
            From :meth:`init`, or from the step before.
        params : pytree of floating arrays

        Returns
        -------
        params, state
            New arrays, each in the dtype of what it replaces.

        Raises
        ------
        StructureError
            ``grads`` has other containers or keys than ``params``.
        ShapeError
            A gradient's shape is not its parameter's.
        DtypeError
            A parameter is not floating.
        """
        grads, lr = _prepare("Adam", grads, params), _rate(self.lr, state)
        b1, b2, t = self.beta1, self.beta2, int(state["count"]) + 1
        m = pytree.map(lambda m, g: b1 * m + (1 - b1) * g, state["m"], grads)
        v = pytree.map(lambda v, g: b2 * v + (1 - b2) * (g * g), state["v"], grads)
        step_size, correction = lr / (1 - b1**t), 1 / math.sqrt(1 - b2**t)
        params = pytree.map(lambda p, m, v: p - step_size * m / (np.sqrt(v) * correction + self.epsilon), params, m, v)
        return params, _counted(state, m=m, v=v)


def _initial(name: str, params: Any, buffers: list[str]) -> dict[str, Any]:
    """A state: the count of updates, and named buffers of zeros like the parameters."""
    for path, p in zip(pytree.paths(params), pytree.leaves(params), strict=True):
        dtype = np.result_type(p)
        if not np.issubdtype(dtype, np.floating):
            raise DtypeError(
                f"{name}: parameter {path} has dtype {dtype}; only floating parameters can be trained: "
                "make it float32 or float64, or keep it out of params"
            )
    return {"count": np.zeros((), np.int64)} | {buffer: pytree.map(np.zeros_like, params) for buffer in buffers}


def _counted(state: dict[str, Any], **new: Any) -> dict[str, Any]:
    return {"count": np.asarray(state["count"] + 1), **new}


def _rate(lr: float | Schedule, state: dict[str, Any]) -> float:
    return float(lr(int(state["count"])) if callable(lr) else lr)


def _prepare(name: str, grads: Any, params: Any) -> Any:
    """The gradients in their parameters' dtype, checked against them."""
    grad_leaves, shape = pytree.flatten(grads)
    if shape == pytree.structure(params):
        for path, g, p in zip(pytree.paths(params), grad_leaves, pytree.leaves(params), strict=True):
            if np.shape(g) != np.shape(p):
                raise ShapeError(
                    f"{name}: the gradient of {path} has shape {np.shape(g)}, the parameter {np.shape(p)}; "
                    "give update(grads, state, params) the gradients of these parameters"
                )
    return pytree.map(lambda g, p: np.asarray(g, np.result_type(p)), grads, params)


def _check_rate(name: str, lr: float | Schedule) -> None:
    if not callable(lr):
        _check_range(name, "lr", lr, 0.0, math.inf)


def _check_fraction(name: str, option: str, value: float) -> None:
    if not 0 <= value < 1:
        raise OptionError(f"{name}: {option}={value!r} is outside [0, 1)")


def _check_range(name: str, option: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise OptionError(f"{name}: {option}={value!r} must be above {low:g} and finite")
