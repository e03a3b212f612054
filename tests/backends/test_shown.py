"""What is compiled can be read before it is compiled."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.backends import plan, source
from tapegrad.cells import LSTM
from tapegrad.errors import UnsupportedPrimitive

CELL = LSTM(3, 8)
PARAMS = CELL.init(np.random.default_rng(0))
XS = np.zeros((6, 5, 3), np.float32)


def outputs(params):
    return CELL(params, XS)[1]


def test_the_source_of_both_loops_is_shown_and_is_python():
    text = source(outputs, PARAMS)
    assert text.count("def loop(") == 2
    assert source(outputs, PARAMS, gradient=False).count("def loop(") == 1
    compile(text, "shown", "exec")


def test_products_of_an_operand_are_one():
    """Four gates, and one product of the inputs, one of the state, one of the cotangents, two sums over time."""
    forward, backward = source(outputs, PARAMS).split("def loop(")[1:]
    products = [line.split(",")[0].strip() for line in forward.splitlines() if line.strip().startswith("multiply")]
    wanted = ["multiply(x0", "multiply(x0", "multiply_fetching(h0"]
    assert products == wanted, "of a chunk, or of each step of it; of the state"
    assert backward.count(" multiply_fetching(") == 1, "and its plan, in comments, says how many products that one is"
    assert backward.count("accumulate(") == 2
    assert backward.count("pack_columns(") == 1, "the cotangents of the gates lie side by side"


def test_the_order_of_the_terms_of_a_sum_does_not_matter():
    def step(order):
        def run(p, h, x):
            terms = [x @ p["U"], h @ p["W"], p["b"]]
            h = np.tanh(sum((terms[i] for i in order[1:]), terms[order[0]]))
            return h, h

        return run

    p = {"U": np.ones((3, 4)), "W": np.ones((4, 4)), "b": np.ones(4)}
    text = [
        source(lambda p, order=order: tg.scan(step(order), p, np.zeros((5, 4)), XS.astype(float))[1], p)
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0))
    ]
    counts = [[t.count(word) for word in ("multiply(", "accumulate(", "load_part(", "store_part(")] for t in text]
    assert counts[0] == counts[1] == counts[2]


def test_a_plan_says_what_is_done_where_in_the_names_of_the_step():
    text = plan(outputs, PARAMS)
    assert "before the loop, for many steps together:" in text
    assert "c = add(" in text
    assert "(over rows and time)" in text
    assert text.count("    keep ") == 7, "h and c before the step, four gates, tanh c"
    assert text.count("    next ") == 4, "two states forward, two cotangents backward"


def test_scans_within_a_scan_are_shown():
    step = lambda w, h, x: (np.tanh(h @ w + x), h)  # noqa: E731
    f = lambda w: tg.scan(step, w, np.zeros((2, 3)), np.ones((9, 2, 3)), checkpoint=3)[1]  # noqa: E731
    text = source(f, np.ones((3, 3)))
    assert text.count("def loop(") > source(f, np.ones((3, 3)), gradient=False).count("def loop(") > 0


def test_what_cannot_be_compiled_is_named():
    own = tg.primitive(np.sinc, shape=lambda x: x.shape, name="own_sinc")
    step = lambda w, h, x: (own(h), h)  # noqa: E731
    with pytest.raises(UnsupportedPrimitive, match="own_sinc cannot be compiled"):
        source(lambda h: tg.scan(step, None, h, np.ones(3))[1], np.zeros(2), gradient=False)


def test_the_plan_says_which_features_are_meant_and_what_is_turned():
    def step(w, s, x):
        z = s @ w + x
        a, b = z[:, :2], z[:, 2:]
        h = np.concatenate([np.tanh(a) * b, b[:, ::-1]], axis=1)
        M = np.einsum("bi,bj->bij", h, h)
        return h * np.sum(np.abs(M), axis=2), M[:, 1:, 0]

    forward, backward = plan(
        lambda w: tg.scan(step, w, np.zeros((2, 4)), np.zeros((5, 2, 4)))[1], np.ones((4, 4))
    ).split("\n\n")
    for line in ("d = tanh(z[0:2])", "e = multiply(d, z[2:4])", "h[2:4] = z[3:1:-1]", "M = multiply(h[:, None], h)",
                 "output k = M[4:16:4]", "keep s = s"):  # fmt: skip
        assert f"    {line}\n" in forward
    assert " @ w.T\n" in backward
