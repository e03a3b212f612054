"""What the values of a step are called: as in the code where they have a name there, and by their use where not."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from typing import Any

from tapegrad import pytree
from tapegrad.primitives.contract import Contract
from tapegrad.tape import AbstractTape

CURVED = frozenset(
    "tanh logistic exp expm1 log log1p sqrt sin cos tan arctan sinh cosh arcsinh absolute maximum minimum where "
    "logaddexp sign power erf erfc".split()
)
LONG = 4  # operations that are not written out twice


def plain(path: str, base: str) -> str:
    """A path of a pytree as a name: ``layers[0].h`` is ``layers_0_h``, and a lone leaf takes ``base``."""
    if path == "value":
        return base
    name = re.sub(r"\W+", "_", path).strip("_")
    if not name or name[0].isdigit() or keyword.iskeyword(name):
        name = f"{base}_{name}"
    return name


def drop_prefix(tape: AbstractTape) -> None:
    """Names from within the only other step that is called need not say so."""
    prefixes = {n.split(".")[0] for names in tape.aliases.values() for n in names if n[0].isdigit()}
    if len(prefixes) != 1:
        return
    start = prefixes.pop() + "."
    outer = {n for names in tape.aliases.values() for n in names if not n.startswith(start)}

    def shorter(name: str) -> str:
        short = name.removeprefix(start)
        return name if short in outer else short

    tape.names = {slot: shorter(name) for slot, name in tape.names.items()}
    tape.aliases = {slot: [shorter(n) for n in names] for slot, names in tape.aliases.items()}


def state_names(tape: AbstractTape, made: list[int], state: Any, xs: int) -> list[str]:
    """States are called as the code calls what becomes of them.

    Parameters
    ----------
    made : list of int
        The slots of the new state.
    state : pytree
    xs : int
        How many of the last inputs belong to x.
    """
    found: list[str] = []
    inputs = set(tape.inputs)
    given = {tape.names.get(slot) for slot in tape.inputs[len(tape.inputs) - xs :]}
    for slot, path in zip(made, pytree.paths(state), strict=True):
        aliases = tape.aliases.get(slot, []) if slot not in inputs else []
        # A name that the input has as well is that of a variable which was given something else.
        fitting = [n for n in aliases if n not in found and n not in given and re.sub(r"_\d+$", "", n) not in given]
        found.append(fitting[0] if fitting else plain(path, "s"))
    return found


def applied_from_the_right(tape: AbstractTape, slot: int) -> bool:
    """Whether a weight is used as in ``x @ W``, so that a book writes its transpose in front of a column."""
    votes = 0
    for node in tape.nodes:
        if node is None or not isinstance(node.primitive, Contract) or slot not in node.slots:
            continue
        spec = node.options["spec"]
        mine, other = (spec.left, spec.right) if node.slots[0] == slot else (spec.right, spec.left)
        summed = [a for a, label in enumerate(mine) if label in other and label not in spec.out]
        if len(summed) == 1:
            votes += 1 if summed[0] == 0 else -1
    return votes > 0


def preactivations(tape: AbstractTape, known: set[int], weights: set[int]) -> dict[int, int]:
    """Sums with products, and what is long, that a function of elements is applied to, with the slots of its results.

    What is ``known`` by a name is left out, and not looked into. So is what is read by something else besides.
    """
    found: dict[int, int] = {}
    uses = use_counts(tape)
    for slot, node in enumerate(tape.nodes):
        if node is None or node.primitive.multiple:
            continue
        for s in node.slots:
            if s < 0 or s in known:
                continue
            curved = node.primitive.name in CURVED
            softmax = len(tape.aval(s).shape) < 3 and is_shifted(tape, s)
            long = curved and node.primitive.name != "where" and length(tape, s, known) > LONG and not softmax
            if not (long or is_affine(tape, s, known, weights)):
                continue
            if curved:
                found.setdefault(s, slot)
            elif uses[s] > 1 and node.primitive.name not in ("add", "subtract"):
                found.setdefault(s, s)
    return found


def is_affine(tape: AbstractTape, slot: int, known: set[int], weights: set[int]) -> bool:
    """Whether a value is a product with a weight, or a sum with one among its terms; names are not looked into."""
    todo = [slot]
    while todo:
        node = tape.nodes[todo.pop()]
        if node is None or node.primitive.multiple:
            continue
        if isinstance(node.primitive, Contract) or (node.primitive.name == "multiply" and weights & set(node.slots)):
            return True
        if node.primitive.name in ("add", "subtract"):
            todo.extend([s for s in node.slots if s >= 0 and s not in known])
    return False


def is_shifted(tape: AbstractTape, slot: int) -> bool:
    """Whether something is taken off that no derivative sees, as the largest element in a softmax."""
    node = tape.nodes[slot]
    while node is not None and not node.primitive.multiple and node.primitive.name != "stop_gradient":
        if node.primitive.name == "subtract":
            slot = node.slots[1]
        elif len(node.slots) == 1:
            slot = node.slots[0]
        else:
            return False
        node = tape.nodes[slot] if slot >= 0 else None
    return node is not None and not node.primitive.multiple


def length(tape: AbstractTape, slot: int, known: set[int]) -> int:
    """The number of operations that a value takes, each counted once; names are not looked into."""
    found: set[int] = set()
    todo = [slot]
    while todo:
        s = todo.pop()
        node = tape.nodes[s]
        if s not in found and s not in known and node is not None:
            found.add(s)
            todo.extend([a for a in node.slots if a >= 0])
    return len(found)


def use_counts(tape: AbstractTape) -> Counter[int]:
    """How often each slot is read."""
    uses = Counter([s for node in tape.nodes if node is not None for s in node.slots if s >= 0])
    uses.update([slot for slot, _ in tape.outputs if slot >= 0])
    return uses


def shared(tape: AbstractTape, known: set[int]) -> set[int]:
    """Values without a name that are read more than once and are too long to be written out each time."""
    uses, found = use_counts(tape), set()
    length: dict[int, int] = {}
    for slot, node in enumerate(tape.nodes):
        if node is None or node.primitive.multiple:
            continue
        made = 1 + sum(length.get(s, 1) for s in node.slots if s >= 0 and s not in known and s not in found)
        length[slot] = made
        # The exponentials of a softmax are recognised where they stand.
        softmax = node.primitive.name == "exp" and len(tape.aval(slot).shape) < 3 and is_shifted(tape, node.slots[0])
        if slot not in known and uses[slot] > 1 and made > LONG and not softmax:
            found.add(slot)
    return found
