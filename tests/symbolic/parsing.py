"""What a reader makes of a print: a small parser for plain text and LaTeX, which computes as it reads.

It knows the rules of precedence that mathematicians have, and the symbols of the equation, but nothing of the
expression that was printed: so a bracket that is missing, or one name for two things, gives another number.
"""

import re

import numpy as np
from sympy import Identity

from tapegrad.functions import sigmoid, softmax, softplus
from tapegrad.symbolic.equations import TimeSum
from tapegrad.symbolic.expressions import Named, values_in
from tapegrad.symbolic.jacobians import Partial
from tapegrad.symbolic.printing import PRODUCT, SUM

FUNCTIONS = {
    "σ": sigmoid, "tanh": np.tanh, "exp": np.exp, "sin": np.sin, "cos": np.cos, "sqrt": np.sqrt, "log": np.log,
    "arctan": np.arctan, "abs": np.abs, "sign": np.sign, "floor": np.floor, "softplus": softplus,
    "relu": lambda x: np.maximum(x, 0), "maximum": np.maximum, "minimum": np.minimum, "remainder": np.mod,
    "logaddexp": np.logaddexp, "stop_gradient": lambda x: x,
    "softmax": lambda x: softmax(x, axis=0), "logsumexp": lambda x: np.log(np.sum(np.exp(x))).reshape(1, 1),
    "diag": lambda x: np.diag(x[:, 0]), "flip": lambda x: x[::-1], "cumsum": lambda x: np.cumsum(x, axis=0),
    "argmax": lambda x: np.argmax(x).reshape(1, 1), "max": lambda x: np.max(x).reshape(1, 1),
}  # fmt: skip
COMPARISONS = {"<": np.less, "≤": np.less_equal, ">": np.greater, "≥": np.greater_equal, "=": np.equal}
COMPARISONS["≠"] = np.not_equal


class Unreadable(Exception):
    """A function that this parser does not know."""


class Ones:
    """A column of ones, as long as it has to be."""

    def __init__(self, row=False):
        self.row = row

    def like(self, n):
        return np.ones((1, n) if self.row else (n, 1))


class Reading:
    """The number that a text stands for.

    Parameters
    ----------
    text : str
    names : dict of str to array
        The printed symbols, and the matrices that they stand for.
    shape : tuple of int
        Of the whole: how long a vector of ones at its edge is.
    """

    def __init__(self, text, names, shape):
        self.names, self.shape = names, shape
        words = map(re.escape, sorted([*names, *FUNCTIONS], key=len, reverse=True))
        number = r"\d+(?:\.\d+)?(?:e-?\d+)?"
        pattern = "|".join([*words, r"\bif\b", r"\belse\b", number, r"(?<=[^\s(\[,;])\[", r"\S"])
        self.tokens = []
        for found in re.finditer(pattern, text):
            # An index stands close to what it is taken of; a vector of blocks, or a condition, has a space before it.
            close = found[0] == "[" and found.start() > 0 and text[found.start() - 1] not in " ([,;"
            self.tokens.append("at" if close else found[0])
        self.at = 0

    # ---- tokens ----
    @property
    def next(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, expected=None):
        token = self.next
        if token is None or expected not in (None, token):
            raise Unreadable(f"{expected} expected at {self.at} of {self.tokens}, not {token}")
        self.at += 1
        return token

    # ---- what binds least first ----
    def whole(self):
        made = self.sum()
        if self.next is not None:
            raise Unreadable(f"{self.next} at {self.at} of {self.tokens}")
        return np.broadcast_to(full(made, self.shape[0]), self.shape)

    def sum(self):
        sign = -1 if self.next == "-" and self.take() else 1
        made = self.ratio(sign)
        while self.next in ("+", "-"):
            made = made + self.ratio(1 if self.take() == "+" else -1)
        return made

    def ratio(self, sign):
        """Products bind as strongly as ratios, and neither mixes with another kind without brackets."""
        made = self.factors()
        if self.next == "/":
            self.take()
            made = full(made) / full(self.power())
            if self.next in ("/", "⊙") or self.starts():
                raise Unreadable(f"a ratio and then {self.next} in {self.tokens}")
        if isinstance(made, Ones):
            made = np.ones((1, 1))
        return sign * made

    def factors(self):
        """A number in front, and then either a product of elements or a matrix product."""
        front = 1.0
        if self.is_number() and self.next != "1":
            front = float(self.take())
            if not self.starts():
                return np.full((1, 1), front)
        elif self.next == "(" and self.is_fraction():
            front = self.power()
            if not self.starts():
                return front
        first = self.power()
        if self.next == "⊙":
            while self.next == "⊙":
                self.take()
                first = full(first) * full(self.power())
            if self.starts():
                raise Unreadable(f"a product of elements and then {self.next} in {self.tokens}")
            return front * first
        parts = [first]
        while self.starts():
            parts.append(self.power())
        if self.next == "⊙":
            raise Unreadable(f"a matrix product and then ⊙ in {self.tokens}")
        return front * chained(parts) if len(parts) > 1 or not isinstance(first, Ones) else self.lone(front)

    def lone(self, front):
        return np.full((1, 1), front)

    def is_number(self):
        return self.next is not None and self.next not in self.names and self.next[0].isdigit()

    def is_fraction(self):
        window = self.tokens[self.at : self.at + 5]
        return (
            len(window) == 5 and window[2] == "/" and window[4] == ")" and window[1].isdigit() and window[3].isdigit()
        )

    def starts(self):
        """Whether another factor follows."""
        return self.next is not None and (
            self.next in self.names or self.next in FUNCTIONS or self.next in ("(", "[") or self.is_number()
        )

    def power(self):
        made = self.atom()
        while self.next in ("^", "ᵀ", "at"):
            mark = self.take()
            if mark == "ᵀ":
                made = Ones(row=True) if isinstance(made, Ones) else made.T
            elif mark == "^":
                made = self.raised(made)
            else:
                made = self.sliced(made)
        return made

    def raised(self, base):
        if self.next == "⊙":
            self.take()
        elif 1 not in base.shape:
            raise Unreadable("a power of a matrix")
        negative = self.next == "("
        if negative:
            self.take("(")
            self.take("-")
        exponent = float(self.take())
        if negative:
            self.take(")")
        return np.power(base, -exponent if negative else exponent)

    def sliced(self, base):
        places = ""
        while self.next != "]":
            places += self.take()
        self.take("]")
        parts = [int(p) if p else None for p in places.split(":")]
        return base[slice(*parts)] if ":" in places else base[parts[0] : parts[0] + 1]

    # ---- what stands by itself ----
    def atom(self):
        token = self.next
        if token in self.names:
            return self.names[self.take()]
        if token == "(":
            return self.bracket()
        if token == "[":
            return self.square()
        if token == "1":
            self.take()
            return Ones()
        if token == "0":
            self.take()
            return np.zeros((1, 1))
        if self.is_number():
            return np.full((1, 1), float(self.take()))
        if token in FUNCTIONS:
            return self.call(FUNCTIONS[self.take()])
        raise Unreadable(f"{token} at {self.at} of {self.tokens}")

    def call(self, function):
        self.take("(")
        args = [full(self.sum())]
        while self.next == ",":
            self.take()
            args.append(full(self.sum()))
        self.take(")")
        return function(*args)

    def bracket(self):
        """Brackets, or a choice."""
        self.take("(")
        made = self.sum()
        if self.next == "if":
            self.take()
            condition = self.condition()
            self.take("else")
            made = np.where(condition, full(made), full(self.sum()))
        self.take(")")
        return made

    def condition(self):
        left = full(self.sum())
        return COMPARISONS[self.take()](left, full(self.sum()))

    def square(self):
        """A condition, which is 1 where it holds, or vectors one below the other."""
        self.take("[")
        made = full(self.sum())
        if self.next in COMPARISONS:
            made = COMPARISONS[self.take()](made, full(self.sum())).astype(float)
        rows = [made]
        while self.next == ";":
            self.take()
            rows.append(full(self.sum()))
        self.take("]")
        return np.concatenate(rows)


