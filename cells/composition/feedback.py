"""One to many: a cell whose output is its next input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad import pytree
from tapegrad.errors import OptionError, ShapeError
from tapegrad.primitives.registry import shape_of
from tapegrad.scan import scan
from tapegrad.tensor import Tensor

from ..base import Cell
from ..calls import checked
from ..checks import data_inputs
from ..layer import Layer, checked_size
from ..registry import register
from ..simple import Elman
from ..specs import Input
from .feeds import check_fed, ends, lengths_until
from .joining import aligned, input_size_of, noise_inputs, size_of, taken_apart, valid_lengths
from .stacked import Stacked


def _first(rng: np.random.Generator) -> Feedback:
    n = int(rng.integers(1, 5))
    return Feedback(Elman(n, n), steps=int(rng.integers(2, 5)))


def _every(rng: np.random.Generator) -> Feedback:
    m, n = rng.permutation(np.arange(1, 5))[:2].tolist()
    return Feedback(Stacked((Elman(n + m, 3), Elman(3, n))), steps=3, every_step=True)


@register(kind="layer", variants={"first": _first, "every step": _every})
class Feedback(Layer):
    """One to many: a cell that is given what comes out of it, for a number of steps.

    ::

        y_t = cell(u_t),    u_1 = x,            u_{t+1} = feed(y_t)
        y_t = cell(u_t),    u_1 = [0, x],       u_{t+1} = [feed(y_t), x]         with every_step

    Parameters
    ----------
    cell : Cell
    steps : int
        How many steps are made.
    feed : callable, optional
        From an output (B, ...) to what is fed back, in NumPy; by default the output itself. One that has a method
        ``noise(rng, steps, batch, dtype, training)``, such as :class:`Sampled`, is called as ``feed(y, noise)``.
    every_step : bool
        Whether x goes into every step, behind what is fed back, as a decoder is given its context; else it is the
        first input.
    gives_fed : bool
        Whether ys is what is fed back, the samples of a text, say, instead of the outputs that they were drawn from.
    stop : callable, optional
        From what is fed back (B, ...) to (B,) of bool, in NumPy: whether a row ends with this step, as a text does with
        its end symbol (``lambda token: token == 0``). Later outputs of the row are zero, and its state stays.

    Raises
    ------
    OptionError
        When ``cell`` is no cell, or ``feed`` or ``stop`` is not callable.
    ShapeError
        When what is fed back does not fit the input.

    Notes
    -----
    Parameters and state are the cell's; a decoder starts from ``state=`` the encoder's. xs has one step, (1, B, ...),
    as :class:`Pooling` gives it, and ys has ``steps``. A sequence of length 0 gives zeros, and T = 0 no steps.
    ``steps`` are made in any case: with ``stop`` rows are masked, and :func:`lengths_until` counts their steps in what
    was fed back.

    With a noisy cell or a ``feed`` that has noise xs is ``(xs, noise)``, where ``noise`` is what :meth:`noise` draws.

    References
    ----------
    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", section 2.2, for ``every_step``;
    Sutskever, Vinyals & Le 2014 for the state alone. Forcing: Williams & Zipser 1989; of some steps only: Bengio,
    Vinyals, Jaitly & Shazeer 2015, "Scheduled sampling".

    Examples
    --------
    >>> from tapegrad.cells import GRU, Linear, greedy
    >>> decoder = Feedback(Stacked((GRU(3, 8), Linear(8, 3))), steps=6, feed=greedy)
    >>> params = decoder.init(np.random.default_rng(0))
    >>> state, ys = decoder(params, np.ones((1, 2, 3), np.float32))
    >>> ys.shape
    (6, 2, 3)
    """

    source = "Cho et al. 2014, section 2.2; Sutskever, Vinyals & Le 2014"

    cell: Cell
    steps: int
    feed: Callable[..., Any] | None = None
    every_step: bool = False
    gives_fed: bool = False
    stop: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "steps", checked_size("Feedback", "steps", self.steps))
        if not isinstance(self.cell, Cell):
            raise OptionError(f"Feedback: cell={self.cell!r}, expected a cell such as GRU(8, 8)")
        if self.feed is not None and (isinstance(self.feed, type) or not callable(self.feed)):
            raise OptionError(f"Feedback: feed={self.feed!r}, expected a function from an output to the next input, or "
                "an instance such as Sampled(10)")
        if self.stop is not None and (isinstance(self.stop, type) or not callable(self.stop)):
            raise OptionError(
                f"Feedback: stop={self.stop!r}, expected a function from what is fed back to the rows that end; for "
                "the number of an end symbol write lambda token: token == number"
            )
        m, n = input_size_of(self.cell), size_of(self.cell)
        if self.every_step and (m is None or n is None or m <= n):
            raise ShapeError(
                f"Feedback: with every_step the cell is given its output, of size {n}, and x; {self.cell!r} takes "
                f"inputs of size {m}: make it with input_size={n} + the size of x"
            )
        if self.feed is None and not self.every_step and None not in (m, n) and m != n:
            raise ShapeError(
                f"Feedback: {self.cell!r} gives vectors of size {n} and takes vectors of size {m}; give them one size, "
                "with a Linear on top, or a feed= that makes an input of an output"
            )

    @property
    def output_size(self) -> int | None:
        return None if self.gives_fed and self.feed is not None else size_of(self.cell)

    def output_lengths(self, lengths: Any) -> Any:
        return np.minimum(lengths, 1) * self.steps

    @property
    def noisy(self) -> bool:
        return self.cell.noisy or hasattr(self.feed, "noise")

    def noise(
        self, rng: np.random.Generator | None, steps: int, batch: int, dtype: Any = np.float32, training: bool = True
    ) -> tuple[Any, Any]:
        """The noise of a call: that of the cell and that of ``feed``, for all steps that are made of one."""
        made = int(self.output_lengths(steps)), batch, dtype, training
        cell = self.cell.noise(rng, *made) if self.cell.noisy else None  # type: ignore[attr-defined]
        return cell, self.feed.noise(rng, *made) if hasattr(self.feed, "noise") else None  # type: ignore[union-attr]

    def parameters(self) -> Any:
        return self.cell.parameters()

    def state(self) -> Any:
        return self.cell.state()

    def inputs(self) -> Any:
        wanted = data_inputs(self.cell)
        if self.every_step:
            wanted = Input((wanted.shape[0] - (size_of(self.cell) or 0),), wanted.dtype)
        return (wanted, (noise_inputs(self.cell), None)) if self.noisy else wanted

    def __call__(
        self,
        params: Any,
        xs: Any,
        state: Any = None,
        *,
        teacher: Any = None,
        forced: Any = None,
        lengths: Any = None,
        reset: Any = None,
        reverse: bool = False,
        checkpoint: Any = None,
        backend: str = "auto",
    ) -> Any:
        """Make ``steps`` steps of one.

        Parameters
        ----------
        params, state
            As for a call of the cell.
        xs : array (1, B, ...), or pytree as ``inputs()``
            x.
        teacher : array (steps, B, ...), optional
            What is fed back in the place of ``feed(y_t)``: the right outputs, as ``feed`` would give them. Without
            ``forced`` all steps run on these, in one plain loop. The last one is not used. A row stops where its
            teacher does.
        forced : array (steps,) or (steps, B) of bool, optional
            After which steps the teacher's is taken.
        lengths : array (B,) of int, optional
            0 or 1 for each row.
        checkpoint, backend
            As for a call of a cell. ``reset`` and ``reverse`` are refused.

        Returns
        -------
        state : the cell's, after the last step
        ys : pytree of arrays (steps, B, ...)

        Raises
        ------
        StructureError, ShapeError, DtypeError
            When params, state, xs and what is fed back do not fit the cell or each other.
        """
        x, noise = taken_apart(self, xs, 2)
        state = checked(self, params, x, state)
        if reset is not None or reverse:
            raise OptionError("Feedback: reset= and reverse=True have no meaning for steps that are made of one")
        if any(shape_of(leaf)[0] > 1 for leaf in pytree.leaves(x)):
            raise ShapeError(
                f"{self!r}: xs has {shape_of(pytree.leaves(x)[0])[0]} steps, expected 1; take one with xs[:1], or with "
                "Pooling before this layer"
            )
        valid, empty = valid_lengths(x, lengths) > 0, not shape_of(pytree.leaves(x)[0])[0]
        first = pytree.map(lambda leaf: _only_step(leaf, valid), x)
        options = {"checkpoint": checkpoint, "backend": backend}
        if self.stop is not None and forced is None and any(isinstance(a, Tensor) for a in pytree.leaves(teacher)):
            forced = np.ones(self.steps, bool)  # where it stops is not known before the loop
        if teacher is not None and forced is None:
            end, ys = self._taught(params, first, state, noise, teacher, options)
        else:
            end, ys = self._fed_back(params, first, state, noise, teacher, forced, options)
        if empty:
            return state, pytree.map(lambda leaf: leaf[:0], ys)
        if lengths is None:
            return end, ys
        end = pytree.map(lambda new, old: np.where(aligned(valid, new), new, old), end, state)
        return end, pytree.map(lambda leaf: np.where(aligned(valid, leaf[0])[None], leaf, np.zeros((), leaf.dtype)), ys)

    def _taught(self, params: Any, first: Any, state: Any, noise: Any, teacher: Any, options: dict[str, Any]) -> Any:
        """All inputs are known: the cell's own loop."""
        start = self._start(first)
        check_fed(self, teacher, pytree.map(lambda leaf: leaf[None], start), "teacher", (self.steps,))
        us = pytree.map(lambda a, b: np.concatenate([a[None], b[:-1]]), start, teacher)
        if self.every_step:
            us = np.concatenate([us, np.broadcast_to(first, (self.steps, *shape_of(first)))], axis=-1)
        if self.stop is not None:
            options = {**options, "lengths": lengths_until(teacher, self.stop)}
        return self.cell(params, (us, noise[0]) if self.cell.noisy else us, state, **options)

    def _fed_back(
        self, params: Any, first: Any, state: Any, noise: Any, teacher: Any, forced: Any, options: dict[str, Any]
    ) -> Any:
        start = self._start(first)
        if teacher is not None:
            rows = shape_of(pytree.leaves(start)[0])[0]
            check_fed(self, teacher, pytree.map(lambda leaf: leaf[None], start), "teacher", (self.steps,))
            forced = np.asarray(forced)
            if forced.dtype != bool or forced.shape not in ((self.steps,), (self.steps, rows)):
                raise ShapeError(
                    f"Feedback: forced has shape {forced.shape} and dtype {forced.dtype}, expected booleans "
                    f"({self.steps},) or ({self.steps}, {rows})"
                )
            forced = np.broadcast_to(np.reshape(forced, (self.steps, -1)), (self.steps, rows))
        elif forced is not None:
            raise OptionError("Feedback: forced= says where the teacher is followed; give teacher= too")
        x = (*(noise or (None, None)), teacher, forced)
        both = params, first if self.every_step else None
        running = None if self.stop is None else np.ones(shape_of(pytree.leaves(start)[0])[0], bool)
        (end, _, _), ys = scan(self._step, both, (state, start, running), x, length=self.steps, **options)
        return end, ys

    def _start(self, first: Any) -> Any:
        """What stands in the place of an output before the first step."""
        if not self.every_step:
            return first
        return np.zeros((shape_of(first)[0], size_of(self.cell) or 0), first.dtype)

    def _step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        (params, context), (before, fed, running), (cell_noise, feed_noise, teacher, forced) = params, state, x
        u = fed if context is None else np.concatenate([fed, context], axis=-1)
        inner, y = self.cell.step(params, before, (u, cell_noise) if self.cell.noisy else u)
        new = y
        if self.feed is not None:
            new = self.feed(y) if feed_noise is None else self.feed(y, feed_noise)
        check_fed(self, new, fed, "what is fed back", ())
        new = pytree.map(lambda leaf, old: leaf.astype(old.dtype) if old.dtype.kind in "iu" else leaf, new, fed)
        if teacher is not None:
            new = pytree.map(lambda right, own: np.where(aligned(forced, own), right, own), teacher, new)
        y = new if self.gives_fed else y
        if self.stop is None:
            return (inner, new, None), y
        inner, new = pytree.map(lambda a, b: np.where(aligned(running, a), a, b), (inner, new), (before, fed))
        y = pytree.map(lambda leaf: np.where(aligned(running, leaf), leaf, np.zeros((), leaf.dtype)), y)
        return (inner, new, running & ~ends(self.stop, new)), y


def _only_step(leaf: Any, valid: np.ndarray) -> Any:
    """The one step of an input, without what stands in rows of length 0; zeros for no step."""
    zero = np.zeros((), leaf.dtype)
    if not shape_of(leaf)[0]:
        return np.broadcast_to(zero, shape_of(leaf)[1:])
    return np.where(aligned(valid, leaf[0]), leaf[0], zero)
