"""Functions of ``scipy.special``, and those of its kind in tapegrad."""

from importlib import import_module

import numpy as np
from hypothesis import strategies as st
from scipy import special

from tests.strategies import calls
from tests.surface.rows import Row

SHARE, SIZE, ANY = (0.1, 0.9, ()), (0.4, 3.0, ()), (-2.0, 2.0, ())
LACKING = {library: f"{library} lacks it" for library in ("autograd", "jax")}
ONLY_JAX = {"autograd": "autograd lacks it"}
ONLY_AUTOGRAD = {"jax": "jax lacks it"}


def unary(name, domain=ANY, **rest):
    return Row(f"special.{name}", calls.elementwise(domain), **rest)


def binary(name, x=SIZE, y=SIZE, **rest):
    return Row(f"special.{name}", calls.elementwise(x, y), **rest)


def of_order(name, domain, *orders, **rest):
    """Constants in front of the argument that moves, of its dtype: SciPy's functions do not all take them as weak."""
    given = st.tuples(st.sampled_from(orders or [(0,), (1,), (3,)]), calls.elementwise(domain))
    return Row(
        f"special.{name}", given.map(lambda drawn: calls.Call(drawn[1].args, {"orders": drawn[0]})),
        use=lambda function, x, orders: function(*[np.asarray(n, x.dtype) for n in orders], x), **rest,
    )  # fmt: skip


def normal_share(x):
    return np.asarray(0.5 * x * special.erfc(-x / np.sqrt(2)), x.dtype)


def of_tanh(x):
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), x.dtype)


ROWS = [
    unary("erf"),
    unary("erfc"),
    unary("erfcx", unlike=LACKING),
    unary("erfinv", (-0.8, 0.8, ())),
    unary("erfcinv", (0.2, 1.8, ()), unlike=ONLY_AUTOGRAD),
    unary("ndtr", unlike=ONLY_JAX),
    unary("ndtri", SHARE, unlike=ONLY_JAX),
    unary("log_ndtr", (-6.0, 2.0, ()), unlike=ONLY_JAX),
    unary("digamma", SIZE),
    unary("gammaln", SIZE),
    unary("loggamma", SIZE, unlike=LACKING),
    unary("gamma", SIZE),
    unary("entr", SIZE, unlike=ONLY_JAX),
    unary("expit"),
    unary("logit", SHARE),
    unary("log_expit", unlike=LACKING),
    unary("expm1", unlike=LACKING),
    unary("log1p", (-0.7, 3.0, ()), unlike=LACKING),
    unary("exp2", unlike=LACKING),
    unary("exp10", unlike=LACKING),
    unary("cosm1", unlike=LACKING),
    unary("exp1", SIZE, unlike=ONLY_JAX),
    unary("expi", SIZE, unlike=ONLY_JAX),
    unary("i0"),
    unary("i1"),
    unary("i0e", (-2.0, 2.0, (0.0,)), unlike=ONLY_JAX),
    unary("i1e", (-2.0, 2.0, (0.0,)), unlike=ONLY_JAX),
    unary("j0", (0.3, 3.0, ()), unlike=ONLY_AUTOGRAD),
    unary("j1", (0.3, 3.0, ()), unlike=ONLY_AUTOGRAD),
    unary("y0", (0.8, 3.0, ()), unlike=ONLY_AUTOGRAD),
    unary("y1", (0.8, 3.0, ()), unlike=ONLY_AUTOGRAD),
    binary("beta"),
    binary("betaln"),
    binary("xlogy", ANY, unlike=ONLY_JAX),
    binary("xlog1py", ANY, (-0.7, 3.0, ()), unlike=ONLY_JAX),
    binary("rel_entr", unlike=ONLY_JAX),
    binary("kl_div", unlike=ONLY_JAX),
    of_order("iv", (0.3, 3.0, ()), unlike=ONLY_AUTOGRAD),
    of_order("ive", (0.3, 3.0, ()), unlike=ONLY_AUTOGRAD),
    of_order("jv", (0.3, 3.0, ()), unlike=LACKING),
    of_order("jn", (0.3, 3.0, ()), unlike=ONLY_AUTOGRAD),
    of_order("yv", (0.8, 3.0, ()), unlike=LACKING),
    of_order("yn", (0.8, 3.0, ()), unlike=ONLY_AUTOGRAD),
    of_order("zeta", SIZE, (2,), (4,), unlike={**ONLY_JAX, "jax": "jax has no derivative by the second argument"}),
    of_order("gammainc", SIZE, (1.0,), (2.5,)),
    of_order("gammaincc", SIZE, (1.0,), (2.5,)),
    of_order("betainc", SHARE, (1.0, 2.5), (3.0, 0.5)),
    Row("tg.erf", calls.elementwise(ANY), like=special.erf, unlike=LACKING),
    Row("tg.gelu", calls.elementwise(ANY), "exact", like=normal_share, unlike=ONLY_JAX,
        spelled={"jax": lambda x: import_module("jax").nn.gelu(x, approximate=False)}),
    Row("tg.gelu", calls.elementwise(ANY), "of tanh", use=lambda function, x: function(x, True), unlike=ONLY_JAX,
        like=lambda x, approximate: of_tanh(x), spelled={"jax": lambda x, a: import_module("jax").nn.gelu(x)}),
]  # fmt: skip
