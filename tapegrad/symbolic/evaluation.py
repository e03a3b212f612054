"""Numbers for equations: expressions evaluated on explicit matrices, of floats or of any other kind of number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sympy import DiagMatrix, HadamardPower, HadamardProduct, Identity, MatAdd, MatMul, OneMatrix, Transpose, ZeroMatrix

from tapegrad.errors import OptionError
from tapegrad.primitives.registry import primitives

from .expressions import Applied, Layout, Named, Scaled, Value
from .linear import Columns
from .reading import matrix_shape

Lookup = Callable[[Any], Any]


class Arithmetic:
    """How numbers are made and functions of elements computed; this one is for floats.

    Parameters
    ----------
    dtype : dtype
        ``object`` for numbers of other libraries.
    """

    dtype: Any = np.float64

    def number(self, value: Any) -> Any:
        return float(value)

    def apply(self, function: str, args: list[Any]) -> Any:
        with np.errstate(all="ignore"):
            return elementwise(function)(*args)

    def run(self, primitive: Any, args: list[Any], options: dict) -> Any:
        """Carry out an operation of a tape."""
        return primitive.run(*args, **options)

    def known(self, function: str, args: list[Any], shape: tuple[int, ...]) -> Any:
        if function == "softmax":
            e = self.apply("exp", [args[0] - np.max(args[0])])
            return e / np.sum(e)
        if function == "logsumexp":
            top = np.max(args[0])
            return top + self.apply("log", [np.sum(self.apply("exp", [args[0] - top])).reshape(1, 1)])
        if function == "one_hot":
            return (np.arange(shape[0])[:, None] == args[0]).astype(self.dtype)
        if function == "element":
            return args[0][int(args[1].item())].reshape(1, 1)
        if function == "stacked":
            return np.concatenate(args)
        if function == "broadcast":
            return np.broadcast_to(args[0], shape)
        if function == "reshape":
            return args[0].reshape(shape)
        if function in ("zeros", "ones"):
            return np.full(shape, self.number(function == "ones"), self.dtype)
        raise OptionError(f"evaluate: {function} is a function that nothing is known of")


def elementwise(name: str) -> Callable:
    """The function of elements that a primitive computes."""
    return next(p.run for p in primitives() if p.name == name)


FLOATS = Arithmetic()


def evaluate(expression: Any, lookup: Lookup, arithmetic: Arithmetic = FLOATS) -> np.ndarray:
    """The matrix that an expression stands for.

    Parameters
    ----------
    expression : SymPy matrix expression
    lookup : callable
        From a :class:`Value`, or another symbol, to its matrix; vectors are (n, 1), scalars (1, 1).
    """
    return _Evaluation(lookup, arithmetic)(expression)


class _Evaluation:
    def __init__(self, lookup: Lookup, arithmetic: Arithmetic):
        self.lookup, self.arithmetic = lookup, arithmetic
        self.known: dict[Any, np.ndarray] = {}

    def __call__(self, x: Any) -> Any:
        if x not in self.known:
            rule = _RULES.get(type(x))
            self.known[x] = self.lookup(x) if rule is None else rule(self, x)
        return self.known[x]

    def number(self, x: Any) -> Any:
        return self.arithmetic.number(x)

    def constant(self, value: float, shape: Any) -> Any:
        return np.full(tuple(map(int, shape)), self.number(value), self.arithmetic.dtype)


def _product(self: _Evaluation, x: MatMul) -> Any:
    made = None
    for factor in x.args:
        part = self(factor) if factor.is_Matrix else self.number(factor)
        if made is None or not hasattr(made, "shape") or not hasattr(part, "shape"):
            made = part if made is None else made * part
        else:
            made = made @ part
    return made


def _hadamard(self: _Evaluation, x: HadamardProduct) -> Any:
    made = self(x.args[0])
    for factor in x.args[1:]:
        made = made * self(factor)
    return made


def _power(self: _Evaluation, x: HadamardPower) -> Any:
    base, exponent = self(x.args[0]), x.args[1]
    if exponent == -1:
        return self.number(1) / base
    if exponent.is_Integer and exponent > 0:
        return base ** int(exponent)
    return self.arithmetic.apply("power", [base, self.number(exponent)])


def _sum(self: _Evaluation, x: MatAdd) -> Any:
    made = self(x.args[0])
    for term in x.args[1:]:
        made = made + self(term)
    return made


def _diagonal(self: _Evaluation, x: DiagMatrix) -> Any:
    vector = self(x.args[0])
    made = self.constant(0, (len(vector), len(vector)))
    made[np.arange(len(vector)), np.arange(len(vector))] = vector[:, 0]
    return made


def _identity(self: _Evaluation, x: Identity) -> Any:
    return np.eye(int(x.shape[0]), dtype=np.int64).astype(self.arithmetic.dtype) * self.number(1)


def _named(self: _Evaluation, x: Named) -> Any:
    args = [self(a) for a in x.operands]
    operation = x.operation
    if operation is None:
        return self.arithmetic.known(x.function, args, tuple(map(int, x.shape)))
    given = iter(args)
    full = [as_code(next(given), a) if isinstance(a, Layout) else a for a in operation.arguments]
    made = self.arithmetic.run(operation.primitive, full, operation.options)
    made = made[operation.result] if operation.primitive.multiple else made
    return as_print(made, operation.results[operation.result])


def _columns(self: _Evaluation, x: Columns) -> Any:
    function, hole, matrix = x.args
    made = []
    for column in self(matrix).T:
        inner = _Evaluation(self, self.arithmetic)
        inner.known[hole] = column.reshape(-1, 1)
        made.append(inner(function)[:, 0])
    return np.stack(made, axis=1)


def as_code(matrix: Any, layout: Layout) -> Any:
    """A matrix as the array of one row that stands in the code."""
    array = np.asarray(matrix).reshape(layout.features)
    return array if layout.rows is None else np.expand_dims(array, layout.rows)


def as_print(array: Any, layout: Layout) -> Any:
    """An array of one row as a matrix."""
    return np.asarray(array).reshape(matrix_shape(layout.features))


_RULES: dict[type, Callable] = {
    MatMul: _product,
    MatAdd: _sum,
    HadamardProduct: _hadamard,
    HadamardPower: _power,
    Transpose: lambda self, x: self(x.args[0]).T,
    DiagMatrix: _diagonal,
    Identity: _identity,
    OneMatrix: lambda self, x: self.constant(1, x.shape),
    ZeroMatrix: lambda self, x: self.constant(0, x.shape),
    Scaled: lambda self, x: self(x.args[0]).reshape(()) * self(x.args[1]),
    Applied: lambda self, x: self.arithmetic.apply(x.function, [self(a) for a in x.operands]),
    Named: _named,
    Columns: _columns,
}


def by_name(values: Mapping[Any, Any]) -> Lookup:
    """A lookup in a mapping from values, or from their names as they print (``"h[t - 1]"``, spaces left out or not)."""
    table = {key.replace(" ", "") if isinstance(key, str) else key: v for key, v in values.items()}

    def lookup(value: Any) -> Any:
        for key in (value, str(value).replace(" ", "")):
            if key in table:
                return _matrix(value, table[key])
        if not isinstance(values, dict) and value in values:  # such as a run, which computes Jacobians when asked
            return _matrix(value, values[value])
        raise OptionError(
            f"evaluate: no value was given for {value}; given are {', '.join(map(str, values)) or 'none'}"
        )

    return lookup


def _matrix(value: Value, given: Any) -> Any:
    array = np.asarray(given)
    shape = tuple(map(int, value.shape))
    if array.shape == shape:
        return array
    if array.shape == shape[:1] and shape[1:] == (1,):
        return array[:, None]
    if array.shape == () and shape == (1, 1):
        return array.reshape(1, 1)
    raise OptionError(f"evaluate: {value} was given as an array of shape {array.shape}, expected {shape}")
