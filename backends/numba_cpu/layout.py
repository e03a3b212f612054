"""What of a loop can be compiled, in which order, and where its values lie.

A loop is done in stages. A stage first does what reads whole rows (products with parameters, sums of a row), into
scratch, then all elementwise work, fused. Every value is a matrix whose rows are the batch: rows never read each
other, which is what lets each thread run all steps on its own rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tapegrad.primitives.contract import Contract
from tapegrad.primitives.reductions import Sum
from tapegrad.tensor import Aval, aval_of

from ..plan import Plan, node_at
from .gemm import panel_width
from .maths import FUNCTIONS


def arity(name: str) -> int:
    """How many arguments a vectorised function takes."""
    return 2 if name in ("arctan2", "floor_divide", "logaddexp", "maximum", "minimum", "power", "remainder") else 1


EXPRESSIONS = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "negative": "-{0}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "equal": "{0} == {1}",
    "where": "select({0}, {1}, {2})",
    "absolute": "absolute({0})",
    "sqrt": "sqrt({0})",
    "floor": "floor({0})",
    "rint": "rint({0})",
    "stop_gradient": "{0}",
    "broadcast_to": "{0}",
} | {name: f"{function.__name__}({', '.join(['{0}', '{1}'][: arity(name)])})" for name, function in FUNCTIONS.items()}


class Unlowered(Exception):
    """A primitive, or a use of one, that this backend does not compile."""

    def __init__(self, primitive: str):
        super().__init__(primitive)
        self.primitive = primitive


@dataclass
class Lowered:
    """Source of a loop function, and how to call it.

    Attributes
    ----------
    source : str
    dtype : numpy.dtype
    numbers : list
        The floating literals.
    fixed : list of int
        Slots of operands that follow from the parameters, passed as flat arrays.
    weights : list of (slot, transposed)
        Right operands to pack, in this order.
    masks : set of int
        Streamed slots of booleans, passed as floats.
    work : int
        Elements of scratch for each row.
    """

    source: str = ""
    dtype: Any = None
    numbers: list = field(default_factory=list)
    fixed: list = field(default_factory=list)
    weights: list = field(default_factory=list)
    masks: set = field(default_factory=set)
    work: int = 0


def is_staged(node: Any) -> bool:
    """Whether an operation stands between passes: it reads whole rows, and leaves its result in scratch."""
    return isinstance(node.primitive, (Contract, Sum))


class Layout:
    """Which stage each operation of a loop is done in, and where each value lies."""

    def __init__(self, plan: Plan):
        self.plan, self.tape = plan, plan.step.tape
        step = plan.step
        self.states = list(self.tape.inputs[step.params : step.params + step.state])
        self.rows, self.lowered = self._common_rows(), Lowered()
        self.lowered.dtype = self.tape.aval(self.states[0]).dtype
        self.in_loop = set(plan.loop)
        self.depth: dict[int, int] = {}
        self.work: dict[int, int] = {}  # slot -> column of the scratch where its row begins
        self.packed = 0
        self._check_kept()
        for slot in plan.loop:
            self.depth[slot] = self._depth(slot)
        self._place()

    # ---- what can be lowered ----
    def _common_rows(self) -> int:
        avals = [self.tape.aval(slot) for slot in self.states]
        if not avals or any(len(a.shape) != 2 or a.dtype.kind != "f" for a in avals):
            raise Unlowered("scan of a state that is not a float matrix (batch, features)")
        if len({(a.shape[0], a.dtype) for a in avals}) > 1 or avals[0].dtype.itemsize not in (4, 8):
            raise Unlowered("scan of states with different batches or dtypes")
        return avals[0].shape[0]

    def _check_kept(self) -> None:
        for slot in [*self.plan.kept, *self.plan.streamed]:
            aval = self.tape.aval(slot)
            if not self._is_matrix(aval):
                raise Unlowered(f"a value {aval!r} that enters or leaves the loop")

    def _is_matrix(self, aval: Aval) -> bool:
        """Whether rows are the batch and entries are floats of the loop's dtype, or booleans."""
        fits = len(aval.shape) == 2 and aval.shape[0] == self.rows
        return fits and (aval.dtype == self.lowered.dtype or aval.dtype.kind == "b")

    def width(self, slot: int) -> int:
        return self.tape.aval(slot).shape[1]

    def _depth(self, slot: int) -> int:
        node = node_at(self.tape, slot)
        if not self._is_matrix(self.tape.aval(slot)):
            raise Unlowered(f"{node.primitive.name} to {self.tape.aval(slot)!r}")
        if isinstance(node.primitive, Contract):
            return self._product_depth(node)
        if isinstance(node.primitive, Sum):
            return self._sum_depth(node)
        if node.primitive.name not in EXPRESSIONS:
            raise Unlowered(node.primitive.name)
        if node.primitive.name == "where" and node.slots[1] < 0 and node.slots[2] < 0:
            raise Unlowered("where between two numbers")
        depth = 0
        for s, value in zip(node.slots, node.args, strict=True):
            if s in self.depth:
                depth = max(depth, self.depth[s] + (self.width(s) != self.width(slot)))
            elif s >= 0 and not self._operand_fits(s):
                raise Unlowered(f"{node.primitive.name} of {self.tape.aval(s)!r}")
            elif s < 0 and aval_of(value).dtype.kind not in "fiu":
                raise Unlowered(f"{node.primitive.name} with a constant {value!r}")
        return depth

    def _operand_fits(self, slot: int) -> bool:
        aval = self.tape.aval(slot)
        if slot in self.states or slot in self.plan.streamed:
            return self._is_matrix(aval)
        return len(aval.shape) <= 2 and aval.dtype == self.lowered.dtype

    def _product_depth(self, node: Any) -> int:
        left, right, _ = self.operands(node)
        return self.depth[left] + 1 if left in self.depth else 0

    def _sum_depth(self, node: Any) -> int:
        (operand,) = node.slots
        if node.options["axis"] != (1,) or not self._is_matrix(self.tape.aval(operand)):
            raise Unlowered("sum over the batch")
        return self.depth[operand] + 1 if operand in self.depth else 0

    def operands(self, node: Any) -> tuple[int, int, bool]:
        """The slots of the left operand and of the weights of a product, and whether the weights are transposed."""
        spec, (x, y) = node.options["spec"], node.slots
        for left, right, a, b in ((x, y, spec.left, spec.right), (y, x, spec.right, spec.left)):
            moving = left in self.in_loop or left in self.states or left in self.plan.streamed
            still = not (right in self.in_loop or right in self.states or right in self.plan.streamed)
            if moving and still and len(a) == len(b) == len(spec.out) == 2 and a[0] == spec.out[0] and a[1] in b:
                if spec.out[1] in b and a[0] not in b and self._operand_fits(left):
                    if self.tape.aval(right).dtype == self.lowered.dtype:
                        return left, right, b[0] != a[1]
        raise Unlowered(f"contract {spec.text}")

    # ---- where values lie ----
    def _place(self) -> None:
        """Give scratch to products, and to values that a later stage or another width reads."""
        width = panel_width(self.lowered.dtype)
        for slot in self.plan.loop:
            node = node_at(self.tape, slot)
            if is_staged(node) or (slot not in self.plan.kept and self._read_later(slot)):
                self.work[slot] = self.lowered.work
                self.lowered.work += -(-self.width(slot) // width) * width

    def _read_later(self, slot: int) -> bool:
        for other in self.plan.loop:
            node = node_at(self.tape, other)
            if slot in node.slots:
                if is_staged(node):
                    return True
                if self.depth[other] != self.depth[slot] or self.width(other) != self.width(slot):
                    return True
        return False

    def address(self, slot: int) -> tuple[str, str, int]:
        """Array, offset of row i, and width of a row, of a value in memory."""
        n = self.width(slot)
        if slot in self.states:
            return f"s{self.states.index(slot)}", f"i * {n}", n
        if slot in self.plan.streamed:
            return f"x{self.plan.streamed.index(slot)}", f"(t * B + i) * {n}", n
        if slot in self.work:
            padded = self._padded(n)
            return "work", f"M * {self.work[slot]} + (i - r0) * {padded}", padded
        return f"y{self.plan.kept.index(slot)}", f"(t * B + i) * {n}", n

    def _padded(self, n: int) -> int:
        width = panel_width(self.lowered.dtype)
        return -(-n // width) * width

    def fixed(self, slot: int) -> str:
        if slot not in self.lowered.fixed:
            self.lowered.fixed.append(slot)
        return f"f{self.lowered.fixed.index(slot)}"
