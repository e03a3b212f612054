"""Faults to plant into the rules of a primitive, and the mutants that are no faults."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hypothesis import HealthCheck, Phase, given, settings

from tapegrad.primitives import elementwise, shaping
from tapegrad.primitives.registry import Primitive, shape_of
from tapegrad.tape import Addition
from tests.meta.mutation import source_tree
from tests.specs import PRIMITIVES, SMOOTH, SPECS


@cache
def examples(name, count=40):
    """Calls of a row, always the same ones."""
    found = []

    @settings(max_examples=count, database=None, derandomize=True, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(SPECS[name].calls)
    def collect(call):
        found.append(call)

    collect()
    return found


@dataclass(frozen=True)
class Fault:
    """A way to break a rule: ``plant(monkeypatch, primitive)`` does it. ``mode`` is the mode that it breaks."""

    name: str
    mode: str
    plant: Callable

    def __str__(self):
        return f"{self.mode}: {self.name}"


def at(place, change):
    """``change`` applied to one entry of the rule's results or arguments."""

    def changed(parts):
        parts = list(parts)
        if place < len(parts) and parts[place] is not None:
            part = parts[place]
            parts[place] = change(part.dense() if isinstance(part, Addition) else part)
        return parts

    return changed


def after_pull(change):
    """Break what a VJP rule returns."""

    def plant(monkeypatch, primitive):
        right = primitive.pull
        monkeypatch.setattr(primitive, "pull", lambda *given: change(right(*given)), raising=False)

    return plant


def before_push(change):
    """Break the tangents that a JVP rule is given; it is linear in them."""

    def plant(monkeypatch, primitive):
        if primitive.push_with is not None:
            right_with = primitive.push_with
            monkeypatch.setattr(primitive, "push_with", lambda values, moves, options: right_with(
                values, change(moves), options), raising=False)  # fmt: skip
            return
        right = primitive.push
        monkeypatch.setattr(primitive, "push", lambda moves, *given: right(change(moves), *given), raising=False)

    return plant


def with_wrong_ans(rule):
    def plant(monkeypatch, primitive):
        right = getattr(primitive, rule)
        monkeypatch.setattr(primitive, rule, lambda g, ans, *given: right(g, spoiled(ans), *given), raising=False)

    return plant


def spoiled(ans):
    return tuple(map(spoiled, ans)) if isinstance(ans, (tuple, list)) else 1.01 * ans + 0.01


def without_broadcast_sum(monkeypatch, primitive):
    """The cotangent keeps the shape of the result."""
    keep = lambda g, x: g  # noqa: E731
    for module in (elementwise, shaping):
        monkeypatch.setattr(module, "like", keep)


def faults(name):
    """All faults to plant into a primitive."""
    primitive = PRIMITIVES[name]
    made = [Fault("wrong ans", "rev", with_wrong_ans("pull"))]
    if primitive.push_with is None:
        made.append(Fault("wrong ans", "fwd", with_wrong_ans("push")))
    if name in BROADCASTING:
        made.append(Fault("missing broadcast sum", "rev", without_broadcast_sum))
    places = moving_places(name)
    for mode, broken in (("rev", after_pull), ("fwd", before_push)):
        if len(places) > 1:
            made.append(Fault("swapped operands", mode, broken(swapping(places))))
        for place in places:
            for fault, change in (
                ("0.1 % off", lambda part: part * 1.001),
                ("wrong sign", lambda part: -part),
                ("lost", lambda part: 0.0 * part),
            ):
                made.append(Fault(f"{fault} in argument {place}", mode, broken(at(place, change))))
    return made


def swapping(places):
    i, j = places[:2]

    def change(parts):
        parts = list(parts)
        if j < len(parts) and parts[i] is not None and parts[j] is not None:
            if shape_of(parts[i]) == shape_of(parts[j]):
                parts[i], parts[j] = parts[j], parts[i]
        return parts

    return change


def moving_places(name):
    """The positions of the arguments that have a derivative."""
    primitive = PRIMITIVES[name]
    if isinstance(primitive, elementwise.Elementwise):
        return [i for i, rule in enumerate(primitive.derivatives) if rule is not None]
    return list(range({"contract": 2, "concatenate": 2, "call": 2, "scan": 4, "solve": 2}.get(name, 1)))


BROADCASTING = [
    row.name
    for row in SMOOTH
    if isinstance(PRIMITIVES[row.name], elementwise.Elementwise) and len(moving_places(row.name)) > 1
] + ["broadcast_to"]

# ---- mutants that are no faults, and why ----
def reads_ans(name, rule):
    """Whether the numbers of the result stand in the source of a rule; loops read its shapes and dtypes alone."""
    primitive = PRIMITIVES[name]
    if primitive.family == "control":
        return False
    derivatives = [d for d in getattr(primitive, "derivatives", ()) if d is not None]
    method = getattr(type(primitive), rule)
    own = method not in (getattr(elementwise.Elementwise, rule), getattr(Primitive, rule))
    return any(_loads_ans(source_tree(function)) for function in ([method] if own else derivatives))


def _loads_ans(tree):
    passed = [
        inner for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("dtype", "shape", "ndim"))
        or (isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("shape_of", "is_inexact"))
        for inner in ast.walk(node)
    ]  # fmt: skip
    return any(isinstance(n, ast.Name) and n.id == "ans" and n not in passed for n in ast.walk(tree))


EQUIVALENT = {
    (f"{mode}: wrong ans", row.name): "its rule does not read ans, or only its shape and dtype"
    for mode, rule in (("rev", "pull"), ("fwd", "push"))
    for row in SMOOTH
    if not reads_ans(row.name, rule)
} | {
    (f"{mode}: swapped operands", "add"): "both partial derivatives of a sum are 1" for mode in ("rev", "fwd")
} | {("rev: wrong ans", "cofactors"): "its rule hands ans to push, which does not read it"}


def mutants():
    """Pairs of a primitive's name and a fault."""
    return [(row.name, fault) for row in SMOOTH for fault in faults(row.name)]
