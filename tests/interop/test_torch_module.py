"""Cells as modules of torch: derivatives of every order, memory, what torch does with modules, and what is refused."""

import copy
import gc
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, LSTM, Bidirectional, Cell, Elman, Input, Parameter, Sequential, Stacked, State
from tapegrad.errors import DtypeError, MissingLibrary, OptionError, ShapeError, StructureError, TracingError
from tapegrad.interop.torch import function, module
from tapegrad.tape import ReverseTape

torch = pytest.importorskip("torch")
DOUBLE = torch.float64
TIGHT = {"atol": 1e-6, "rtol": 1e-5}  # torch lets pass what is 0.1 % off


class Tokens(Cell):
    """Takes token numbers and a bonus, has a state of floats and of whole numbers, and gives two outputs."""

    hidden_size: int

    def parameters(self):
        n = self.hidden_size
        return {"E": Parameter((5, n)), "inner": {"W": Parameter((n, n))}, "forward": {"b": Parameter((n,), init=0.5)}}

    def state(self):
        return {"h": State((self.hidden_size,)), "count": State((), dtype=np.int64)}

    def inputs(self):
        return {"token": Input((), dtype=np.int64), "bonus": Input((self.hidden_size,))}

    def step(self, params, state, x):
        h = np.tanh(params["E"][x["token"]] + state["h"] @ params["inner"]["W"] + params["forward"]["b"] * x["bonus"])
        return {"h": h, "count": state["count"] + 1}, (h, h * h)


LAYERS = [
    Elman(2, 3),
    Stacked((LSTM(2, 2), GRU(2, 3))),
    Sequential((Bidirectional(GRU(2, 2), LSTM(2, 3)), Elman(5, 2))),
]


def drawn(*shape, grad=True, seed=0, dtype=DOUBLE):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_(grad)


def made(layer, seed=0, **options):
    return module(layer, rng=np.random.default_rng(seed), **({"dtype": DOUBLE} | options))


# ---- derivatives ----


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_gradcheck_and_gradgradcheck(layer):
    own = made(layer)
    xs = drawn(3, 2, 2)
    state = torch.utils._pytree.tree_map(  # the state's gradients too
        lambda a: drawn(*a.shape, seed=a.shape[-1]), tg.tree_map(torch.from_numpy, layer.initial_state(2, np.float64))
    )
    leaves, structure = torch.utils._pytree.tree_flatten(state)

    def run(xs, *given):
        final, ys = own(xs, torch.utils._pytree.tree_unflatten(given[: len(leaves)], structure))
        return (ys, *torch.utils._pytree.tree_leaves(final))

    arguments = (xs, *leaves, *own.parameters())
    assert torch.autograd.gradcheck(run, arguments, **TIGHT)
    assert torch.autograd.gradgradcheck(run, arguments, **TIGHT)


def test_a_wrong_derivative_does_not_pass_gradcheck():
    wrong = tg.custom_vjp(np.tanh)
    wrong.defvjp(lambda g, ans, x: 1.001 * g * (1 - ans * ans))
    assert torch.autograd.gradcheck(function(np.tanh), (drawn(3),), **TIGHT)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(function(wrong), (drawn(3),), **TIGHT)


def test_through_the_compiled_loop():
    own = made(Elman(1, 2), backend="numba")
    xs = drawn(3, 2, 1)
    assert torch.autograd.gradcheck(lambda xs, *rest: own(xs)[1], (xs, *own.parameters()), **TIGHT)
    assert torch.autograd.gradgradcheck(lambda xs, *rest: own(xs)[1], (xs, *own.parameters()), **TIGHT)


@pytest.mark.filterwarnings("ignore:.*jit.script:DeprecationWarning")  # what torch does with parts of its own
def test_forward_mode_and_transformations_of_functions():
    own = made(GRU(2, 3))
    xs = drawn(3, 2, 2, grad=False)

    def loss(xs):
        return own(xs)[1].square().sum()

    assert torch.autograd.gradcheck(lambda xs: own(xs)[1], (drawn(3, 2, 2),), check_forward_ad=True, **TIGHT)
    leaf = xs.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf), leaf)
    assert torch.allclose(torch.func.grad(loss)(xs), expected)
    whole = torch.autograd.functional.hessian(loss, xs)
    assert torch.allclose(torch.func.hessian(loss)(xs), whole)
    assert torch.allclose(torch.func.jacrev(torch.func.jacfwd(loss))(xs), whole)
    batch = drawn(3, 4, 2, 2, grad=False)
    rows = torch.func.vmap(torch.func.grad(loss), in_dims=1, out_dims=1)(batch)
    for k in range(4):
        assert torch.allclose(rows[:, k], torch.func.grad(loss)(batch[:, k]))


def test_third_order():
    cubed = function(lambda x: np.sum(x**4))
    x = drawn(3)
    (first,) = torch.autograd.grad(cubed(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), x)
    assert torch.allclose(third, 24 * x)


