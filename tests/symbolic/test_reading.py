"""What else a step may do: memories, tokens, slices, shared values, functions without matrix notation."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cells import Cell, Parameter, State
from tapegrad.errors import OptionError, StructureError, TracingError
from tapegrad.symbolic import derive
from tests.symbolic.proving import EXACT, Problem, worst
from tests.symbolic.steps import Deep, Memory


def test_a_matrix_memory_reads_as_outer_products():
    derivation = derive(Memory(5, 4))
    forward = {equation.left.name: equation.text() for equation in derivation.forward}
    assert forward["e"] == "e_t = Eᵀ 1[x_t]"
    assert forward["read"] == "read_t = M_{t-1}ᵀ w_t"
    assert forward["M"] == "M_t = 0.9 M_{t-1} + w_t h_tᵀ Aᵀ"
    assert forward["k"] == "k_t = [h_t[:2]; cumsum(e_t)[2:]]"
    assert "place" in derivation.text()
    assert "no reading in matrix notation: cumsum, flip, place" in derivation.text()
    assert "no matrix between vectors" in derivation.text()


def test_a_matrix_memory_is_proven():
    rng = np.random.default_rng(3)
    cell = Memory(5, 4)
    what, error = worst(derive(cell), Problem(cell, rng))
    assert error < EXACT, f"{what} differs by {error}"


def test_values_of_one_variable_are_told_apart():
    cell = Deep(3, 4, 5)
    derivation = derive(cell)
    names = [equation.left.name for equation in derivation.forward]
    assert [name for name in names if name.startswith("s")] == ["s_1", "s_2", "s_3", "s_4", "s"]
    what, error = worst(derivation, Problem(cell, np.random.default_rng(0), scale=0.3))
    assert error < EXACT, f"{what} differs by {error}"


@pytest.mark.parametrize("helper", [False, True])
def test_the_equations_grow_with_the_step_and_no_faster(helper):
    def twice(s, x):
        return s * (1.0 - s) + x * s

    class Helped(Cell):
        input_size: int
        hidden_size: int
        depth: int

        def state(self):
            return State((self.hidden_size,))

        def step(self, params, s, x):
            for _ in range(self.depth):
                s = twice(s, x)
            return s, s

    def length(depth):
        return len(derive((Helped if helper else Deep)(3, 3, depth)).text())

    assert length(12) < 2.5 * length(6)


def test_a_step_that_is_no_cell():
    def step(params, state, x):
        h = np.tanh(x * params["u"] + params["w"] * state)
        return h, h

    zeros = np.zeros((1, 4))
    derivation = derive(step, {"u": np.zeros(4), "w": np.zeros(4)}, zeros, zeros)
    assert derivation.gradients["w"].text() == "∂L/∂w = Σ_{t=1..T} δa_t ⊙ h_{t-1}"
    assert derivation.jacobian["h", "h"].text() == "∂h_t/∂h_{t-1} = diag(w ⊙ (1 - h_t^2))"


def test_captured_arrays_are_constants():
    mask = np.array([1.0, 0.0, 2.0])

    def step(params, state, x):
        s = state * mask + 0.5 * x
        return s, s

    derivation = derive(step, {}, np.zeros((1, 3)), np.zeros((1, 3)))
    assert derivation.forward["s"].text() == "s_t = s_{t-1} ⊙ C_1 + 0.5 x_t"
    run = derivation.run({}, np.ones((2, 3)), outputs=np.ones((2, 3)))
    np.testing.assert_allclose(run.initial[0][:, 0], mask + mask**2, rtol=1e-15)


def test_repeated_elements_are_a_product_and_so_are_their_gradients():
    def step(params, state, x):
        g = np.tanh(x @ params["W"])
        s = np.repeat(g, 2, axis=-1) * state
        return s, s

    params = {"W": np.random.default_rng(0).normal(size=(2, 3))}
    derivation = derive(step, params, np.zeros((1, 6)), np.zeros((1, 2)))
    assert derivation.forward["s"].text() == "s_t = (C_1 g_t) ⊙ s_{t-1}"
    assert derivation.jacobian["s", "s"].text() == "∂s_t/∂s_{t-1} = diag(C_1 g_t)"
    text = derivation.text()
    assert "(C_1ᵀ (δs_t ⊙ s_{t-1}))" in text
    assert "reshape" not in text
    rng = np.random.default_rng(1)
    xs, start, weights = rng.normal(size=(3, 2)), rng.normal(size=6), rng.normal(size=(3, 6))
    run = derivation.run(params, xs, start, outputs=weights)
    loss = lambda p: np.sum(weights * tg.scan(step, p, start[None], xs[:, None])[1][:, 0])  # noqa: E731
    np.testing.assert_allclose(run.gradients["W"], tg.grad(loss)(params)["W"], rtol=1e-12)


def test_integer_and_unused_states_pass():
    class Counter(Cell):
        input_size: int

        def parameters(self):
            return {"w": Parameter((self.input_size,), init=1.0), "unused": Parameter((2, 3))}

        def state(self):
            return {"n": State((), dtype=np.int64), "s": State((self.input_size,)), "kept": State((2,))}

        def step(self, params, state, x):
            s = params["w"] * state["s"] + x
            return {"n": state["n"] + 1, "s": s, "kept": state["kept"]}, s

    derivation = derive(Counter(3))
    assert derivation.gradients["unused"].text() == "∂L/∂unused = 0"
    assert "n_t = 1 + n_{t-1}" in derivation.text() or "n_t = n_{t-1} + 1" in derivation.text()
    run = derivation.run({"w": np.full(3, 2.0), "unused": np.ones((2, 3))}, np.ones((3, 3)), final={
        "n": np.zeros((), int), "s": np.zeros(3), "kept": np.array([5.0, 7.0])})  # fmt: skip
    np.testing.assert_array_equal(run.initial[pytree_index(derivation, "kept")][:, 0], [5.0, 7.0])


def pytree_index(derivation, name):
    return [leaf.symbol.name for leaf in derivation.subject.state].index(name)


# ---- refusals


def test_rows_that_mix_are_refused():
    def step(params, state, x):
        s = x - np.mean(x, axis=0)
        return s, s

    with pytest.raises(TracingError, match="computes across the rows of a batch"):
        derive(step, {}, np.zeros((1, 3)), np.zeros((1, 3)))

    def gram(params, state, x):
        return state, x @ x.T

    with pytest.raises(TracingError, match="across the rows"):
        derive(gram, {}, np.zeros((1, 3)), np.zeros((1, 3)))


def test_what_is_no_cell_is_refused():
    with pytest.raises(OptionError, match="expected a Cell or a function"):
        derive(3)
    with pytest.raises(OptionError, match="does not say the shapes; give examples"):
        derive(lambda params, state, x: (state, x))
    with pytest.raises(StructureError, match="a step returns"):
        derive(lambda params, state, x: x, {}, np.zeros((1, 2)), np.zeros((1, 2)))
    with pytest.raises(StructureError, match="returned one of 2"):
        derive(lambda params, state, x: ((x, x), x), {}, np.zeros((1, 2)), np.zeros((1, 2)))
    with pytest.raises(OptionError, match="notation='greek', expected one of default"):
        derive(lambda params, state, x: (x, x), {}, np.zeros((1, 2)), np.zeros((1, 2)), notation="greek")
    with pytest.raises(OptionError, match="needs an example of its target"):
        derive(lambda p, s, x: (x, x), {}, np.zeros((1, 2)), np.zeros((1, 2)), loss=lambda y, t: y)


def test_a_cell_that_takes_any_input_wants_an_example():
    class Any(Cell):
        def state(self):
            return State((2,))

        def step(self, params, state, x):
            return state + x, x

    with pytest.raises(OptionError, match=r"takes any input; give an example, x=np.zeros"):
        derive(Any())
    assert derive(Any(), x=np.zeros((1, 2))).adjoints
