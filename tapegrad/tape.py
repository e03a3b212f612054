"""The tape that records what is done to Tensors, how it is run, and the backward walk over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import pytree
from .errors import ShapeError, StructureError
from .holding import is_holding, ruled
from .tensor import UNSETTLED, WATCH, Aval, Tensor, Trace, apply, aval_of, complex_refused, constant

if TYPE_CHECKING:
    from .primitives.registry import Primitive


class Node(NamedTuple):
    """One operation of a tape. ``slots[i]`` is where argument i stands on the tape, -1 for a constant."""

    primitive: Any
    args: list
    slots: list
    options: dict
    ans: Any


_new, _new_node = object.__new__, tuple.__new__


class Tape(Trace):
    """A Wengert list: operations in the order in which they were done; ``print`` shows it.

    Each entry of ``nodes`` is a slot. An input and the further outputs of an operation with several
    outputs occupy slots that hold None.

    Attributes
    ----------
    nodes : list of Node or None
    inputs : list of int
        Slots of the arguments.
    consts : dict of int to array or Tensor
        Slots of the arrays that were captured, with their values.
    outputs : list of (int, value)
        Slots of the results; -1 with the value for a constant result.
    names : dict of int to str
        Names of slots, as the code that was traced calls them.
    places : dict of int to Place
        Where the code stands that did an operation; known of a tape that was watched.
    """

    places: dict[int, Any] = {}  # not written to: a tape that is watched has its own

    def __init__(self) -> None:
        self.nodes: list[Node | None] = []
        self.inputs: list[int] = []
        self.consts: dict[int, Any] = {}
        self.outputs: list[tuple[int, Any]] = []
        self.names: dict[int, str] = {}

    def input(self, value: Any) -> Tensor:
        """A new input, holding ``value``."""
        self.inputs.append(len(self.nodes))
        self.nodes.append(None)
        return Tensor(self, value, self.inputs[-1])

    def enter(self, values: Sequence[Any]) -> list[Tensor]:
        """New inputs, holding ``values``."""
        first = len(self.nodes)
        self.nodes.extend([None] * len(values))
        self.inputs.extend(range(first, len(self.nodes)))
        return self._tensors(values, first)

    def _tensors(self, values: Sequence[Any], first: int) -> list[Tensor]:
        """Tensors of values that stand in one slot after another."""
        made = []
        for slot, value in enumerate(values, first):
            tensor = _new(Tensor)  # to call the class takes half as long again
            tensor.owner, tensor.value, tensor.slot = self, value, slot
            made.append(tensor)
        return made

    def record(self, primitive: Primitive, args: list, slots: list, options: dict, ans: Any) -> Any:
        """Append an operation that gave ``ans``; returns its Tensor, or a list of them."""
        nodes, slot = self.nodes, len(self.nodes)
        nodes.append(_new_node(Node, (primitive, args, slots, options, ans)))
        if not primitive.multiple:
            return Tensor(self, ans, slot)
        nodes.extend([None] * (len(ans) - 1))
        return self._tensors(ans, slot)

    def __str__(self) -> str:
        from .printing import format_tape

        return format_tape(self)


class ReverseTape(Tape):
    """A tape of concrete operations, kept for one backward walk."""

    purpose = "gradient"

    def process(self, primitive: Primitive, args: Sequence[Any], options: dict[str, Any]) -> Any:
        values, slots = [], []
        for arg in args:
            if type(arg) is Tensor and arg.owner is self:
                values.append(arg.value)
                slots.append(arg.slot)
                continue
            # The caller may write into an array before the backward walk reads it.
            values.append(constant(arg, primitive.reads_inputs, primitive.name) if isinstance(arg, UNSETTLED) else arg)
            slots.append(-1)
        if primitive.differentiable and max(slots) >= 0:
            if primitive.augment is not None:
                return primitive.augment(self, values, slots, options)
            return self.record(primitive, values, slots, options, self.compute(primitive, values, options))
        ans = apply(primitive, values, options)
        return [Tensor(self, value) for value in ans] if primitive.multiple else Tensor(self, ans)

    def unread(self) -> set[int]:
        """The slots whose values no derivative reads."""
        found: set[int] = set()
        for slot, node in enumerate(self.nodes):
            if node is not None and not node.primitive.reads_result:
                found.update(range(slot, slot + node.primitive.count(node.options)))
        return found.difference(*[node.slots for node in self.nodes if node is not None]) if found else found

    def compute(self, primitive: Primitive, values: list, options: dict[str, Any]) -> Any:
        """The result of an operation on the values inside: arrays in the outermost trace, else maybe Tensors."""
        if self.level > 1:
            return apply(primitive, values, options)
        try:
            return primitive.run(*values, **options)
        except ValueError as error:
            raise primitive.explained(error, values) from None


class AbstractTape(Tape):
    """A tape of operations on shapes and dtypes alone; arrays that it meets become further inputs."""

    purpose = "trace"

    def __init__(self) -> None:
        super().__init__()
        self._captured: dict[int, tuple[Any, Tensor]] = {}
        self.input_avals: dict[int, Aval] = {}
        self.derived: dict[Any, Any] = {}
        self.aliases: dict[int, list[str]] = {}  # all that a slot is called, the outermost function first
        self.look: Callable[[], None] | None = None  # called at each operation, to learn names
        self.structures: tuple[pytree.Structure, pytree.Structure] | None = None  # of arguments and results

    def input(self, value: Any) -> Tensor:
        held = super().input(value)
        self.input_avals[held.slot] = value
        return held

    def aval(self, slot: int) -> Aval:
        """What is known of a slot."""
        if slot in self.input_avals:
            return self.input_avals[slot]
        if slot in self.consts:
            return aval_of(self.consts[slot])
        start = slot
        while self.nodes[start] is None:
            start -= 1
        node = self.nodes[start]
        return node.ans[slot - start] if node.primitive.multiple else node.ans  # type: ignore[union-attr]

    def process(self, primitive: Primitive, args: Sequence[Any], options: dict[str, Any]) -> Any:
        if self.look is not None:
            self.look()
        values, slots = [], []
        for arg in args:
            if isinstance(arg, Tensor) and arg.owner is self:
                values.append(arg.value)
                slots.append(arg.slot)
            elif isinstance(arg, (Tensor, np.ndarray)):
                held = self.capture(arg, primitive.name)
                values.append(held.value)
                slots.append(held.slot)
            else:
                if isinstance(arg, UNSETTLED):
                    raise complex_refused(primitive.name)
                values.append(arg)
                slots.append(-1)
        ans = primitive.abstract(*values, **options)
        for made in ans if primitive.multiple else (ans,):
            if made.dtype.kind == "c":
                raise complex_refused(primitive.name)
        return self.record(primitive, values, slots, options, ans)

    def capture(self, value: Any, name: str = "constant") -> Tensor:
        """The input that stands for a captured array or outer Tensor."""
        _, held = self._captured.get(id(value), (None, None))
        if held is not None and _unchanged(self.consts[held.slot], value):
            return held
        slot = len(self.nodes)
        self.nodes.append(None)
        self.consts[slot] = _snapshot(value, name)
        held = Tensor(self, aval_of(value), slot)
        self._captured[id(value)] = value, held  # keeping the value keeps its id from being given again
        return held

    def close(self) -> None:
        super().close()
        self._captured = {}

    def __call__(self, *args: Any) -> Any:
        """Run the tape that :func:`tapegrad.trace` made, on arguments of the same structure, shapes and dtypes."""
        leaves, structure = pytree.flatten(args)
        if self.structures is None or structure != self.structures[0]:
            expected = self.structures[0] if self.structures else "the list of its inputs"
            raise StructureError(f"tape: the arguments have the structure {structure!r}, it was traced as {expected!r}")
        for slot, leaf in zip(self.inputs, leaves, strict=True):
            if aval_of(leaf) != self.input_avals[slot]:
                raise ShapeError(
                    f"tape: the input {self.names.get(slot, slot)} is {aval_of(leaf)!r}, it was traced as "
                    f"{self.input_avals[slot]!r}; trace again for other shapes and dtypes"
                )
        return self.structures[1].unflatten(run(self, leaves))


def _snapshot(value: Any, name: str) -> Any:
    """What a captured array holds now, which nobody can write into later."""
    if not isinstance(value, np.ndarray):
        return value
    held = constant(value, name=name)
    if held is not value:
        held.flags.writeable = False
    return held


def _unchanged(snapshot: Any, value: Any) -> bool:
    if snapshot is value:
        return True
    same = snapshot.shape == value.shape and snapshot.dtype == value.dtype
    return same and np.array_equal(snapshot, value, equal_nan=value.dtype.kind == "f")


def run(
    tape: Tape, args: Sequence[Any], consts: dict[int, Any] | None = None, named: dict[int, Any] | None = None
) -> list[Any]:
    """Carry out a tape on arrays or Tensors; one value for each of its inputs.

    What the slots that have names hold is put into ``named``, if it is given.
    """
    env: list[Any] = [None] * len(tape.nodes)
    for slot, value in (tape.consts if consts is None else consts).items():
        env[slot] = value
    for slot, value in zip(tape.inputs, args, strict=True):
        env[slot] = value
    watch = WATCH.get()
    for slot, node in enumerate(tape.nodes):
        if node is None:
            continue
        values = [value if s < 0 else env[s] for s, value in zip(node.slots, node.args, strict=True)]
        ans = apply(node.primitive, values, node.options)
        if watch is not None:
            watch.ran(node.primitive, values, node.options, ans)
        if node.primitive.multiple:
            env[slot : slot + len(ans)] = ans
        else:
            env[slot] = ans
    if named is not None:
        named.update({slot: env[slot] for slot in tape.names})
    return [value if slot < 0 else env[slot] for slot, value in tape.outputs]


class Addition:
    """A cotangent that is zero but at an index; a sum takes it in without an array of zeros for each."""

    def __init__(self, g: Any, dense: Callable[[], Any], add_to: Callable[[np.ndarray], None]):
        self.g, self.dense, self.add_to = g, dense, add_to


def backward(tape: Tape, seeds: dict[int, Any], keep: bool = False) -> list[Any]:
    """Walk a tape backwards and return the cotangent of each of its inputs, None where none arrives.

    Parameters
    ----------
    tape : Tape
    seeds : dict of int to array
        The cotangents of output slots.
    keep : bool
        Without it each node is dropped as soon as it has been used, and its memory freed.
    """
    nodes = tape.nodes.copy() if keep else tape.nodes
    cotangents: list[Any] = [None] * len(nodes)
    for slot, seed in seeds.items():
        cotangents[slot] = seed
    holding, watch = is_holding(), WATCH.get()
    walk = watch.walk(seeds) if watch is not None else None
    owned: set[int] = set()  # slots whose cotangent is a sum made here, which may be added to in place
    while nodes:
        node = nodes.pop()
        if node is None:
            continue
        primitive, args, slots, options, ans = node
        slot = len(nodes)
        if primitive.multiple:
            g = cotangents[slot : slot + len(ans)]
            if not any([part is not None for part in g]):
                continue
        else:
            g = cotangents[slot]
            if g is None:
                continue
            cotangents[slot] = None
        if holding:
            parts = ruled(primitive, primitive.pull, g, ans, args, options, slots)
        else:
            parts = primitive.pull(g, ans, args, options, slots)
        if walk is not None:
            walk.pulled(slot, g, node, parts)
        for parent, part in zip(slots, parts, strict=True):
            if part is None:
                continue
            held = cotangents[parent]
            if held is None and type(part) is not Addition:
                cotangents[parent] = part
                continue
            if type(part) is Addition:
                if parent in owned and type(held) is type(part.g) is np.ndarray:
                    part.add_to(held)
                    continue
                part = part.dense()
            if held is None:
                cotangents[parent] = part
                if type(part) is np.ndarray:
                    owned.add(parent)
            elif parent in owned and type(held) is type(part) is np.ndarray:
                np.add(held, part, out=held)
            else:
                cotangents[parent] = held + part
                owned.add(parent)
    if walk is not None:
        walk.ended(tape.inputs, cotangents)
    return [cotangents[slot] for slot in tape.inputs]
