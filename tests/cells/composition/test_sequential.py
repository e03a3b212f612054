"""Layers one after the other: what shares a loop, what follows, what is held."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import (
    GRU,
    LSTM,
    Bidirectional,
    Dropout,
    Elman,
    Feedback,
    Linear,
    Pooling,
    Sequential,
    SoftmaxReadout,
    Stacked,
    Subsampling,
    VariationalDropout,
    Zoneout,
)
from tapegrad.errors import OptionError, ShapeError, StructureError
from tapegrad.training import SGD, Adam, Frozen
from tests.cells.composition.properties import arguments, assert_close, loss_of

LENGTHS = np.array([7, 3, 0])


def loops(layer, *args, **options):
    """How many loops a call runs."""
    tape = tg.trace(lambda params, xs: layer(params, xs, **options)[1])(*args)
    return sum(node is not None and node.primitive.name == "scan" for node in tape.nodes)


def one_by_one(layer, params, state, xs, lengths):
    """Each layer by itself, every cell in a loop of its own."""
    states = []
    for number, part in enumerate(layer.layers):
        own, name = state[number], f"layer{number}"
        if isinstance(part, Linear):
            part, own, parameters = Stacked((part,)), (own,), {"layer0": params[name]}
            end, xs = part(parameters, xs, own, lengths=lengths)
            end = end[0]
        else:
            end, xs = part(params[name], xs, own, lengths=lengths)
        states.append(end)
        lengths = None if lengths is None else part.output_lengths(lengths)
    return tuple(states), xs


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize(
    "layers",
    [
        (GRU(2, 3), LSTM(3, 4), Linear(4, 2)),
        (Linear(2, 3), GRU(3, 4), Bidirectional(Elman(4, 3), GRU(4, 2)), LSTM(5, 4), Elman(4, 3)),
        (GRU(2, 3), Subsampling(3, 2, "concatenate"), Elman(6, 3), Pooling(3), Feedback(GRU(3, 3), 4)),
        (Sequential((GRU(2, 3), Linear(3, 3))), Sequential((Elman(3, 4),))),
    ],
    ids=["cells", "directions", "steps", "nested"],
)
def test_it_is_its_layers_one_by_one(layers, lengths):
    layer = Sequential(layers)
    params, state, xs, _ = arguments(layer, 1)
    assert_close(layer(params, xs, state, lengths=lengths), one_by_one(layer, params, state, xs, lengths))


@pytest.mark.parametrize(
    ("layers", "count"),
    [
        ((GRU(2, 3), LSTM(3, 4), Linear(4, 2)), 1),
        ((GRU(2, 3),) + (GRU(3, 3),) * 5 + (Linear(3, 2),), 1),
        ((GRU(2, 3), Bidirectional(GRU(3, 4), GRU(3, 4)), GRU(8, 3), Elman(3, 3), SoftmaxReadout(3, 2)), 4),
        ((GRU(2, 3), Subsampling(3), GRU(3, 3), GRU(3, 3)), 2),
        ((Pooling(2), Feedback(Stacked((GRU(2, 3), Linear(3, 2))), 5)), 1),
    ],
)
def test_neighbouring_cells_share_a_loop(layers, count):
    layer = Sequential(layers)
    params, _, xs, _ = arguments(layer)
    assert loops(layer, params, xs) == count


BIG = Elman(200, 200)  # 80,200 weights


@pytest.mark.parametrize(
    ("layers", "count"),
    [
        ((BIG,) * 3, 1),
        ((BIG,) * 4, 2),
        ((Elman(20, 200), *(BIG,) * 4), 2),
        ((GRU(200, 200), BIG), 2),
        ((Elman(200, 400), Elman(400, 200)), 2),
        ((Elman(600, 600), Linear(600, 2), Linear(2, 2)), 1),
        ((BIG, Linear(200, 2000), Linear(2000, 2)), 1),
    ],
)
def test_large_cells_do_not(layers, count):
    """More than 300,000 weights of cells with a state; those of readouts do not count."""
    layer = Sequential(layers)
    params = layer.init(np.random.default_rng(0))
    assert loops(layer, params, np.zeros((2, 1, layers[0].input_size), np.float32)) == count


def test_loops_of_a_stack_and_of_a_sequence_are_one():
    cells = GRU(2, 3), LSTM(3, 4), Linear(4, 2)
    stack, layer = Stacked(cells), Sequential(cells)
    params, state, xs, _ = arguments(layer, 2)
    np.testing.assert_array_equal(stack(params, xs, state)[1], layer(params, xs, state)[1])
    assert stack.init(np.random.default_rng(4)).keys() == layer.init(np.random.default_rng(4)).keys()
    assert_close(stack.init(np.random.default_rng(4)), layer.init(np.random.default_rng(4)), 0)


def test_options_reach_every_layer():
    layer = Sequential((GRU(2, 3), Bidirectional(Elman(3, 2), Elman(3, 2)), LSTM(4, 3)))
    params, state, xs, _ = arguments(layer, 3)
    plain = tg.value_and_grad(loss_of(layer, None))(params, state, xs)
    assert_close(tg.value_and_grad(loss_of(layer, None, checkpoint=2))(params, state, xs), plain)
    reset = np.zeros((7, 3), bool)
    reset[3] = True
    early, late = layer(params, xs[:3], state)[1], layer(params, xs[3:], state)[1]
    assert_close(layer(params, xs, state, reset=reset)[1], np.concatenate([early, late]))
    with pytest.raises(tg.errors.BackendError, match="nowhere"):
        layer(params, xs, state, backend="nowhere")


# ---- what happens inside ----


@pytest.mark.parametrize("reverse", [False, True])
def test_variables_of_every_layer(reverse):
    """They are those of each layer by itself, and cost no loop more."""
    both = Bidirectional(LSTM(3, 2), Sequential((Subsampling(3, 1), GRU(3, 2))))
    layer = Sequential((Elman(2, 3), GRU(3, 3), both, Subsampling(4), LSTM(4, 3), Linear(3, 2)))
    params, state, xs, _ = arguments(layer, 7)
    options = {"reverse": reverse, "lengths": LENGTHS}
    end, ys, recorded = layer(params, xs, state, record=True, **options)
    assert_close((end, ys), layer(params, xs, state, **options), 0)
    assert set(recorded) == {
        "0.h", *(f"1.{v}" for v in "hrzn"), *(f"2.forward.{v}" for v in "hcifgo"),
        *(f"2.backward.1.{v}" for v in "hrzn"), *(f"4.{v}" for v in "hcifgo"),
    }  # fmt: skip
    _, below = Stacked(layer.layers[:2])({k: params[k] for k in ("layer0", "layer1")}, xs, state[:2], **options)
    assert_close(recorded["1.h"], below)
    own = params["layer2"], below, state[2]
    forward = both.forward(own[0]["forward"], below, own[2][0], record="i", **options)[2]["i"]
    assert_close(recorded["2.forward.i"], forward)
    turned = {"reverse": not reverse, "lengths": LENGTHS}
    backward = both.backward.layers[1](own[0]["backward"]["layer1"], below, own[2][1][1], record="z", **turned)[2]["z"]
    assert_close(recorded["2.backward.1.z"], backward)
    assert recorded["4.c"].shape == (4, 3, 3)
    some = layer(params, xs, state, record=("4.c", "1.z", "2.forward.i"), **options)[2]
    assert set(some) == {"4.c", "1.z", "2.forward.i"}
    for name, value in some.items():
        assert_close(value, recorded[name], 0)
    tape = tg.trace(lambda params, xs: layer(params, xs, record=True)[2]["4.c"])(params, xs)
    assert sum(node is not None and node.primitive.name == "scan" for node in tape.nodes) <= loops(layer, params, xs)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("z", r"record='z', expected a part with a step of its own \(0, 2\), a dot"),
        ("1.x", r"record='1\.x', expected a part"),
        ("3.h", r"record='3\.h', expected a part"),
        ("0.", r"record='0\.', expected a part"),
        (["0.z", 3], r"record=\['0\.z', 3\], expected True, or names such as '0\.h'"),
        ("0.q", r"in the loop of the cells from layer 0 on: scan: record='0\.q' is no local variable"),
        ("2.up.h", r"record='up\.h', expected a part with a step of its own \(forward, backward\)"),
        ("2.backward.q", "in layer 2: in backward: scan: record='q' is no local variable of the step; there are"),
    ],
)
def test_what_cannot_be_recorded(record, words):
    layer = Sequential((GRU(2, 3), Subsampling(3), Bidirectional(GRU(3, 2), LSTM(3, 2))))
    params, state, xs, _ = arguments(layer)
    with pytest.raises(OptionError, match=words):
        layer(params, xs, state, record=record)


def test_noise_follows_the_numbers_of_steps():
    layer = Sequential((GRU(2, 4), Dropout(4), Subsampling(4, 3), Stacked((Dropout(4), GRU(4, 2))), Pooling(2)))
    noise = layer.noise(np.random.default_rng(0), 7, 5)
    assert [None if part is None else np.shape(part if len(part) != 2 else part[0]) for part in noise] == [
        None, (7, 5, 4), None, (3, 5, 4), None
    ]  # fmt: skip
    assert layer.output_lengths(7) == 1
    np.testing.assert_array_equal(layer.output_lengths(np.array([7, 0, 2])), [1, 0, 1])
    params, state, xs, _ = arguments(layer)
    clean = Sequential((GRU(2, 4), Subsampling(4, 3), GRU(4, 2), Pooling(2)))
    own = {"layer0": params["layer0"], "layer1": {}, "layer2": params["layer3"]["layer1"], "layer3": {}}
    start = state[0], None, state[3][1], None
    noise = layer.noise(np.random.default_rng(0), 7, 3, np.float64, training=False)
    assert_close(layer(params, (xs, noise), state)[1], clean(own, xs, start)[1])
    noise = layer.noise(np.random.default_rng(0), 7, 3, np.float64)
    assert np.abs(layer(params, (xs, noise), state)[1] - clean(own, xs, start)[1]).max() > 1e-3


def test_both_directions_have_noise_of_their_own():
    layer = Bidirectional(Stacked((Dropout(3), GRU(3, 2))), GRU(3, 2))
    forward, backward = layer.noise(np.random.default_rng(0), 4, 2)
    assert forward[0].shape == (4, 2, 3)
    assert backward is None
    params, state, xs, noise = arguments(layer)
    expected = layer.forward(params["forward"], (xs, noise[0]), state[0])[1]
    assert_close(layer(params, (xs, noise), state)[1][..., :2], expected)


def test_noisy_cells_are_parts_as_others():
    """Noise in the recurrence and between the layers, drawn in one call; a network is wrapped as a cell is."""
    parts = Zoneout(GRU(2, 4), 0.3), Dropout(4, 0.2), VariationalDropout(LSTM(4, 3))
    layer, clean = Sequential(parts), Sequential((GRU(2, 4), LSTM(4, 3)))
    params, state, xs, noise = arguments(layer, 6)
    for part, own in zip(parts, noise, strict=True):
        like = part.noise(np.random.default_rng(0), 7, 3)
        assert [leaf.shape for leaf in tg.tree_leaves(own)] == [leaf.shape for leaf in tg.tree_leaves(like)]
    below = parts[0](params["layer0"], (xs, noise[0]), state[0])[1]
    assert_close(
        layer(params, (xs, noise), state)[1], parts[2](params["layer2"], (below * noise[1], noise[2]), state[2])[1]
    )
    assert loops(layer, params, (xs, noise)) == 1
    own = {"layer0": params["layer0"], "layer1": params["layer2"]}
    still = Sequential((VariationalDropout(GRU(2, 4)), Dropout(4), VariationalDropout(LSTM(4, 3))))
    mean = still.noise(None, 7, 3, np.float64, training=False)
    assert_close(still(params, (xs, mean), state)[1], clean(own, xs, (state[0], state[2]))[1])
    wrapped = Zoneout(Stacked((GRU(2, 4), Dropout(4), LSTM(4, 3))), 0.5)
    noise = wrapped.noise(np.random.default_rng(0), 7, 3, np.float64)
    assert noise[1][0] is None
    assert wrapped(params, (xs, noise), state)[1].shape == (7, 3, 3)
    plain = Zoneout(Stacked((GRU(2, 4), LSTM(4, 3))), 0.0)
    nothing = plain.noise(np.random.default_rng(0), 7, 3, np.float64)
    assert_close(plain(own, (xs, nothing), (state[0], state[2]))[1], clean(own, xs, (state[0], state[2]))[1])


# ---- frozen parts ----


@pytest.mark.parametrize("name", ["layer0", "layer1", "layer2"])
def test_a_frozen_layer_has_no_gradient_and_lets_others_through(name):
    layer = Sequential((GRU(2, 3), Bidirectional(Elman(3, 2), GRU(3, 2)), Linear(4, 2)))
    params, state, xs, _ = arguments(layer, 4)
    mask = {key: key == name for key in params}
    loss = loss_of(layer, None)
    free = tg.grad(loss)(params, state, xs)
    held = tg.grad(lambda p: loss(tg.freeze(p, mask), state, xs))(params)
    for key in params:
        assert_close(held[key], tg.tree_map(np.zeros_like, free[key]) if key == name else free[key], 1e-13)


def test_training_leaves_a_frozen_layer_as_it_is():
    layer = Stacked((Elman(2, 3), GRU(3, 3), Linear(3, 2)))
    params, state, xs, _ = arguments(layer, 5)
    start = params
    for optimizer in (SGD(lr=0.1, momentum=0.9), Adam(lr=0.01)):
        params, frozen = (
            start,
            Frozen(optimizer, {"layer0": False, "layer1": True, "layer2": {"W_hy": True, "b_y": False}}),
        )
        memory = frozen.init(params)
        for _ in range(3):
            grads = tg.grad(loss_of(layer, None))(params, state, xs)
            params, memory = frozen.update(grads, memory, params)
        assert_close(params["layer1"], start["layer1"], 0)
        assert_close(params["layer2"]["W_hy"], start["layer2"]["W_hy"], 0)
        assert np.abs(params["layer2"]["b_y"] - start["layer2"]["b_y"]).min() > 0
        assert np.abs(params["layer0"]["W_xh"] - start["layer0"]["W_xh"]).min() > 0


# ---- what does not fit ----


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [
        ((), OptionError, "layers=.*expected a tuple of at least one layer"),
        ((GRU(2, 3), np.tanh), OptionError, "layer 1 is <ufunc 'tanh'>, expected a layer"),
        ((GRU(2, 3), Bidirectional(GRU(2, 3), GRU(2, 3))), ShapeError, r"layer 1.*\(2,\), but layer 0, GRU.*\(3,\)"),
        ((Bidirectional(GRU(2, 3), GRU(2, 3)), Linear(3, 2)), ShapeError, "layer 1, Linear.*input_size=6"),
        ((GRU(2, 3), Subsampling(3, 2, "concatenate"), GRU(3, 2)), ShapeError, "layer 2, GRU.*input_size=6"),
        ((GRU(2, 3), Dropout(2)), ShapeError, r"layer 1, Dropout.*\(2,\), but layer 0.*\(3,\).*input_size=3"),
    ],
)
def test_layers_that_do_not_fit(layers, error, words):
    with pytest.raises(error, match=words):
        Sequential(layers)


def test_arguments_that_do_not_fit():
    layer = Sequential((GRU(2, 3), Dropout(3), Pooling(3)))
    params, state, xs, noise = arguments(layer)
    with pytest.raises(StructureError, match=r"expected a pair, \(xs, noise\); draw the noise with layer\.noise"):
        layer(params, xs, state)
    with pytest.raises(ShapeError, match="xs is of shape"):
        layer(params, (xs[..., :1], noise), state)
    with pytest.raises(OptionError, match="Pooling: reset= begins sequences at steps that are no steps"):
        layer(params, (xs, noise), state, reset=np.zeros((7, 3), bool))
    with pytest.raises(ShapeError):
        layer(params, (xs, layer.noise(np.random.default_rng(0), 6, 3, np.float64)), state)
