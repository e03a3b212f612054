"""What cells and networks of them share: options that make them values, declared parameters, a call over sequences."""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from tapegrad import pytree
from tapegrad.errors import DtypeError, OptionError, StructureError, TapegradError

from .checks import specification
from .specs import Input, Parameter, State


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class Layer:
    """What maps sequences to sequences and has parameters: a cell, or a network of cells.

    A subclass becomes a frozen dataclass, so that a layer is a value: it compares and hashes by its
    options and never changes. Parameters and state are kept outside of it, in pytrees.

    Attributes
    ----------
    source : str
        The paper and the equations that the layer writes down.

    Notes
    -----
    Options whose names end in ``_size`` must be integers of at least 1, those annotated as bool, int or float must be
    such, and become Python's. All options must be hashable. A subclass with
    its own ``__post_init__`` calls ``super().__post_init__()``. ``class MyLayer(OtherLayer, kw_only=True)`` lets
    options without a default follow inherited ones that have one.
    """

    __pytree_leaf__ = True
    source: ClassVar[str] = ""
    #: Whether a call takes ``record=``, names of variables of the step to be returned too.
    records: ClassVar[bool] = False

    def __init_subclass__(cls, *, kw_only: bool = False, **options: Any):
        super().__init_subclass__(**options)
        dataclasses.dataclass(frozen=True, kw_only=kw_only)(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name.endswith("_size"):
                object.__setattr__(self, field.name, checked_size(type(self).__name__, field.name, value))
            if field.type in (bool, "bool") and not isinstance(value, (bool, np.bool_)):
                raise OptionError(f"{type(self).__name__}: {field.name}={value!r}, expected True or False")
            try:
                hash(value)
            except TypeError:
                raise OptionError(
                    f"{type(self).__name__}: option {field.name} is a {type(value).__name__}, expected something "
                    "hashable; write a tuple for a list, and keep arrays in the parameters or in xs"
                ) from None
            if field.type in _NUMBERS:
                object.__setattr__(self, field.name, checked_number(type(self).__name__, field, value))

    # ---- what it declares ----

    def parameters(self) -> Any:
        """The learned arrays: a dict from names to :class:`Parameter`, which may be nested."""
        return {}

    def state(self) -> Any:
        """What is carried from step to step: a pytree of :class:`State`; None for nothing."""
        return None

    def inputs(self) -> Any:
        """What a step is given: a pytree of :class:`Input`, or None to take anything.

        By default vectors of ``input_size``, when there is that option. A cell that is given token numbers
        says so with ``return Input((), dtype=np.int64)``.
        """
        size = getattr(self, "input_size", None)
        return None if size is None else Input((size,))

    def output_lengths(self, lengths: Any) -> Any:
        """How many steps come out, for the numbers of steps that go in: as many, unless a layer says otherwise."""
        return lengths

    # ---- what follows from it ----

    @property
    def noisy(self) -> bool:
        """Whether it takes noise beside its input, ``xs = (xs, noise)``: whether it has a method ``noise``.

        ``noise(rng, steps, batch, dtype=np.float32, training=True)`` draws that of one call, a pytree of arrays
        (steps, batch, ...); without ``training`` it gives the value that the noise has in the mean. A network has the
        method for its parts, and is noisy when one of them is.
        """
        return hasattr(type(self), "noise")

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(math.prod(parameter.shape) for parameter in specification(self).parameters)

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float32,
        *,
        overrides: Mapping[str, str | float | Callable[..., Any]] | None = None,
    ) -> Any:
        """Initial parameters.

        Parameters
        ----------
        rng : numpy.random.Generator
        dtype : dtype
            A floating dtype, for all parameters. One seed gives the same values in each, up to rounding.
        overrides : dict, optional
            Other initialisers than the declared ones: from a parameter's name, or a pattern such as
            ``"*W_hh"``, to what ``Parameter(init=...)`` takes. The last that fits a name counts.

        Returns
        -------
        pytree as ``parameters()``, of arrays

        Raises
        ------
        OptionError
            When ``rng`` is no Generator, or a pattern fits no parameter.
        DtypeError
            When ``dtype`` is not floating.

        Examples
        --------
        >>> from tapegrad.cells import Elman
        >>> params = Elman(2, 2, "relu").init(np.random.default_rng(0), overrides={"W_hh": "identity"})
        >>> params["W_hh"]
        array([[1., 0.],
               [0., 1.]], dtype=float32)
        """
        name = f"{type(self).__name__}.init"
        if not isinstance(rng, np.random.Generator):
            raise OptionError(f"{name}: rng={rng!r}, expected a Generator; write np.random.default_rng(seed)")
        dtype = floating_dtype(name, dtype)
        spec = specification(self)
        overrides = dict(overrides or {})
        unused = set(overrides)
        leaves = []
        for path, parameter in zip(spec.names, spec.parameters, strict=True):
            fitting = [pattern for pattern in overrides if pattern == path or fnmatchcase(path, pattern)]
            unused.difference_update(fitting)
            if fitting:
                parameter = Parameter(parameter.shape, overrides[fitting[-1]])
            leaves.append(parameter.draw(rng, dtype, path))
        if unused:
            raise OptionError(
                f"{name}: overrides names {sorted(unused)}, which fits no parameter; the parameters are "
                f"{', '.join(spec.names)}"
            )
        return spec.structure.unflatten(leaves)

    def initial_state(self, batch: int, dtype: Any = np.float32) -> Any:
        """The state before the first step.

        Parameters
        ----------
        batch : int
            B, 0 or more.
        dtype : dtype
            A floating dtype, for the states that declare none.

        Returns
        -------
        pytree as ``state()``, of arrays (batch, ...)
        """
        name = f"{type(self).__name__}.initial_state"
        dtype = floating_dtype(name, dtype)
        batch = checked_size(name, "batch", batch, least=0)
        for state in pytree.leaves(self.state()):
            if not isinstance(state, State):
                raise StructureError(
                    f"{type(self).__name__}.state() holds a {type(state).__name__}, expected State; write "
                    "State((hidden_size,)), without the batch axis"
                )
        return pytree.map(lambda state: np.full((batch, *state.shape), state.init, state.dtype or dtype), self.state())

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run over sequences: ``layer(params, xs, state=None, ...) -> (state, ys)``."""
        raise TapegradError(
            f"{type(self).__name__} has no __call__; write __call__(self, params, xs, state=None) that returns "
            "(state, ys)"
        )


# Annotations of options that are numbers: as the class writes them, and as text under deferred evaluation.
_NUMBERS = (int, float, int | None, float | None, "int", "float", "int | None", "float | None")


def checked_number(name: str, field: dataclasses.Field[Any], value: Any) -> Any:
    """The value of an option whose annotation is that of a number, in Python's types.

    NumPy's would not do: an np.float64 makes float64 of a state in float32.
    """
    whole, optional = "int" in str(field.type), "None" in str(field.type)
    if value is None and (optional or field.default is None):
        return None
    if whole and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if not whole and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value) if isinstance(value, np.generic) or not isinstance(value, (int, float)) else value
    kind = "an integer" if whole else "a number"
    raise OptionError(f"{name}: {field.name}={value!r}, expected {kind}{' or None' if optional else ''}")


def checked_size(name: str, option: str, value: Any, least: int = 1) -> int:
    """``value`` as a Python integer that is not below ``least``."""
    try:
        size = operator.index(value)
    except TypeError:
        size = least - 1
    if size < least or isinstance(value, bool):
        raise OptionError(f"{name}: {option}={value!r}, expected an integer of at least {least}")
    return size


def floating_dtype(name: str, dtype: Any) -> np.dtype:
    """``dtype`` as a NumPy dtype of floating point."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if dtype is None or kind is None or kind.kind != "f":
        raise DtypeError(f"{name}: dtype={dtype!r}, expected a floating dtype; give np.float32 or np.float64")
    return kind