def full(x, n=1):
    return x.like(n) if isinstance(x, Ones) else x


def chained(parts):
    """A matrix product from the left; ones are as long as their neighbours say."""
    made = None
    for i, part in enumerate(parts):
        if isinstance(part, Ones):
            part = part.like(length_at(parts, i))
        if made is None:
            made = part
        elif made.shape == (1, 1) or part.shape == (1, 1):
            made = made * part  # a number times a matrix
        else:
            made = made @ part
    return made


def length_at(parts, i):
    """How long the ones among factors are: as the side of the neighbour that they meet, or 1, which spreads."""
    if parts[i].row and i + 1 < len(parts) and not isinstance(parts[i + 1], Ones):
        return parts[i + 1].shape[0]
    if not parts[i].row and i > 0 and not isinstance(parts[i - 1], Ones):
        return parts[i - 1].shape[1]
    return 1


def drawn(equation, rng, positive):
    """A matrix for each value that an equation reads."""
    found = {}
    for value in [*values_in(equation.right), *equation.right.atoms(Partial)]:
        shape = tuple(map(int, value.shape))
        found[value] = rng.uniform(0.2, 1.5, shape) if positive else rng.standard_normal(shape)
    return found


def read(equation, printer, values):
    """The number that a reader of the print arrives at.

    Partial derivatives are symbols as others; a sum over time is read at one time, and stands for one product at least.
    """
    term = equation.right.term if isinstance(equation.right, TimeSum) else equation.right
    text = printer(term, PRODUCT if term is not equation.right else SUM)
    names = {}
    for value, array in values.items():
        name = printer.parts(value)[0]
        assert name not in names, f"{name} is printed for two things in {equation}"
        names[name] = array
    sizes = {int(x.shape[0]) for x in term.atoms(Identity)}
    if len(sizes) == 1:
        names["I"] = np.eye(sizes.pop())
    return Reading(text, names, tuple(map(int, term.shape))).whole()


def is_plain(equation):
    """Whether nothing occurs in an equation that is a function of whole arrays with settings of its own."""
    names = equation.right.atoms(Named)
    return all(
        (x.operation is None and x.function not in ("one_hot", "element")) or x.function == "getitem" for x in names
    )
