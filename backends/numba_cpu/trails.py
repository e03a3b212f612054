"""States that need no memory of their own: what they are at every step is an output as well.

The state at step t is what the step before gave. An array of one more step than there are holds both: the state as it
is read, seen from one end, and as it is given, seen from the other. The loop reads and writes it there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..graph import Access, Graph, Op
from ..plan import Plan


@dataclass
class Trails:
    """Which states are kept for all steps.

    Attributes
    ----------
    states : list of int
        Their numbers.
    shown : dict of int to (int, bool)
        The outputs that are found in them: the number of the state, and whether it is the new one.
    """

    states: list[int] = field(default_factory=list)
    shown: dict[int, tuple[int, bool]] = field(default_factory=dict)


def find_trails(plan: Plan) -> Trails:
    """The trails of a plan; the copies that made the outputs are taken out of its loop.

    Residuals may share memory, since only the backward loop reads them. An output that the caller is given shares it
    with no other.
    """
    graph, trails = plan.graph, Trails()
    copies = [op for op in plan.loop if op.kind == "map" and op.name == "copy" and _is_whole(graph, op)]
    given = {op.args[0]: graph.values[op.out].slot for op in reversed(copies) if graph.values[op.out].source == "next"}
    inputs = graph.tape.inputs[graph.step.params :]
    found: dict[int, list[tuple[Op, bool]]] = {}
    for op in copies:
        value, seen = graph.values[op.out], op.args[0]
        if value.source != "y":
            continue
        source = graph.values[seen.base]
        state = inputs.index(source.slot) if source.source == "state" else given.get(seen, -1)
        if state >= 0 and (value.rowed or not graph.rows.axis):
            found.setdefault(state, []).append((op, source.source != "state"))
    residuals = graph.residuals()
    for state, wanted in sorted(found.items()):
        kept = [(op, new) for op, new in wanted if op.out in residuals]
        trails.states.append(state)
        for op, new in kept or wanted[:1]:
            trails.shown[op.out] = state, new
    plan.loop = [op for op in plan.loop if op.out not in trails.shown]
    return trails


def _is_whole(graph: Graph, op: Op) -> bool:
    """Whether a copy changes nothing but the place."""
    (seen,) = op.args
    if not isinstance(seen, Access):
        return False
    made, source = graph.values[op.out], graph.values[seen.base]
    alike = (made.shape, made.dtype, made.rowed) == (source.shape, source.dtype, source.rowed)
    return alike and seen == graph.whole(seen.base) and op.store == graph.whole(op.out)
