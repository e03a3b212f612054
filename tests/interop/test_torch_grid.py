"""PyTorch's own recurrent layers, over their configurations: outputs, final states and all gradients."""

import itertools

import numpy as np
import pytest

from tapegrad.interop.torch import from_state, load, module, state_dict, to_state

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

KINDS = {
    "RNN_TANH": (torch.nn.RNN, {}),
    "RNN_RELU": (torch.nn.RNN, {"nonlinearity": "relu"}),
    "GRU": (torch.nn.GRU, {}),
    "LSTM": (torch.nn.LSTM, {}),
    "LSTM, projected": (torch.nn.LSTM, {"proj_size": 2}),
}
INPUT, HIDDEN, STEPS, ROWS = 3, 4, 5, 3
USES = list(itertools.product((False, True), repeat=3))  # batch first, initial states, packed


def made(kind, layers, bias, bidirectional, seed, dtype=torch.float64, **options):
    """A layer of torch with random weights and biases."""
    torch.manual_seed(seed)
    cls, more = KINDS[kind]
    options = {"dropout": 0.0, "bias": bias, "bidirectional": bidirectional, "dtype": dtype} | more | options
    layer = cls(INPUT, HIDDEN, layers, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.5)
    return layer


def drawn(layer, given, packed, dtype=torch.float64):
    """Inputs, initial states, lengths, and what outputs and final states are weighted with."""
    shape = (ROWS, STEPS, INPUT) if layer.batch_first else (STEPS, ROWS, INPUT)
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    wide = [layer.proj_size or HIDDEN, *([HIDDEN] if layer.mode == "LSTM" else [])]
    xs = torch.randn(shape, dtype=dtype, requires_grad=True)
    hx = [torch.randn(count, ROWS, n, dtype=dtype, requires_grad=True) for n in wide] if given else None
    lengths = torch.tensor([3, STEPS, 1])[torch.randperm(ROWS)] if packed else None
    out = layer.batch_first, wide[0] * (2 if layer.bidirectional else 1)
    weights = [torch.randn(*shape[:2], out[1], dtype=dtype), *[torch.randn(count, ROWS, n, dtype=dtype) for n in wide]]
    return xs, hx, lengths, weights


def of_torch(layer, xs, hx, lengths, weights):
    """Results of torch's layer, and the gradients of their weighted sum."""
    given = None if hx is None else tuple(hx) if len(hx) > 1 else hx[0]
    fed = xs
    if lengths is not None:
        fed = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, layer.batch_first, enforce_sorted=False)
    ys, h = layer(fed, given)
    if lengths is not None:
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, layer.batch_first, total_length=STEPS)
    results = [ys, *(h if isinstance(h, tuple) else [h])]
    asked = [xs, *(hx or []), *layer.parameters()]
    found = torch.autograd.grad(sum((a * b).sum() for a, b in zip(results, weights, strict=True)), asked)
    return results, [xs, *(hx or [])], dict(layer.named_parameters()), found


def of_ours(own, xs, hx, lengths, weights):
    """The same of the module, with the gradients of its parameters under torch's names."""
    state = None if hx is None else to_state(own.layer, tuple(hx) if len(hx) > 1 else hx[0])
    state, ys = own(xs, state, lengths=lengths)
    h = from_state(own.layer, state)
    results = [ys, *(h if isinstance(h, tuple) else [h])]
    inputs = [xs, *(hx or [])]
    found = torch.autograd.grad(
        sum((a * b).sum() for a, b in zip(results, weights, strict=True)), [*inputs, *own.parameters()]
    )
    held = dict(zip([name for name, _ in own.named_parameters()], found[len(inputs) :], strict=True))
    return results, found[: len(inputs)], held


def torch_names(own, held):
    """Gradients by torch's names; the bias that is one here has two of its gradient there."""
    tree = own.params()
    for name, gradient in held.items():
        *keys, last = name.split(".")
        room = tree
        for key in keys:
            room = room[key]
        room[last] = gradient.numpy()
    named = state_dict(own.layer, tree)
    for name in [name for name in named if name.startswith("bias_hh")]:
        first = named[name.replace("hh", "ih")]
        kept = len(first) // 3 if len(first) == 3 * HIDDEN else 0  # the candidate of a GRU has a bias of its own there
        named[name] = np.concatenate([first[: len(first) - kept], named[name][len(first) - kept :]])
    return named


