"""numpy.linalg.

Where a decomposition leaves signs open, or libraries choose them differently, what is looked at does not depend on
them. Matrices whose one triangle alone is read are made symmetric first: the libraries share a gradient between the
triangles in different ways, and agree again behind that.
"""

import numpy as np
from hypothesis import strategies as st

from tapegrad.testing.strategies import random_array
from tests.strategies import linalg
from tests.strategies.calls import GENERATORS, Call
from tests.strategies.linalg import LEADS, apart, changed, definite, stacks
from tests.surface.rows import Row

LACKS = {"autograd": "has no function of that name"}
ONE = st.just(())
FEW = st.sampled_from([(), (2,)])  # few shapes, since JAX compiles for each; the primitives' rows have the others
NOT_HERE = "is compared by a row without signs"
SIGNS = {"autograd": NOT_HERE, "jax": NOT_HERE}


def few(square=True, lead=FEW, **choices):
    """Stacks of a few shapes."""
    return stacks(square, lead, st.sampled_from([(3, 3)] if square else [(2, 3), (3, 2)]), **choices)


def on(base, then=None):
    """The function of ``base`` with the drawn change, and ``then`` of its result."""

    def use(function, x, *more, **options):
        made = function(changed(base, x), *more, **options)
        return made if then is None else then(made)

    return use


def of_symmetric(then=None):
    """The function of a symmetric matrix."""

    def use(function, x, **options):
        a = changed(definite, x)
        made = function(0.5 * (a + a.swapaxes(-1, -2)), **options)
        return made if then is None else then(made)

    return use


def swap(x):
    return x.swapaxes(-1, -2)


def reciprocal_of(made):
    """A function of a symmetric matrix by its eigenvalues: its inverse square root."""
    w, v = made
    return (v * w[..., None, :] ** -0.5) @ swap(v)


def projection(made):
    """That on the eigenvectors of all but the largest eigenvalue."""
    v = made[1][..., :-1]
    return v @ swap(v)


def polar(made):
    """The orthogonal factor of a = Q S."""
    u, _, vh = made
    return u @ vh


def rebuilt(made):
    """The singular values, and a matrix with other ones."""
    u, s, vh = made
    return s, (u * s[..., None, :] ** 2) @ vh


def gram(made):
    """What of Q and R has no signs: the projection, and the product."""
    q, r = made
    return q @ swap(q), q @ r, swap(r) @ r


@st.composite
def right_sides(draw, lead, sides):
    """Matrices in stacks of the shape ``lead``, with right sides of one of some shapes behind n."""
    n, rng = draw(st.sampled_from([3, 2])), draw(GENERATORS)
    b = draw(st.sampled_from(sides))
    a = random_array(rng, (*lead, n, n), low=-0.25, high=0.25)
    return Call((a, random_array(rng, tuple([n if k is None else k for k in b]))))


@st.composite
def vectors(draw, sides, lead=LEADS, **options):
    """Two stacks of vectors."""
    n, shape, rng = draw(sides), draw(lead), draw(GENERATORS)
    return Call(tuple([random_array(rng, (*shape, n)) for _ in range(2)]), options)


