"""A plan goes by dependence: what the next state needs, what it does not, and what needs no state at all."""

import numpy as np

import tapegrad as tg
from tapegrad.backends.plan import make_plan, node_at
from tapegrad.cells import LSTM


def steps(f, *args):
    """The steps of the scans that a function's forward and backward passes run."""
    _, pullback = tg.vjp(f, *args)
    node = next(n for n in pullback.tape.nodes if n and n.primitive.name == "scan")
    linear = node.options["linear"]
    step = node.options["step"]
    pattern = linear.pattern([False] * step.state + [True] * step.ys)
    return linear.forward, linear.backward(pattern).step


def named(plan, part):
    return [node_at(plan.step.tape, slot).primitive.name for slot in getattr(plan, part)]


def test_an_lstm_keeps_only_what_is_recurrent_in_the_loop():
    rng = np.random.default_rng(0)
    cell = LSTM(2, 3)
    params = cell.init(rng, dtype=np.float64)
    xs = rng.normal(size=(4, 5, 2))
    forward, backward = (make_plan(step) for step in steps(lambda p: cell(p, xs)[1], params))
    assert named(forward, "before") == ["contract"] * 4, "the inputs' products"
    assert named(forward, "loop").count("contract") == 4, "the state's products"
    assert not forward.after
    assert named(backward, "loop").count("contract") == 4, "the cotangents' products"
    assert named(backward, "after").count("contract") == 8, "the parameters' gradients"
    assert len(backward.kept) == 4, "the cotangents of the gates, for the gradients"


def test_every_operation_is_done_once_and_after_what_it_reads():
    rng = np.random.default_rng(1)

    def step(w, s, x):
        scale = np.exp(w[0])  # the parameters alone
        shifted = np.maximum(x, 0.1)  # the inputs alone, cheap, read by the loop
        projected = x @ w  # the inputs alone, a product
        h = np.tanh(s @ w * scale + projected + shifted)
        return h, {"read": h @ w, "inputs": np.sum(x, axis=1)}

    args = rng.normal(size=(3, 3)), rng.normal(size=(2, 3)), rng.normal(size=(4, 2, 3))
    tape = tg.trace(lambda *a: tg.scan(step, *a))(*args)
    plan = make_plan(next(n for n in tape.nodes if n).options["step"])
    assert named(plan, "once") == ["getitem", "exp"]
    assert set(named(plan, "before")) == {"contract", "sum"}
    assert "maximum" in named(plan, "loop")
    assert named(plan, "after") == ["contract"]
    done = set(plan.step.tape.inputs)
    for slot in [*plan.once, *plan.before, *plan.loop, *plan.after]:
        assert slot not in done
        assert all(s in done for s in node_at(plan.step.tape, slot).slots if s >= 0)
        done.add(slot)
    assert len(done) == len(plan.step.tape.nodes)


def test_a_plan_can_be_read():
    f = lambda s, xs: tg.scan(lambda p, h, x: (np.tanh(h + x), h), None, s, xs)  # noqa: E731
    tape = tg.trace(f)(np.ones(2), np.ones((3, 2)))
    text = str(make_plan(next(n for n in tape.nodes if n).options["step"]))
    assert text.splitlines()[0] == "once:"
    assert "= tanh(" in text
    assert "streamed into the loop: x" in text