def compare(layer, own, given, packed, tolerance, dtype=torch.float64):
    """Raise where anything differs by more than the tolerance beside the largest entry of its array."""
    xs, hx, lengths, weights = drawn(layer, given, packed, dtype)
    results, inputs, parameters, found = of_torch(layer, xs, hx, lengths, weights)
    ours, of_inputs, held = of_ours(own, xs, hx, lengths, weights)
    named = torch_names(own, held)
    pairs = [*zip(results, ours, strict=True), *zip(found, of_inputs, strict=False)]
    pairs += [(g, torch.from_numpy(named[name])) for name, g in zip(parameters, found[len(inputs) :], strict=True)]
    for number, (expected, came) in enumerate(pairs):
        assert came.shape == expected.shape
        assert came.dtype == dtype
        scale = max(1.0, float(expected.detach().abs().max()))
        assert float((came - expected).detach().abs().max()) <= tolerance * scale, number


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_torch_s_layers_compute_the_same(kind, layers, bias, bidirectional):
    first = sum(map(ord, f"{kind}{layers}{bias}{bidirectional}"))
    for seed in range(first, first + 3):
        layer = made(kind, layers, bias, bidirectional, seed)
        network, params = load(layer)
        for batch_first, given, packed in USES:
            layer.batch_first = batch_first
            compare(layer, module(network, params, batch_first=batch_first), given, packed, 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_in_single_precision_too(kind):
    for seed in range(3):
        layer = made(kind, 1 + seed, bool(seed % 2), seed == 1, seed, torch.float32)
        compare(layer, module(*load(layer)), seed > 0, seed == 2, 2e-5, torch.float32)


def test_through_the_compiled_loop():
    layer = made("GRU", 1, True, True, 7, torch.float32)
    compare(layer, module(*load(layer), backend="numba"), True, True, 2e-5, torch.float32)


def exchanged(params, one, other):
    return params | {one: params[other], other: params[one]}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("LSTM", "W_xi", "W_xf"),
        ("LSTM", "W_hg", "W_ho"),
        ("LSTM", "b_i", "b_o"),
        ("LSTM, projected", "W_rf", "W_rg"),
        ("GRU", "W_xr", "W_xz"),
        ("GRU", "W_hz", "W_hn"),
        ("GRU", "b_n", "b_hn"),
    ],
)
def test_gates_that_are_exchanged_are_seen(kind, one, other):
    layer = made(kind, 1, True, False, 3)
    network, params = load(layer)
    compare(layer, module(network, params), False, False, 1e-12)
    with pytest.raises(AssertionError):
        compare(layer, module(network, exchanged(params, one, other)), False, False, 1e-6)


@pytest.mark.parametrize("kind", ["RNN_TANH", "LSTM"])
def test_directions_and_layers_that_are_exchanged_are_seen(kind):
    both = made(kind, 1, True, True, 4)
    network, params = load(both)
    compare(both, module(network, params), True, True, 1e-12)
    with pytest.raises(AssertionError):
        compare(both, module(network, exchanged(params, "forward", "backward")), True, True, 1e-6)
    deep = made(kind, 3, True, False, 5)
    network, params = load(deep)
    with pytest.raises(AssertionError):
        compare(deep, module(network, exchanged(params, "layer1", "layer2")), True, True, 1e-6)


def test_initial_states_of_the_wrong_layer_are_seen():
    layer = made("GRU", 2, True, False, 6)
    own = module(*load(layer))
    xs, hx, lengths, weights = drawn(layer, True, False)
    results, *_ = of_torch(layer, xs, hx, lengths, weights)
    state, ys = own(xs, to_state(own.layer, hx[0].flip(0)))
    assert not torch.allclose(ys, results[0])
    assert torch.allclose(own(xs, to_state(own.layer, hx[0]))[1], results[0])