@st.composite
def chains(draw):
    """Matrices that can be multiplied; the first and the last may be vectors."""
    rng, count = draw(GENERATORS), draw(st.sampled_from([2, 3, 4, 5]))
    sizes = [int(n) for n in rng.integers(1, 4, count + 1)]
    arrays = [random_array(rng, pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    if draw(st.booleans()):
        arrays[0] = arrays[0][0]
    if draw(st.booleans()):
        arrays[-1] = arrays[-1][:, 0]
    return Call((arrays,))


@st.composite
def tensors(draw):
    """A tensor that is a square matrix when its axes are taken together, and a right side."""
    rng = draw(GENERATORS)
    rows, columns = draw(st.sampled_from([((2, 3), (6,)), ((4,), (2, 2)), ((3, 2), (2, 3)), ((2,), (2,))]))
    a = 3.0 * np.eye(int(np.prod(rows))) + random_array(rng, (int(np.prod(rows)),) * 2, low=-0.25, high=0.25)
    return a.reshape(rows + columns), random_array(rng, rows)


SQUARE = few()
TRIANGLE = st.sampled_from(["L", "U"])

EQUATIONS = [
    Row("linalg.solve", right_sides((2,), [(2, None, 2)]), use=on(apart)),
    Row("linalg.solve", right_sides((), [(None,)]), variant="of a vector", use=on(apart)),
    Row("linalg.solve", right_sides((2,), [(None, 2), (None,), (2, 1, None, 1)]), variant="broadcast", use=on(apart),
        unlike={"autograd": "does not sum over the axes along which a right side was broadcast"}),
    Row("linalg.inv", few(), use=on(apart)),
    Row("linalg.pinv", few(square=False), use=on(apart)),
    Row("linalg.lstsq", few(square=False, lead=ONE), use=lambda f, x: f(
        changed(apart, x), np.linspace(0.5, 1.5, x.shape[0]), rcond=None)[0], unlike=LACKS),
    Row("linalg.tensorsolve", tensors().map(lambda drawn: Call(drawn)), unlike=LACKS),
    Row("linalg.tensorinv", tensors().map(lambda drawn: Call((drawn[0],), {"ind": drawn[1].ndim})), unlike=LACKS),
]  # fmt: skip

DECOMPOSITIONS = [
    Row("linalg.det", few(), use=on(apart)),
    Row("linalg.slogdet", few(), use=on(apart, lambda made: (made[0], made[1]))),
    Row("linalg.cholesky", few(), use=of_symmetric()),
    Row("linalg.cholesky", few(upper=st.just(True)), variant="upper", use=of_symmetric(), unlike=LACKS),
    Row("linalg.eigvalsh", few(UPLO=TRIANGLE), use=of_symmetric(), unlike=LACKS),
    Row("linalg.eigh", few(UPLO=TRIANGLE), use=of_symmetric(reciprocal_of)),
    Row("linalg.eigh", few(), variant="projection", use=of_symmetric(projection)),
    Row("linalg.eigh", few(), variant="signs", use=of_symmetric(linalg.fixed_vectors), unlike=SIGNS),
    Row("linalg.svd", SQUARE, variant="polar", use=on(apart, polar),
        unlike={"autograd": "has no gradient of it with full_matrices=True, which is NumPy's default"}),
    Row("linalg.svd", few(square=False, full_matrices=st.just(False)), use=on(apart, rebuilt)),
    Row("linalg.svd", few(square=False, full_matrices=st.just(False)), variant="signs",
        use=on(apart, linalg.fixed_factors), unlike=SIGNS),
    Row("linalg.svd", few(square=False, compute_uv=st.just(False)), variant="values", use=on(apart)),
    Row("linalg.svdvals", few(square=False), use=on(apart), unlike=LACKS),
    Row("linalg.qr", few(square=False), use=on(apart, gram), unlike=LACKS),
    Row("linalg.qr", few(square=False), variant="signs", use=on(apart, linalg.positive_diagonal), unlike=SIGNS),
    Row("linalg.qr", SQUARE.map(lambda c: Call(c.args, {"mode": "complete"})), variant="complete",
        use=on(apart, linalg.positive_diagonal), unlike=SIGNS),
    Row("linalg.qr", few(square=False, mode=st.just("r")), variant="r", use=on(apart, abs), unlike=LACKS),
]  # fmt: skip

OF_VALUES = [
    *[Row("linalg.norm", few(square=False, ord=st.just(ord), axis=st.just((-2, -1)),
                            keepdims=st.booleans()), variant=str(ord), use=on(apart),
          unlike={"autograd": "knows no norm of singular values but 'nuc', and that not of stacks"})
      for ord in (2, -2, "nuc")],
    Row("linalg.matrix_norm", few(square=False, ord=st.sampled_from([2, "nuc", "fro"])), use=on(apart),
        unlike=LACKS),
    Row("linalg.cond", few(square=False, p=st.sampled_from([None, 2, -2])), use=on(apart), unlike=LACKS),
    Row("linalg.matrix_rank", few(square=False), use=on(apart), order=0, unlike=LACKS),
]  # fmt: skip

PRODUCTS = [
    Row("linalg.matrix_power", few(n=st.sampled_from([2, 3, -2, 1, 7, -1, 0])), use=lambda f, x, n: f(
        changed(apart, x) / 8.0, n), unlike=LACKS),
    Row("linalg.multi_dot", chains(), unlike=LACKS),
    Row("linalg.matrix_transpose", few(square=False), unlike=LACKS),
    Row("matrix_transpose", few(square=False), unlike=LACKS),
    Row("linalg.vecdot", vectors(st.sampled_from([3, 2, 1, 0]), axis=-1), unlike=LACKS),
    Row("vecdot", vectors(st.sampled_from([3, 2, 1])), unlike=LACKS),
    Row("linalg.vector_norm", vectors(st.sampled_from([3, 2]), lead=st.just((2,))).map(lambda c: Call(
        c.args[:1], {"axis": (-2, -1), "keepdims": True})), unlike=LACKS),
    Row("linalg.outer", vectors(st.sampled_from([3, 2, 1]), lead=ONE), unlike=LACKS),
    Row("linalg.cross", vectors(st.just(3), axis=-1), unlike=LACKS),
    Row("linalg.diagonal", few(square=False, offset=st.sampled_from([0, 1, -1])), unlike=LACKS),
    Row("linalg.trace", few(square=False, offset=st.sampled_from([0, 1, -1])), unlike=LACKS),
    Row("linalg.matmul", few(), use=lambda f, x: f(x, x + 1.0), unlike=LACKS),
    Row("linalg.tensordot", few(lead=ONE), use=lambda f, x: f(x, x + 1.0, axes=1), unlike=LACKS),
]  # fmt: skip

ROWS = [*EQUATIONS, *DECOMPOSITIONS, *OF_VALUES, *PRODUCTS]
