"""The measured rates of functions of vectors."""

import numpy as np
import pytest

from tapegrad.backends.numba_cpu import throughput
from tapegrad.backends.numba_cpu.expressions import VECTOR
from tapegrad.backends.numba_cpu.throughput import function_rate
from tapegrad.errors import OptionError


@pytest.mark.parametrize(("name", "dtype"), [("tanh", "float32"), ("arctan2", "float64"), ("multiply", "float32")])
def test_the_loop_computes_the_function_of_all_elements(name, dtype):
    given = np.linspace(0.5, 1.5, throughput.SIZE).astype(dtype)
    out = np.full_like(given, np.nan)
    throughput._loop(name)(given, out, 1)
    function = getattr(np, name)
    expected = function(given) if function.nin == 1 else function(given, given)
    np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_a_power_takes_longer_than_a_product(monkeypatch):
    rates = {name: function_rate(name) for name in ("multiply", "tanh", "power")}
    assert rates["multiply"] > rates["tanh"] > rates["power"] > 1e7


def test_the_rate_is_that_of_the_fastest_round(monkeypatch):
    monkeypatch.setattr(throughput, "SECONDS", 1e-3)
    took = iter([2e-3, *([4e-3] * (throughput.ROUNDS - 1)), 1e-3])
    monkeypatch.setattr(throughput, "_timed", lambda *of: next(took))
    assert function_rate("tanh") == pytest.approx(throughput.SIZE / 1e-3)


def test_every_function_of_vectors_can_be_asked_for():
    for name in VECTOR:
        assert throughput._loop(name) is throughput._loop(name)


def test_what_vectors_have_no_function_for_is_refused():
    with pytest.raises(OptionError, match="function_rate: no vectors have a function 'tan h'; there are absolute, "):
        function_rate("tan h")
