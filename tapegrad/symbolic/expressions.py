"""The SymPy objects that equations are made of: SymPy's own matrices, and a few that it lacks.

Everything is a matrix in the column convention: a vector is n x 1, a scalar 1 x 1. Tensors of three and more axes have
shapes of as many lengths and stand in elementwise operations and in named functions only. SymPy's sums, products,
transposes and Hadamard products serve as they are; its applied functions do not (their derivatives and Hadamard
products raise errors in version 1.14), so functions of elements have a class here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sympy import Atom, Basic, Integer, MatrixExpr, Symbol, sympify
from sympy.core.symbol import Str

from tapegrad.structure import literal_key, option_key

TIME = Symbol("t", integer=True)
FIRST = Integer(1)
LINEAR = ("adjoint", "tangent", "direct", "carried")  # roles of what derivatives are linear in
LAST = Symbol("T", integer=True, positive=True)

Shape = tuple[int, ...]


# How str() writes a value: the name by which it is given to ``Equation.evaluate``.
PREFIX = {
    "adjoint": "dL/d{}", "gradient": "dL/d{}", "direct": "dL_t/d{}", "carried": "dL_later/d{}", "tangent": "d{}",
}  # fmt: skip


class Node(MatrixExpr):
    """A matrix expression of this project. Its last arguments are the lengths of its axes."""

    is_commutative = False

    @classmethod
    def made(cls, *args: Any) -> Any:
        """The expression of this class with these SymPy arguments."""
        return Basic.__new__(cls, *args)

    @property
    def func(self) -> Any:  # SymPy makes an expression anew, with parts of it replaced, as x.func(*args)
        return type(self).made

    @property
    def shape(self) -> Any:
        raise NotImplementedError

    def _entry(self, i: Any, j: Any, **options: Any) -> Any:
        from sympy.matrices.expressions.matexpr import MatrixElement

        return MatrixElement(self, i, j)

    def _eval_transpose(self) -> Any:
        return None

    def doit(self, **hints: Any) -> Any:
        return self


class Value(Node):
    """A named vector, matrix or scalar, at a time or for all times.

    Attributes
    ----------
    name : str
        As in the code of the step: ``W_xh``, ``h``.
    role : str
        "parameter", "input", "value" (states and what a step computes), "output", "adjoint" (the derivative of the loss
        by the value of that name), "tangent", "constant", "hole" (the argument of a function).
    time : SymPy integer expression, or None
    """

    def __new__(cls, name: str, shape: Iterable[int], time: Any = None, role: str = "value") -> Value:
        when = Str("always") if time is None else sympify(time)
        return Basic.__new__(cls, Str(name), Str(role), when, *[Integer(n) for n in shape])

    @property
    def name(self) -> str:
        return self.args[0].name

    @property
    def role(self) -> str:
        return self.args[1].name

    @property
    def time(self) -> Any:
        return None if isinstance(self.args[2], Str) else self.args[2]

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.args[3:]

    def at(self, time: Any) -> Value:
        """The same value at another time."""
        return Value(self.name, self.shape, time, self.role)

    def as_role(self, role: str) -> Value:
        """The adjoint, say, of this value."""
        return Value(self.name, self.shape, self.time, role)

    def __repr__(self) -> str:
        return f"{self.name}[{self.time}]" if self.time is not None else self.name

    def _sympystr(self, printer: Any) -> str:
        return PREFIX.get(self.role, "{}").format(f"{self!r}")


class Applied(Node):
    """A function of elements, applied to matrices of one shape."""

    def __new__(cls, function: str, *args: Any) -> Applied:
        return Basic.__new__(cls, Str(function), *args)

    @property
    def function(self) -> str:
        return self.args[0].name

    @property
    def operands(self) -> tuple[Any, ...]:
        return self.args[1:]

    @property
    def shape(self) -> Any:
        return self.args[1].shape


class Scaled(Node):
    """A matrix times a number that is computed: a 1 x 1 matrix."""

    def __new__(cls, scalar: Any, matrix: Any) -> Scaled:
        return Basic.__new__(cls, scalar, matrix)

    @property
    def shape(self) -> Any:
        return self.args[1].shape


class Operation(Atom):
    """What a named function stands for: a primitive with its options, and how its arrays lie in the step.

    Attributes
    ----------
    primitive : Primitive
    options : dict
        For one row.
    arguments : list
        For each argument its :class:`Layout`, or the literal.
    results : list of Layout
    result : int
        Which of the results.
    """

    def __new__(cls, primitive: Any, options: dict, arguments: Any, results: Any, result: int = 0) -> Operation:
        made = Basic.__new__(cls)
        made.primitive, made.options = primitive, options
        made.arguments, made.results, made.result = tuple(arguments), tuple(results), result
        made.key = (
            primitive.name,
            tuple([(name, option_key(value)) for name, value in sorted(options.items())]),
            tuple([a if isinstance(a, Layout) else literal_key(a) for a in made.arguments]),
            result,
        )
        return made

    def _hashable_content(self) -> Any:
        return self.key

    def _sympystr(self, printer: Any) -> str:
        return str(self.primitive.name)


class Layout(NamedTuple):
    """How an array of the step lies: its lengths without the rows, and where the axis of rows stands, if it has one."""

    features: tuple[int, ...]
    rows: int | None


class Named(Node):
    """A function of whole arrays that has no matrix notation, or a better name than its formula: gather, softmax.

    Attributes
    ----------
    function : str
    operation : Operation, or None
        None for functions that are known by name.
    """

    def __new__(cls, function: str, args: Iterable[Any], shape: Iterable[int], operation: Any = None) -> Named:
        args = tuple(args)
        what = Str("known") if operation is None else operation
        return Basic.__new__(cls, Str(function), what, Integer(len(args)), *args, *[Integer(n) for n in shape])

    @property
    def function(self) -> str:
        return self.args[0].name

    @property
    def operation(self) -> Operation | None:
        return None if isinstance(self.args[1], Str) else self.args[1]

    @property
    def operands(self) -> tuple[Any, ...]:
        return self.args[3 : 3 + int(self.args[2])]

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.args[3 + int(self.args[2]) :]


def values_in(expression: Any) -> list[Value]:
    """The values that stand in an expression, each once, in the order in which they are met."""
    found: dict[Value, None] = {}
    seen: set[int] = set()
    todo = [expression]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Value):
            found[node] = None
        else:
            todo.extend(reversed([a for a in node.args if isinstance(a, Basic)]))
    return list(found)


def replaced(expression: Any, changes: Mapping[Any, Any]) -> Any:
    """An expression with some values replaced by others of their shapes."""
    return expression.xreplace(dict(changes)) if changes else expression


def moved(expression: Any, steps: int) -> Any:
    """An expression ``steps`` later: each value at t becomes that at t + steps."""
    changes = {v: v.at(v.time + steps) for v in values_in(expression) if v.time is not None}
    return replaced(expression, changes)