def test_pytrees_whole_numbers_and_names():
    own = made(Tokens(3))
    assert [name for name, _ in own.named_parameters()] == ["E", "forward.b", "inner.W"]
    xs = {"token": torch.tensor([[0, 4], [2, 2], [1, 3]]), "bonus": drawn(3, 2, 3)}
    state, (h, squares) = own(xs)
    assert torch.equal(state["count"], torch.full((2,), 3))
    assert not state["count"].requires_grad
    torch.autograd.grad(squares.sum(), [*own.parameters(), xs["bonus"]])
    bonus = xs["bonus"]
    assert torch.autograd.gradcheck(lambda b, *rest: own(xs | {"bonus": b})[1], (bonus, *own.parameters()), **TIGHT)
    again = made(Tokens(3), seed=1)
    assert not torch.equal(again(xs)[1][0], h)
    again.load_state_dict(own.state_dict())
    assert torch.equal(again(xs)[1][0], h)


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


# ---- what is asked for, and what is kept ----


def kept_by(ys):
    return ys.grad_fn.saved_tensors[-1].kept


def test_only_what_asks_for_a_gradient_gets_one():
    own = made(Elman(2, 3))
    own.W_hh.requires_grad_(False)
    xs = drawn(4, 2, 2, grad=False)
    ys = own(xs)[1]
    assert kept_by(ys).active == (False, True, True, False)  # W_hh, W_xh, b_h, xs
    ys.sum().backward()
    assert own.W_hh.grad is None
    assert xs.grad is None
    assert own.W_xh.grad is not None
    with torch.no_grad():
        assert own(xs)[1].grad_fn is None


def test_no_gradient_is_computed_for_the_input_that_needs_none():
    own = made(Elman(2, 3))
    products = []
    for grad in (False, True):
        ys = own(drawn(4, 2, 2, grad=grad))[1]
        tape = next(c.cell_contents for c in kept_by(ys).pull.__closure__ if isinstance(c.cell_contents, ReverseTape))
        (scan,) = [node for node in tape.nodes if node is not None]
        reverse = scan.options["linear"].pullback((False, True)).step
        products.append(sum(node is not None and node.primitive.name == "contract" for node in reverse.tape.nodes))
    assert products[1] == products[0] + 1


def test_nothing_is_copied():
    own = made(Elman(2, 3))
    xs, noted = drawn(4, 2, 2), []
    looking = function(lambda x: (noted.append(x), np.tanh(x))[1])
    ys = own(xs)[1]
    tape = next(c.cell_contents for c in kept_by(ys).pull.__closure__ if isinstance(c.cell_contents, ReverseTape))
    (scan,) = [node for node in tape.nodes if node is not None]
    held = {arg.__array_interface__["data"][0] for arg in scan.args if isinstance(arg, np.ndarray)}
    assert {tensor.data_ptr() for tensor in (*own.parameters(), xs)} <= held
    looking(xs)
    assert noted[0].value.__array_interface__["data"][0] == xs.data_ptr()
    with pytest.raises(ValueError, match="read-only"):
        function(lambda x: x.__setitem__(0, 1.0))(xs.detach())


def test_memory_is_freed_with_the_graph():
    own = made(Elman(2, 3))
    ys = own(drawn(4, 2, 2))[1]
    alive = weakref.ref(kept_by(ys).pull)
    loss = ys.sum()
    loss.backward(retain_graph=True)
    assert alive() is not None
    loss.backward()
    gc.collect()
    assert alive() is None  # although ys and its node still live
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_several_backward_passes_add_up():
    own = made(GRU(2, 3))
    loss = own(drawn(4, 2, 2))[1].square().sum()
    loss.backward(retain_graph=True)
    once = [parameter.grad.clone() for parameter in own.parameters()]
    loss.backward()
    for parameter, first in zip(own.parameters(), once, strict=True):
        assert torch.equal(parameter.grad, 2 * first)


def test_changes_in_place_are_noticed_or_do_no_harm():
    own = made(GRU(2, 3))
    xs = drawn(4, 2, 2)
    (expected,) = torch.autograd.grad(own(xs)[1].square().sum(), xs)
    ys = own(xs)[1]
    squares = ys.square().sum()
    state, ys = own(xs)
    with torch.no_grad():
        state.fill_(7.0)  # what was given is the caller's own
    (found,) = torch.autograd.grad(ys.square().sum(), xs)
    assert torch.equal(found, expected)
    with torch.no_grad():
        own.W_xn.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(squares, xs)


def test_results_are_the_caller_s_own():
    twice = function(lambda x: (lambda y: (y, y, x, y[::-1]))(np.tanh(x)))
    for grad in (False, True):
        x = drawn(3, grad=grad)
        parts = twice(x)
        with torch.no_grad():
            parts[0].fill_(9.0)
            parts[2].fill_(8.0)
        assert torch.allclose(parts[1], torch.tanh(x))
        assert torch.allclose(parts[3], torch.tanh(x).flip(0))


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


def test_an_argument_that_only_torch_can_see_changed_is_not_copied_by_the_engine():
    tensor = torch.zeros(3)
    from tapegrad.interop.torch.memory import lent

    array = lent(tensor)
    assert not array.flags.writeable
    assert tg.vjp(np.tanh, array)[1].tape.nodes[1].args[0] is array
    view = tensor.numpy()
    view.flags.writeable = False
    assert tg.vjp(np.tanh, view)[1].tape.nodes[1].args[0] is not view  # anybody may lock a view
