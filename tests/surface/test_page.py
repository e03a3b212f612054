"""docs/numpy.md: its tables are those of the rows, every function is on it, and what it says is refused is."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import TapegradError
from tapegrad.numpy_protocols import FUNCTIONS, UFUNCS
from tests.surface.page import PAGE, filled

TEXT = PAGE.read_text(encoding="utf-8")
X = np.array([[0.31, 1.72, 0.93], [1.21, 0.43, 2.34]])


def test_the_tables_are_those_of_the_rows():
    assert filled(TEXT) == TEXT, "write them anew: python -m tests.surface.page"


def test_every_function_with_a_rule_is_on_the_page():
    names = {f.__name__ for f in FUNCTIONS} | {ufunc.__name__ for ufunc in UFUNCS}
    names -= {"eig", "eigvals"}  # refused by name
    assert [name for name in sorted(names) if f"`{name}`" not in TEXT and f".{name}`" not in TEXT] == []


REFUSED = {
    "out=": lambda x: np.tanh(x, out=np.zeros((2, 3))),
    "+=": lambda x: np.add(np.zeros((2, 3)), x, out=np.zeros((2, 3))),
    "ufunc.at": lambda x: np.add.at(np.zeros(3), [0], x[0, 0]),
    "copyto": lambda x: np.copyto(np.zeros((2, 3)), x),
    "put": lambda x: np.put(x, [0], 1.0),
    "place": lambda x: np.place(x, X > 1, 1.0),
    "putmask": lambda x: np.putmask(x, X > 1, 1.0),
    "fill_diagonal": lambda x: np.fill_diagonal(x, 0.0),
    "x[...] = t": lambda x: x.__setitem__(0, 1.0),
    "where= of a ufunc": lambda x: np.tanh(x, where=X > 1),
    "dtype= of a ufunc": lambda x: np.tanh(x, dtype=np.float32),
    "np.array": lambda x: np.array([x]),
    "np.full": lambda x: np.full(3, x[0, 0]),
    "float": lambda x: float(x[0, 0]),
    "item": lambda x: x[0, 0].item(),
    "reshape": lambda x: np.reshape(x, 6, order="A"),
    "ravel": lambda x: np.ravel(x, order="K"),
    "sort": lambda x: np.sort(x, order="a"),
    "argsort": lambda x: np.argsort(x, order="a"),
    "partition": lambda x: np.partition(x, 1, order="a"),
    "quantile weights": lambda x: np.quantile(x, 0.5, weights=X, method="inverted_cdf"),
    "quantile traced": lambda x: np.quantile(X, x[0, 0]) + np.quantile(x, x[0, 0]),
    "quantile method": lambda x: np.quantile(x, 0.5, method="hazen"),
    "nanquantile method": lambda x: np.nanquantile(x, 0.5, method="lower"),
    "cov": lambda x: np.cov(x, aweights=[1, 2, 1]),
    "interp": lambda x: np.interp(x, [0.0, 1.0], [0.0, 1.0], period=2.0),
    "choose": lambda x: np.choose([0, 1, 5], [x[0], x[1]], mode="clip"),
    "pad odd": lambda x: np.pad(x, 1, mode="reflect", reflect_type="odd"),
    "pad empty": lambda x: np.pad(x, 1, mode="empty"),
    "pad function": lambda x: np.pad(x, 1, mode=lambda *args: None),
    "cross": lambda x: np.cross(x[:, :2], x[:, :2]),
    "unique": np.unique,
    "insert": lambda x: np.insert(x, 0, 1.0),
    "histogram": np.histogram,
    "piecewise": lambda x: np.piecewise(x, [X > 1], [1.0]),
    "apply_along_axis": lambda x: np.apply_along_axis(np.sum, 0, x),
    "max where without initial": lambda x: np.max(x, where=X > 1),
    "minimum of nothing": lambda x: np.min(x[:0]),
    "norm of an unknown order": lambda x: np.linalg.norm(x, 5),
    "norm of three axes": lambda x: np.linalg.norm(x[None], axis=(0, 1, 2)),
    "kth": lambda x: np.partition(x, 7),
    "parts": lambda x: np.quantile(x, 1.5),
    "rot90": lambda x: np.rot90(x, axes=(0, 0)),
    "gradient": lambda x: np.gradient(x, 1.0, 1.0, axis=0),
    "diag": lambda x: np.diag(x[None]),
    "average": lambda x: np.average(x, 1, np.ones(2)),
    "hsplit of a number": lambda x: np.hsplit(x[0, 0], 1),
    "cumulative_sum": np.cumulative_sum if hasattr(np, "cumulative_sum") else lambda x: np.insert(x, 0, 1.0),
    "sorted in place": lambda x: x.sort(),
    "filled in place": lambda x: x.fill(1.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    """By an error of its own, which names what was called or what to use; never a wrong result."""
    with pytest.raises(TapegradError) as caught:
        tg.vjp(REFUSED[name], X)
    assert len(str(caught.value)) > 20
