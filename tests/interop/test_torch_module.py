"""Cells as modules of torch: calls, what torch does with modules, and what is refused."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, LSTM, Bidirectional, Elman, Sequential, Stacked
from tapegrad.errors import DtypeError, MissingLibrary, OptionError, ShapeError, StructureError, TracingError
from tapegrad.interop.torch import function, module
from tests.interop.torch_modules import DOUBLE, TIGHT, drawn, made

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_same_as_the_layer(batch_first):
    layer = Sequential((Bidirectional(GRU(2, 2), LSTM(2, 3)), Elman(5, 2)))
    params = layer.init(np.random.default_rng(1), np.float64)
    own = module(layer, params, batch_first=batch_first)
    xs, reset = drawn(4, 3, 2, grad=False), torch.rand(4, 3) < 0.3
    lengths = torch.tensor([4, 1, 2])
    state, ys = layer(params, xs.numpy(), lengths=lengths.numpy(), reset=reset.numpy())
    if batch_first:
        xs, reset, ys = xs.transpose(0, 1), reset.T, ys.swapaxes(0, 1)
    found, out = own(xs, lengths=lengths, reset=reset)
    np.testing.assert_array_equal(out.detach().numpy(), ys)
    for a, b in zip(tg.tree_leaves(found), tg.tree_leaves(state), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b)


@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_sequences(batch_first):
    own = made(GRU(2, 3), batch_first=batch_first)
    xs, lengths = drawn(4, 4, 2), torch.tensor([2, 4, 1, 3])
    state, ys = own(xs, lengths=lengths)
    packed = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, batch_first, enforce_sorted=False)
    final, out = own(packed)
    back, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first)
    assert torch.equal(back, ys)
    assert torch.equal(final, state)


def test_recorded_gates_come_too():
    own = made(GRU(2, 3), batch_first=True)
    _, ys, gates = own(drawn(2, 5, 2), record=("z", "r"))
    assert ys.shape == gates["z"].shape == gates["r"].shape == (2, 5, 3)


# ---- what torch does with modules ----


def test_copies_files_dtypes_and_reset():
    own = made(Stacked((LSTM(2, 3), GRU(3, 2))))
    xs = drawn(4, 2, 2, grad=False)
    ys = own(xs)[1]
    for other in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        assert torch.equal(other(xs)[1], ys)
        with torch.no_grad():
            next(other.parameters()).add_(1.0)
        assert not torch.equal(other(xs)[1], ys)
    assert torch.equal(own(xs)[1], ys)
    single = copy.deepcopy(own).float()
    assert single(xs.float())[1].dtype == torch.float32
    assert torch.allclose(single(xs.float())[1].double(), ys, atol=1e-5)
    own.reset_parameters(np.random.default_rng(5))
    assert not torch.equal(own(xs)[1], ys)
    own.reset_parameters(np.random.default_rng(0))
    assert torch.equal(own(xs)[1], ys)
    np.testing.assert_array_equal(own.params()["layer1"]["W_xn"], own.get_parameter("layer1.W_xn").detach())
    assert "Stacked" in repr(own)


def test_the_seed_of_torch_settles_the_parameters():
    first, second, third = (
        (torch.manual_seed(seed), list(module(Elman(2, 3)).parameters())[0])[1] for seed in (1, 1, 2)
    )
    assert first.dtype == torch.get_default_dtype()
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_it_trains_as_in_tapegrad():
    layer = GRU(2, 3)
    params = layer.init(np.random.default_rng(0), np.float64)
    own = module(layer, params)
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1)
    xs, targets = drawn(5, 2, 2, grad=False), drawn(5, 2, 3, grad=False, seed=1)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(own(xs)[1], targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        gradient = tg.grad(lambda p: np.mean((layer(p, xs.numpy())[1] - targets.numpy()) ** 2))(params)
        params = tg.tree_map(lambda p, g: p - 0.1 * g, params, gradient)
    assert losses == sorted(losses, reverse=True)
    for a, b in zip(tg.tree_leaves(own.params()), tg.tree_leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_in_a_network_and_with_functional_calls():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = made(GRU(2, 3)), torch.nn.Linear(3, 1, dtype=DOUBLE)

        def forward(self, xs):
            return self.head(self.rnn(xs)[1])

    model = Model()
    assert list(model.state_dict())[:2] == ["rnn.W_hn", "rnn.W_hr"]
    xs = drawn(4, 2, 2)
    assert torch.autograd.gradcheck(lambda xs, *rest: model(xs), (xs, *model.parameters()), **TIGHT)
    other = {name: value + 0.1 for name, value in model.state_dict().items()}
    assert not torch.equal(torch.func.functional_call(model, other, (xs,)), model(xs))
    torch.nn.utils.parametrizations.weight_norm(model.rnn, "W_hn")
    changed = model(xs)
    with torch.no_grad():
        model.rnn.parametrizations.W_hn.original0.mul_(2.0)
    assert not torch.equal(model(xs), changed)


def test_checkpoints_of_torch_compute_again():
    own = made(GRU(2, 3))
    xs = drawn(4, 2, 2)
    expected = torch.autograd.grad(own(xs)[1].square().sum(), [xs, *own.parameters()])
    for reentrant in (False, True):
        ys = torch.utils.checkpoint.checkpoint(lambda xs: own(xs)[1], xs, use_reentrant=reentrant)
        ys.square().sum().backward()
        found = [xs.grad, *[parameter.grad for parameter in own.parameters()]]
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a, b)
        xs.grad = None
        own.zero_grad()


@pytest.mark.filterwarnings("ignore")  # what torch's compiler warns of
def test_compiling_leaves_the_call_as_it_is():
    own = made(GRU(2, 3))
    xs = drawn(4, 2, 2)

    def run(xs):
        return torch.sin(own(2 * xs)[1]) * function(np.tanh)(xs).sum()

    (expected,) = torch.autograd.grad(run(xs).sum(), xs)
    compiled = torch.compile(run, backend="eager")
    (found,) = torch.autograd.grad(compiled(xs).sum(), xs)
    assert torch.allclose(found, expected)


def test_threads():
    own = made(GRU(2, 3))
    batches = [drawn(4, 2, 2, seed=seed) for seed in range(8)]
    expected = [torch.autograd.grad(own(xs)[1].square().sum(), [xs, own.W_hn]) for xs in batches]
    found: list = [None] * 8

    def work(number):
        for _ in range(3):
            found[number] = torch.autograd.grad(own(batches[number])[1].square().sum(), [batches[number], own.W_hn])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(found, expected, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, :, :2].transpose(0, 1).contiguous().transpose(0, 1),
        lambda x: x[:, :, ::2],
        lambda x: x[:1, :, 1:3].expand(4, 2, 2),
        lambda x: x[:, :1, :1].expand(4, 2, 2),
        lambda x: x[:0, :, :2],
        lambda x: x[:, :0, :2],
    ],
)
def test_tensors_of_any_strides(view):
    own = made(GRU(2, 3))
    base = drawn(4, 2, 4)
    ys = own(view(base))[1]
    (found,) = torch.autograd.grad(ys.square().sum(), base)
    plain = view(base).detach().clone().requires_grad_()
    expected = own(plain)[1]
    assert torch.equal(ys, expected)
    (inner,) = torch.autograd.grad(expected.square().sum(), plain)
    (mapped,) = torch.autograd.grad(view(base), base, inner)
    assert torch.equal(found, mapped)


# ---- what is refused ----


def test_what_is_refused_says_so():
    own = made(GRU(2, 3))
    xs = drawn(4, 2, 2)
    for wrong, error, message in [
        (xs.half(), DtypeError, r"module: xs has dtype torch.float16.*convert it with .float\(\)"),
        (xs.bfloat16(), DtypeError, r"xs has dtype torch.bfloat16.*leave torch.autocast"),
        (xs.to(torch.complex128), DtypeError, r"xs has dtype torch.complex128.*real and imaginary parts"),
        (xs.to("meta"), StructureError, r"xs is on the device 'meta', and loops run on the CPU; move it with .cpu\(\)"),
        (xs.detach().to_sparse(), StructureError, r"xs has the layout torch.sparse_coo; give a dense tensor"),
        (xs.float(), DtypeError, "xs has dtype float32, expected that of the parameters, float64"),
        (xs[0], ShapeError, r"xs is of shape \(2, 2\)"),
    ]:
        with pytest.raises(error, match=message):
            own(wrong)
    with pytest.raises(TracingError, match=r"FakeTensor has no memory.*torch.export and torch.jit cannot"):
        torch.export.export(own, (xs,))
    with pytest.raises(DtypeError, match=r"state has dtype torch.float16"):
        own(xs, torch.zeros(2, 3, dtype=torch.float16))
    with pytest.raises(DtypeError, match=r"params.W_hn has dtype torch.bfloat16.*whole module with module.float\(\)"):
        copy.deepcopy(own).bfloat16()(xs)
    with pytest.raises(OptionError, match=r"layer=3, expected a cell or layer"):
        module(3)
    with pytest.raises(OptionError, match=r"batch_first=1, expected True or False"):
        module(GRU(2, 3), batch_first=1)
    with pytest.raises(DtypeError, match=r"dtype=torch.float16, expected torch.float32 or torch.float64"):
        module(GRU(2, 3), dtype=torch.float16)
    with pytest.raises(StructureError, match="parameters are missing"):
        module(GRU(2, 3), {})


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingLibrary, match=r"interop.torch.module: it needs PyTorch, which is not installed"):
        module(GRU(2, 3))
    with pytest.raises(MissingLibrary, match=r"interop.torch.function: it needs PyTorch"):
        function(np.tanh)


def test_results_that_are_views_of_one_another_are_tensors_apart():
    doubled = function(lambda x: (2 * x, (2 * x)[1:]))

    def f(x):
        y = 2 * x
        return y, y[1:], y[None]

    for of_tensors in (doubled, function(f)):
        first, *others = of_tensors(torch.ones(3))
        first.zero_()
        assert all(bool((other == 2).all()) for other in others)


def test_parts_that_are_called_as_a_method_is_are_found_by_torch():
    layer = Sequential((Bidirectional(GRU(2, 2), LSTM(2, 2)), Elman(4, 2)))
    for own, part in ((made(layer), "layer0.forward"), (made(layer.layers[0]), "forward")):
        xs = drawn(4, 3, 2, grad=False)
        params = {name: 2 * parameter.detach() for name, parameter in own.named_parameters()}
        _, found = torch.func.functional_call(own, params, (xs,))
        again = pickle.loads(pickle.dumps(copy.deepcopy(own)))
        with torch.no_grad():
            for name, parameter in again.named_parameters():
                assert again.get_parameter(name) is parameter
                parameter.mul_(2)
        torch.testing.assert_close(found, again(xs)[1], rtol=0, atol=0)
        torch.testing.assert_close(found, again.forward(xs)[1], rtol=0, atol=0)
        assert not torch.equal(found, own(xs)[1])
        torch.nn.utils.parametrizations.weight_norm(own.get_submodule(part), "W_xn")
        own(xs)[1].sum().backward()


def test_parameters_that_are_tensors_are_taken_and_their_dtypes_checked():
    layer = LSTM(2, 3)
    own = made(layer)
    again = module(layer, own.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(own.parameters(), again.parameters(), strict=True))
    with torch.no_grad():
        again.W_xi.zero_()
    assert bool(own.W_xi.any())
    with pytest.raises(DtypeError, match="expected torch.float32 or torch.float64"):
        module(layer, copy.deepcopy(own).half().state_dict())


def test_a_packed_sequence_has_its_own_lengths():
    xs = torch.nn.utils.rnn.pack_padded_sequence(drawn(4, 2, 2, grad=False), [4, 2])
    with pytest.raises(OptionError, match="leave lengths"):
        made(Elman(2, 3))(xs, lengths=[4, 2])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torch_jit_is_refused():
    with pytest.raises(TracingError, match=r"torch\.jit"):
        torch.jit.trace(made(Elman(2, 3)), (drawn(4, 2, 2, grad=False),), check_trace=False)


def test_a_layer_is_not_called_with_tensors_for_parameters():
    with pytest.raises(DtypeError, match=r"'W_hh' has dtype torch.float64.*tensor\.detach\(\)\.numpy\(\)"):
        Elman(2, 3)(made(Elman(2, 3)).state_dict(), np.zeros((4, 2, 2)))
