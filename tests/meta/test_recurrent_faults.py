"""The checkers see every fault that a loop over time can have, whatever cell and backend it is in."""

import numpy as np
import pytest

from tapegrad import tree_map
from tapegrad.cells import GRU, LSTM, Elman
from tapegrad.testing import CellMismatch, GradientMismatch, check_cell, check_grads
from tests.meta import recurrent

CELLS = {"lstm": LSTM(2, 3), "gru": GRU(2, 3), "elman": Elman(2, 3)}
# A fault is planted at the ports of a loop, which are those of any cell: compiled, one cell is enough.
LOOPS = pytest.mark.parametrize(
    ("name", "inner"), [*[(name, "reference") for name in CELLS], ("elman", "numba")], ids=lambda value: value
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("nothing_remembered")


def by_cell(cell):
    """Without masks and second derivatives: tests/meta/test_check_cell_masks.py has those."""
    check_cell(cell, oracles=("tape", "broken"), steps=4, batch=2, masks=False, order=1)


def by_gradients(cell, modes=("rev",), **options):
    params = cell.init(np.random.default_rng(1), np.float64)
    rng, state = np.random.default_rng(5), cell.initial_state(2, np.float64)
    xs, state = rng.standard_normal((4, 2, 2)), tree_map(lambda s: s + 0.3 * rng.standard_normal(s.shape), state)
    run = lambda params, xs, state: cell(params, xs, state, backend="broken", **options)  # noqa: E731
    check_grads(run, (params, xs, state), modes=modes, order=1)


def fails(check, *given, **options):
    try:
        check(*given, **options)
    except (CellMismatch, GradientMismatch):
        return True
    return False


@LOOPS
def test_faults_of_loops_are_caught(name, inner, count):
    cell = CELLS[name]
    with pytest.MonkeyPatch.context() as patch:
        loops = recurrent.seen(patch, inner, lambda: by_cell(cell))
        faults = [*recurrent.forward_faults(*loops[False]), *recurrent.backward_faults(*loops[True])]
        assert len(faults) == len({str(fault) for fault in faults})
        for fault in faults:
            recurrent.plant(patch, inner, fault)
            assert fails(by_cell, cell), f"check_cell does not see: {fault}"
            if inner == "reference" and fault.backward and (name != "lstm" or "state" in fault.kind):
                assert fails(by_gradients, cell), f"check_grads does not see: {fault}"
            count(f"{name} on {inner}", fault.kind)
        recurrent.plant(patch, inner, recurrent.Loop.run)
        by_cell(cell)
        by_gradients(cell, ("rev", "fwd"))


@pytest.mark.parametrize("inner", ["reference", "numba"])
def test_masks_that_the_backward_pass_ignores(inner, count):
    options = {"lengths": np.array([2, 4]), "reset": np.array([[0, 0], [1, 0], [0, 1], [0, 0]], bool)}
    each = [{"lengths": options["lengths"]}, {"reset": options["reset"]}]
    for masked in (options, *(each if inner == "reference" else [])):  # each choice is compiled anew
        with pytest.MonkeyPatch.context() as patch:
            loops = recurrent.seen(patch, inner, lambda masked=masked: by_gradients(CELLS["elman"], **masked))
            faults = list(recurrent.masks(loops[True][0]))
            assert len(faults) >= 4 * len(masked)
            for fault in faults:
                recurrent.plant(patch, inner, fault)
                assert fails(by_gradients, CELLS["elman"], **masked), f"check_grads does not see: {fault}"
                count(f"masks on {inner}", fault.kind)
