"""Derivatives through modules of torch, of every order, and what a forward pass keeps for them."""

import gc
import importlib
import weakref

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import GRU, LSTM, Bidirectional, Elman, Sequential, Stacked
from tapegrad.interop.torch import function
from tapegrad.tape import ReverseTape
from tests.interop.torch_modules import TIGHT, Tokens, drawn, made

torch = pytest.importorskip("torch")
lent = importlib.import_module("tapegrad.interop.torch.memory").lent  # which imports torch

LAYERS = [
    Elman(2, 3),
    Stacked((LSTM(2, 2), GRU(2, 3))),
    Sequential((Bidirectional(GRU(2, 2), LSTM(2, 3)), Elman(5, 2))),
]


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


def test_an_argument_that_only_torch_can_see_changed_is_not_copied_by_the_engine():
    tensor = torch.zeros(3)
    array = lent(tensor)
    assert not array.flags.writeable
    assert tg.vjp(np.tanh, array)[1].tape.nodes[1].args[0] is array
    view = tensor.numpy()
    view.flags.writeable = False
    assert tg.vjp(np.tanh, view)[1].tape.nodes[1].args[0] is not view  # anybody may lock a view
