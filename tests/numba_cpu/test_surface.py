"""Functions of NumPy that are compositions, in a step: compiled they do what the reference does, backwards too."""

import numpy as np
import pytest

import tapegrad as tg
from tests.numba_cpu import emulated
from tests.numba_cpu.compared import assert_same, loss_of
from tests.numba_cpu.test_every_primitive import not_lowered, traced

STEPS = {
    "cumprod": lambda x: np.cumprod(x, -1),
    "prod": lambda x: np.prod(x, -1, keepdims=True) * x,
    "hypot": lambda x: np.hypot(x, x[:, ::-1]),
    "roll": lambda x: np.roll(x, (1, -1), (1, 1)) * np.roll(x, 2, 1),
    "pad constant": lambda x: np.pad(x, ((0, 0), (1, 1)), constant_values=0.5)[:, :4],
    "pad reflect": lambda x: np.pad(x, ((0, 0), (2, 1)), mode="reflect")[:, :4],
    "diff": lambda x: np.diff(x, prepend=0.0),
    "flip": lambda x: np.fliplr(x) * x,
    "rot90": lambda x: np.rot90(x[:, :, None], 1, (1, 2))[:, 0],
    "clip": lambda x: np.clip(x, -0.3, 0.4),
    "fmax": lambda x: np.fmax(x, 0.1) - np.fmin(x, x[:, ::-1]),
    "logaddexp2": lambda x: np.logaddexp2(x, x[:, ::-1]),
    "exp2": lambda x: np.exp2(x) + np.log2(x * x + 1.0) + np.cbrt(x),
    "sinc": np.sinc,
    "copysign": lambda x: np.copysign(x, x[:, ::-1]) + np.nan_to_num(x),
    "std": lambda x: (x - np.mean(x, -1, keepdims=True)) / (np.std(x, -1, keepdims=True) + 0.1),
    "norm": lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True) + np.linalg.norm(x, 3, -1, keepdims=True),
    "masked mean": lambda x: x - np.mean(x, -1, keepdims=True, where=np.array([True, False, True, True])),
    "tril": lambda x: np.sum(np.tril(x[:, :, None] * x[:, None, :]), -1),
    "trapezoid": lambda x: np.trapezoid(x, dx=0.5)[:, None] * x,
    "maximum.accumulate": lambda x: np.maximum.accumulate(x, -1),
    "select": lambda x: np.select([x > 0.3, x < -0.3], [x * x, -x], 0.1 * x),
    "take": lambda x: np.take(x, np.array([0, 2, 5, -1]), 1, mode="wrap"),
    "stack": lambda x: np.column_stack([x[:, :2], x[:, 3], x[:, 1]]) + np.tile(x[:, :2], 2),
    "cross": lambda x: np.concatenate([np.cross(x[:, :3], x[:, 1:]), x[:, :1]], 1),
}


@pytest.fixture(scope="module", autouse=True)
def _emulation():
    with emulated.installed():
        yield


def problem(f):
    rng = np.random.default_rng(0)
    args = rng.uniform(0.5, 0.9, 4), rng.uniform(-1.0, 1.0, (3, 4)), rng.uniform(-1.0, 1.0, (2, 3, 4))

    def step(w, s, x):
        s = np.tanh(f(w * s + x))
        return s, s

    return step, args


@pytest.mark.parametrize("name", STEPS)
def test_it_compiles_and_is_the_same(name):
    step, args = problem(STEPS[name])
    assert not_lowered(traced(step, args), 3) is None

    def run(backend):
        results = lambda *given: tg.scan(step, *given, backend=backend)  # noqa: E731
        return results(*args), tg.grad(lambda *given: loss_of(results(*given)), (0, 1, 2))(*args)

    assert_same(run("emulated"), run("reference"), 1e-9)


@pytest.mark.filterwarnings("ignore:.*argsort")
@pytest.mark.parametrize("f", [np.sort, lambda x: x - np.median(x, -1, keepdims=True)], ids=["sort", "median"])
def test_sorting_is_left_to_the_reference(f):
    step, args = problem(f)
    assert not_lowered(traced(step, args), 3) == "argsort"
    found = [tg.scan(step, *args, backend=backend) for backend in ("auto", "reference")]
    assert_same(*found, 1e-12)
