"""Training with frozen parameters: they stay as they are, to the bit, and count for nothing."""

from dataclasses import dataclass

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import NonFiniteError, StructureError
from tapegrad.training import SGD, Adam, Frozen, RMSProp, TrainingState, fit, global_norm

RNG = np.random.default_rng(0)
PARAMS = {"W": RNG.normal(size=(4, 3)), "b": np.array([-0.0, 1.0, 2.0]), "v": RNG.normal(size=3).astype(np.float32)}
MASK = {"W": RNG.random((4, 3)) < 0.5, "b": True, "v": False}
X, Y = RNG.normal(size=(8, 4)), RNG.normal(size=8)


def loss(params, batch):
    return np.mean((np.tanh(X @ params["W"] + params["b"]) @ params["v"] - Y) ** 2) * (1.0 + batch)


@dataclass(frozen=True)
class Decaying:
    """An optimiser with weight decay, as a user may write one."""

    lr: float = 0.1

    def init(self, params):
        return {}

    def update(self, grads, state, params):
        return tg.tree_map(lambda p, g: p - self.lr * (g + 0.5 * p), params, grads), state


OPTIMIZERS = [SGD(0.1), SGD(0.1, momentum=0.9), RMSProp(0.01, momentum=0.9, centered=True), Adam(0.1), Decaying()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_frozen_elements_are_identical_to_the_bit_and_the_others_move(optimizer):
    trained = fit(loss, PARAMS, lambda n: n, optimizer, steps=5, frozen=MASK, clip_norm=0.7).state.params
    for name, mask in MASK.items():
        mask = np.broadcast_to(mask, PARAMS[name].shape)
        assert trained[name].dtype == PARAMS[name].dtype
        assert trained[name][mask].tobytes() == PARAMS[name][mask].tobytes()
        assert (trained[name][~mask] != PARAMS[name][~mask]).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_the_free_elements_are_trained_as_if_the_others_were_constants(optimizer):
    masks = {name: np.broadcast_to(mask, PARAMS[name].shape) for name, mask in MASK.items()}
    free = [PARAMS[name][~masks[name]] for name in sorted(PARAMS)]

    def alone(free, batch):
        filled = dict(PARAMS)
        for name, part in zip(sorted(PARAMS), free, strict=True):
            filled[name] = tg.index_update(PARAMS[name], ~masks[name], part)
        return loss(filled, batch)

    options = {"steps": 5, "clip_norm": 0.3, "clip_value": 0.2}
    expected = fit(alone, free, lambda n: n, optimizer, **options).state.params
    found = fit(loss, PARAMS, lambda n: n, optimizer, frozen=MASK, **options).state.params
    for name, part in zip(sorted(PARAMS), expected, strict=True):
        np.testing.assert_allclose(found[name][~masks[name]], part, rtol=2e-5 if name == "v" else 1e-9)


def test_the_reported_norm_counts_the_free_elements():
    norms = []
    fit(loss, PARAMS, lambda n: n, SGD(0.1), steps=1, frozen=MASK, on_step=lambda r: norms.append(r.gradient_norm))
    free = tg.tree_map(lambda g, m: np.where(m, 0, g), tg.grad(loss)(PARAMS, 0),
                       {name: np.broadcast_to(mask, PARAMS[name].shape) for name, mask in MASK.items()})  # fmt: skip
    assert norms == [pytest.approx(global_norm(free))]


def test_what_was_trained_before_keeps_still_when_it_is_frozen():
    """The momentum from before would go on moving it."""
    first = fit(loss, PARAMS, lambda n: n, Adam(0.1), steps=3).state
    second = fit(loss, first, lambda n: n, Adam(0.1), steps=6, frozen=MASK).state
    assert isinstance(second, TrainingState)
    np.testing.assert_array_equal(second.params["b"], first.params["b"])
    assert (second.params["v"] != first.params["v"]).all()


def test_the_optimiser_alone_with_any_gradients():
    optimizer = Frozen(Adam(0.1), MASK)
    grads = tg.grad(loss)(PARAMS, 0)
    grads["b"] = grads["b"] * np.nan
    params, state = optimizer.update(grads, optimizer.init(PARAMS), PARAMS)
    assert params["b"].tobytes() == PARAMS["b"].tobytes()
    assert not np.isnan(state["m"]["b"]).any()
    with pytest.raises(StructureError, match="Frozen: mask has the structure"):
        Frozen(Adam(), {"W": True}).init(PARAMS)
    with pytest.raises(StructureError, match="mask has the structure"):
        fit(loss, PARAMS, lambda n: n, Adam(), steps=1, frozen={"W": True})


def test_fit_says_how_to_find_the_line_and_the_line_is_found():
    def broken(params, batch):
        return np.sum(np.log(params["b"] + batch))

    with pytest.raises(NonFiniteError, match=r"fit: step 0: the loss is .*inside `with tapegrad\.detect_anomaly\(\):`"):
        fit(broken, PARAMS, lambda n: n, SGD(0.1), steps=3)
    with tg.detect_anomaly(), pytest.raises(NonFiniteError, match=r"log: .*\n.*\n.*test_frozen\.py:\d+, in broken"):
        fit(broken, PARAMS, lambda n: n, SGD(0.1), steps=3)
