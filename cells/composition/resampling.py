"""Fewer steps out than in: many to one, and many to fewer."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.errors import OptionError

from ..calls import checked
from ..layer import Layer, checked_size
from ..registry import register
from ..specs import Input
from .joining import valid_lengths


class _Resampling(Layer):
    """Layers without parameters that give other numbers of steps than they are given."""

    input_size: int

    def inputs(self) -> Input:
        return Input((self.input_size,))

    def _counts(self, xs: Any, state: Any, lengths: Any, reset: Any, params: Any) -> np.ndarray:
        """The lengths of a call whose arguments fit."""
        checked(self, params, xs, state)
        name = type(self).__name__
        if reset is not None:
            raise OptionError(
                f"{name}: reset= begins sequences at steps that are no steps of the output; give each sequence a row "
                "of its own, with lengths="
            )
        return valid_lengths(xs, lengths)


@register(kind="layer", variants={how: {"how": how} for how in ("last", "mean", "sum", "max")})
class Pooling(_Resampling):
    """Many to one: of each sequence the last step that counts, or the mean, sum or maximum of those that count.

    ::

        y = x_T                                 or (1/T) sum_t x_t, sum_t x_t, max_t x_t

    Parameters
    ----------
    input_size : int
    how : {"last", "mean", "sum", "max"}
        With ``reverse`` the last step is the first one, where a cell that runs backwards ends.

    Notes
    -----
    xs (T, B, input_size) give ys (1, B, input_size), so that other layers can follow; ``ys[0]`` are the vectors. A
    sequence of no steps gives zeros, and T = 0 none: (0, B, input_size).

    Examples
    --------
    >>> xs = np.arange(12.0).reshape(3, 2, 2)
    >>> Pooling(2, "last")({}, xs, lengths=np.array([3, 1]))[1]
    array([[[8., 9.],
            [2., 3.]]])
    """

    source = "many to one; the mean: Chen, Ling & Zhu 2018"

    how: str = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.how not in ("last", "mean", "sum", "max"):
            raise OptionError(f"Pooling: how={self.how!r}, expected one of last, mean, sum, max")

    @property
    def output_size(self) -> int:
        return self.input_size

    def output_lengths(self, lengths: Any) -> Any:
        return np.minimum(lengths, 1)

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
        """Run over sequences: ``(None, ys)``; see :class:`Pooling`. ``reset`` is refused, the rest as for a cell."""
        counts = self._counts(xs, state, lengths, reset, params)
        steps, rows = xs.shape[:2]
        if not steps:
            return None, xs
        valid = (np.arange(steps)[:, None] < counts)[..., None]
        if self.how == "max":
            ys = np.where(counts[:, None] > 0, np.max(np.where(valid, xs, -np.inf), axis=0), 0)
        elif self.how == "last":
            at = np.zeros_like(counts) if reverse else np.maximum(counts - 1, 0)
            ys = np.where(counts[:, None] > 0, xs[at, np.arange(rows)], 0)
        else:
            ys = np.sum(np.where(valid, xs, 0), axis=0)
            if self.how == "mean":
                ys = ys / np.maximum(counts, 1)[:, None].astype(xs.dtype)
        return None, ys[None]


@register(kind="layer", variants={"keep": {}, "concatenate": {"factor": 3, "how": "concatenate"}})
class Subsampling(_Resampling):
    """Many to fewer: every ``factor``-th step, or ``factor`` neighbours side by side as one step.

    ::

        y_t = x_{kt}                                         keep
        y_t = [x_{kt}, x_{kt+1}, ..., x_{kt+k-1}]            concatenate; k = factor, t from 0

    Parameters
    ----------
    input_size : int
    factor : int
        How many steps become one.
    how : {"keep", "concatenate"}

    Notes
    -----
    xs (T, B, input_size) give ys (ceil(T / factor), B, output_size); lengths are divided in the same way. What a last
    group lacks is zero. Three bidirectional layers with "concatenate" of 2 between them are the encoder of Chan et al.,
    a pyramid.

    References
    ----------
    Chan, Jaitly, Le & Vinyals 2015, "Listen, attend and spell", equation 5.

    Examples
    --------
    >>> xs = np.arange(10.0).reshape(5, 1, 2)
    >>> Subsampling(2, 2, "concatenate")({}, xs)[1][:, 0]
    array([[0., 1., 2., 3.],
           [4., 5., 6., 7.],
           [8., 9., 0., 0.]])
    """

    source = "Chan, Jaitly, Le & Vinyals 2015, equation 5"

    factor: int = 2
    how: str = "keep"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "factor", checked_size("Subsampling", "factor", self.factor))
        if self.how not in ("keep", "concatenate"):
            raise OptionError(f"Subsampling: how={self.how!r}, expected 'keep' or 'concatenate'")

    @property
    def output_size(self) -> int:
        return self.input_size * (self.factor if self.how == "concatenate" else 1)

    def output_lengths(self, lengths: Any) -> Any:
        return -(-np.asarray(lengths) // self.factor)

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
        """Run over sequences: ``(None, ys)``; see :class:`Subsampling`. ``reset`` is refused, the rest as for a cell.

        Groups begin at the first step in either direction.
        """
        counts = self._counts(xs, state, lengths, reset, params)
        (steps, rows), k = xs.shape[:2], self.factor
        valid = (np.arange(steps)[:, None] < counts)[..., None]
        if self.how == "keep":
            return None, np.where(valid[::k], xs[::k], 0)
        whole = np.concatenate([np.where(valid, xs, 0), np.zeros((-steps % k, *xs.shape[1:]), xs.dtype)])
        groups = np.reshape(whole, (-(-steps // k), k, rows, self.input_size))
        return None, np.reshape(np.transpose(groups, (0, 2, 1, 3)), (len(groups), rows, k * self.input_size))
