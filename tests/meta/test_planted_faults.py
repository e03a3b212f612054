"""The checker is checked: a fault planted around any rule of any primitive must be caught.

``test_mutants.py`` breaks the text of the rules themselves.
"""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import transforms
from tapegrad.primitives import indexing
from tapegrad.scan_primitive import scan_primitive
from tapegrad.tape import Aval
from tapegrad.testing import GradientMismatch, check_grads
from tests.meta.faults import EQUIVALENT, examples, faults, mutants
from tests.meta.kit import general_examples
from tests.primitives.flat import FlatCall, check_vmap
from tests.specs import PRIMITIVES, SMOOTH, SPECS


def caught(name, mode):
    """Whether the property of the row fails on any of the calls, in the mode that was broken alone."""
    for call in general_examples(name):
        flat = FlatCall(SPECS[name], call)
        try:
            with np.errstate(all="ignore"):  # a broken rule may divide by zero
                check_grads(flat, flat.leaves, modes=(mode,), order=1)
        except GradientMismatch:
            return True
    return False


@pytest.mark.parametrize("name", [row.name for row in SMOOTH])
def test_faults_are_caught(name, count):
    """And equivalent ones change nothing: otherwise their list hides a fault."""
    for fault in faults(name):
        with pytest.MonkeyPatch.context() as patch:
            fault.plant(patch, PRIMITIVES[name])
            equivalent = (str(fault), name) in EQUIVALENT
            assert caught(name, fault.mode) is not equivalent, f"{fault}: {EQUIVALENT.get((str(fault), name))}"
        count(f"{name}, around its rules", fault.name.split(" in argument")[0], equivalent)


def test_without_a_fault_nothing_is_caught():
    for name in ("multiply", "contract", "scan", "concatenate"):
        assert not caught(name, "rev")
        assert not caught(name, "fwd")


def test_every_listed_equivalent_is_a_mutant():
    there_are = {(str(fault), name) for name, fault in mutants()}
    assert {key for key in EQUIVALENT if key not in there_are} <= {
        ("fwd: wrong ans", "call"), ("fwd: wrong ans", "scan")
    }  # fmt: skip


# ---- faults in the other rules of a primitive ----
def mapped_wrongly(name):
    """Whether the property about vmap fails on any of the calls."""
    for call in general_examples(name):
        flat = FlatCall(SPECS[name], call)
        try:
            check_vmap(flat, flat, [isinstance(x, np.ndarray) for x in flat.leaves], 3, 0)
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize("name", SPECS)
def test_a_batching_rule_that_mixes_rows_is_caught(name, monkeypatch, count):
    primitive = PRIMITIVES[name]
    right = primitive.batch

    def mixed(*given):
        result = right(*given)
        if primitive.multiple:
            return [(np.roll(value, 1, 0) if flag else value, flag) for value, flag in result]
        return np.roll(result, 1, 0)

    assert not mapped_wrongly(name)
    monkeypatch.setattr(primitive, "batch", mixed, raising=False)
    assert mapped_wrongly(name)
    count(f"{name}, around its rules", "mixed rows")


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("fault", ["shape", "dtype"])
def test_a_wrong_abstract_result_is_caught(name, fault, monkeypatch, count):
    """By the comparison of a tape's results with those of NumPy."""
    primitive = PRIMITIVES[name]
    right = primitive.abstract

    def changed(aval):
        if fault == "shape":
            return Aval((*aval.shape, 1), aval.dtype)
        return Aval(aval.shape, np.float16)

    def wrong(*args, **options):
        result = right(*args, **options)
        return tuple(map(changed, result)) if primitive.multiple else changed(result)

    monkeypatch.setattr(primitive, "abstract", wrong, raising=False)
    found = []
    for call in examples(name)[:5]:
        flat = FlatCall(SPECS[name], call)
        try:
            tape = tg.trace(flat)(*flat.leaves)
        except tg.errors.ShapeError:  # what follows in the row does not take the wrong shape
            found.append(True)
            continue
        found += [
            (value.shape, value.dtype) != (np.shape(y), np.asarray(y).dtype)
            for (_, value), y in zip(tape.outputs, flat.reference(*flat.leaves), strict=True)
        ]
    assert any(found)
    count(f"{name}, around its rules", f"wrong {fault}")


# ---- faults in the engine around the rules ----
def test_a_lost_term_of_a_sum_of_cotangents_is_caught(monkeypatch):
    """A value used twice has the sum of two cotangents."""
    right = transforms.backward

    def lossy(tape, seeds, keep=False):
        for node in tape.nodes:
            if node is not None and node.primitive.name == "multiply" and node.slots[0] == node.slots[1]:
                node.slots[1] = -1
        return right(tape, seeds, keep)

    monkeypatch.setattr(transforms, "backward", lossy)
    with pytest.raises(GradientMismatch):
        check_grads(lambda x: x * x, (np.array([1.0, 2.0]),), modes=("rev",), order=1)


def test_a_lost_addition_at_an_index_is_caught(monkeypatch):
    """The cotangent of the second read is added in place to that of the first."""
    monkeypatch.setattr(indexing, "add_at", lambda out, g, arrays, template: None)
    with pytest.raises(GradientMismatch):
        check_grads(lambda x: x[0] * x[1:], (np.array([1.0, 2.0]),), modes=("rev",), order=1)


def test_a_gradient_that_ignores_a_residual_of_scan_is_caught(monkeypatch):
    right = scan_primitive.pull

    def stale(g, ans, args, options, slots):
        saved = [np.flip(value, 0) for value in options["saved"]]
        return right(g, ans, args, options | {"saved": saved}, slots)

    monkeypatch.setattr(scan_primitive, "pull", stale, raising=False)
    assert caught("scan", "rev")


def test_a_scan_run_in_the_wrong_direction_is_caught(monkeypatch):
    right = scan_primitive.pull
    monkeypatch.setattr(
        scan_primitive,
        "pull",
        lambda g, ans, args, options, slots: right(g, ans, args, options | {"reverse": not options["reverse"]}, slots),
        raising=False,
    )
    assert caught("scan", "rev")


def test_levels_that_are_confused_are_caught(monkeypatch):
    """With a rule that reads its argument without its derivative the first order is right and the second is not."""
    monkeypatch.setattr(
        PRIMITIVES["sin"], "derivatives", (lambda g, ans, x: g * np.cos(tg.stop_gradient(x)),), raising=False
    )
    x = (np.array([0.3, 1.0]),)
    check_grads(np.sin, x, order=1)
    with pytest.raises(GradientMismatch, match=r"order 2"):
        check_grads(np.sin, x, order=2)
