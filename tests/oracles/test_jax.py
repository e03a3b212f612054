"""The surface against JAX, where it is installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.compared import compare
from tests.strategies.effort import few
from tests.surface.tables import ROWS

jax = pytest.importorskip("jax")

COMPARED = [row for row in ROWS if row.order and "jax" not in row.unlike]


def gradients(function, leaves, moving, cotangents):
    def of_moving(*given):
        filled = list(leaves)
        for i, value in zip(moving, given, strict=True):
            filled[i] = value
        return function(*filled)

    values, pullback = jax.vjp(of_moving, *[jax.numpy.asarray(leaves[i]) for i in moving])
    seeds = [jax.numpy.asarray(u, y.dtype) for u, y in zip(cotangents, values, strict=True)]
    return [np.asarray(v) for v in values], [np.asarray(g) for g in pullback(seeds)]


@pytest.mark.parametrize("row", COMPARED, ids=str)
@few()
@given(st.data())
def test_values_and_gradients_are_those_of_jax(row, data):
    with jax.enable_x64(True):
        compare(row, data.draw(row.calls), "jax", gradients)
