"""Products, norms, differences, integrals, interpolation, and grids between traced ends."""

import numpy as np

from tests.surface.drawing import axes, choosing, chosen, fixed, with_options
from tests.surface.rows import Row

NO_RULE = {"autograd": "has no rule for it"}


def rows(name, *pairs, **rest):
    """One row for arguments of several pairs of shapes."""
    return Row(name, chosen(*[fixed(*pair) for pair in pairs]), **rest)


MATRICES = [
    rows("matmul", ((2, 3), (3, 4)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)), ((4, 2, 3), (3, 2)),
         ((2, 1, 2, 3), (3, 3, 2)), single=1e-2),
    rows("dot", ((2, 3), (3, 4)), ((), (2, 3)), ((3,), (3,)), ((2, 3), (3,)), ((2, 4, 3), (2, 3, 2)), single=1e-2),
    rows("inner", ((2, 3), (4, 3)), ((3,), (3,)), ((2, 3), ()), ((2, 2, 3), (2, 3)), single=1e-2),
    rows("outer", ((2,), (3,)), ((2, 2), (3,)), unlike={"autograd": "takes vectors"}),
    rows("outer", ((2,), (3,)), variant="of vectors", use=lambda f, x, y: f(x, y)),
    rows("vdot", ((3,), (3,)), ((2, 3), (2, 3)), unlike=NO_RULE, single=1e-2),
    *[rows(name, *pairs, unlike=NO_RULE, single=1e-2) for name, pairs in (
        ("matvec", (((2, 3), (3,)), ((2, 3), (4, 3)))), ("vecmat", (((2,), (2, 3)), ((4, 2), (2, 3)))))],
    Row("tensordot", fixed((2, 3, 4), (4, 3, 2)), single=1e-2,
        use=lambda f, x, y: (f(x, y, 1), f(x, y, ((0, 2), (2, 0))), f(x, y, ([1], [1])))),
    Row("tensordot", fixed((2, 3), (2,)), "without a sum", use=lambda f, x, y: f(x, y, 0)),
    Row("einsum", fixed((2, 3), (4, 3)), use=lambda f, x, y: (
        f("ij,kj->ik", x, y), f("ij,kl->j", x, y), f("ij->ji", x), f("ij,kj", x, y)), single=1e-2),
    Row("einsum", fixed((2, 3), (3, 4), (4, 2)), "of three", use=lambda f, x, y, z: f("ij,jk,kl->il", x, y, z),
        single=1e-2),
    Row("einsum", fixed((2, 3, 3), (3,)), "with dots and diagonals", single=1e-2,
        use=lambda f, x, y: (f("...j,j->...", x, y), f("aii->ai", x)),
        unlike={"autograd": "has no rule for diagonals"}),
    rows("kron", ((2, 3), (3, 2)), ((2,), (3,)), ((2, 2), (3,)), ((2,), (2, 1, 2)),
         unlike={"autograd": "asks for as many axes"}),
    rows("kron", ((2, 3), (3, 2)), variant="of matrices"),
    rows("cross", ((3,), (3,)), ((2, 3), (2, 3))),
    Row("cross", fixed((3, 2), (2, 3)), "along other axes", use=lambda f, x, y: f(x, y, 0, 1, 0), unlike={
        "autograd": "has no rule for different axes"}),
    Row("bincount", fixed((4,)), use=lambda f, x: f(np.array([0, 2, 0, 3]), x, minlength=6),
        unlike=NO_RULE),
    Row("cov", fixed((2, 4)), "of matrices", unlike=NO_RULE, single=1e-2),
]  # fmt: skip

ORDERS = [None, 1, 2, 3, 1.5, np.inf, -np.inf, -1, -2.5]
NORMS = [
    Row("linalg.norm", with_options(choosing(keepdims=[..., True]), dims=0, least=1)),
    Row("linalg.norm", with_options(choosing(ord=ORDERS, axis=axes, keepdims=[False, True]), least=1, apart_=True,
                                    low=0.3), "of vectors", single=1e-2,
        unlike={"autograd": "has rules for None, 2, 'fro' and 'nuc', and others where both are given"}),
    Row("linalg.norm", fixed((3, 4), away_from=(0.0,)), "of both signs", unlike={"autograd": "has no rule for 1"},
        use=lambda f, x: (f(x, 1, 0), f(x, 3, 1), f(x, np.inf, -1), f(x, 0, 1)), single=1e-2),
    Row("linalg.norm", with_options(choosing(ord=[None, "fro", 1, -1, np.inf, -np.inf], axis=[(0, 1), (-1, 0), (2, 1)],
                                             keepdims=[False, True]), dims=3, least=1, apart_=True, low=0.3),
        "of matrices", unlike={"autograd": "has rules for None, 'fro' and 'nuc'"}),
]  # fmt: skip

X = np.array([-1.5, -0.4, 0.3, 1.2])
DIFFERENCES = [
    Row("diff", with_options(choosing(axis=axes, n=[1, 2, 0]), least=1),
        unlike={"autograd": "fails where none is left"}),
    Row("diff", fixed((3, 4)), "of two axes", use=lambda f, x: (f(x), f(x, 2), f(x, 1, 0))),
    Row("diff", fixed((3, 4), (3, 1)), "with ends", use=lambda f, x, y: f(x, prepend=0.5, append=y),
        unlike={"autograd": "has no rule for ends"}),
    Row("ediff1d", fixed((2, 3)), use=lambda f, x: (f(x), f(x, to_end=[1.0, 2.0], to_begin=0.5)), unlike=NO_RULE,
        spelled={"jax": lambda x, **ends: __import__("jax").numpy.ediff1d(x, **{
            k: np.asarray(v) for k, v in ends.items()})}),
    Row("gradient", with_options(choosing(axis=lambda shape: [None, *axes(shape)], edge_order=[1, 2]), least=3),
        unlike={"autograd": "has no rule for edge_order", "jax": "has no rule for edge_order"}),
    Row("gradient", fixed((5, 6)), "of each axis", use=lambda f, x: (f(x, axis=0), f(x, axis=1))),
    Row("gradient", fixed((4, 5)), "on grids", use=lambda f, x: f(x, X, 0.5, edge_order=2),
        unlike={"autograd": "has no rule for spacings", "jax": "has no rule for grids"}),
    Row("gradient", fixed((4, 5)), "on a grid", use=lambda f, x: f(x, X, axis=0),
        unlike={"autograd": "has no rule for spacings", "jax": "has no rule for grids"}),
    Row("trapezoid", with_options(choosing(axis=axes, dx=[1.0, 0.5])), unlike=NO_RULE, single=1e-2),
    Row("trapezoid", fixed((2, 4), (4,)), "on a grid", unlike=NO_RULE, single=1e-2),
    Row("trapezoid", fixed((4, 2), (4, 2)), "on grids", use=lambda f, y, x: f(y, x, axis=0), unlike=NO_RULE,
        single=1e-2),
    Row("interp", fixed((2, 3), (4,)), use=lambda f, x, fp: f(x, X, fp), mixed=False, single=1e-2,
        unlike={"autograd": "has no rule for it"}),
    Row("interp", fixed((2, 3), (4,)), "beyond the ends", use=lambda f, x, fp: f(x, X, fp, left=5.0, right=-3.0),
        mixed=False, single=1e-2, unlike={"autograd": "has no rule for it"}),
]  # fmt: skip

GRIDS = [
    Row("linspace", fixed((), ()), use=lambda f, x, y: (f(x, y, 4), f(x, y, 3, False), f(x, y, 1)),
        unlike={"autograd": "takes num by position alone"}),
    Row("linspace", fixed((), ()), "of numbers", use=lambda f, x, y: f(x, y, 5)),
    Row("linspace", fixed((2, 3), (3,)), "of arrays", use=lambda f, x, y: f(x, y, 4, axis=-1),
        unlike={"autograd": "takes numbers"}),
    Row("logspace", fixed((), ()), use=lambda f, x, y: f(x, y, 4, base=2.0), unlike=NO_RULE, single=1e-2),
    Row("geomspace", fixed((), (), low=0.3), use=lambda f, x, y: f(x, y, 4), unlike=NO_RULE, single=1e-2),
    Row("polyval", fixed((3,), (2, 3)), unlike=NO_RULE, single=1e-2),
    Row("vander", fixed((3,)), use=lambda f, x: (f(x), f(x, 4, increasing=True), f(x, 1)), unlike=NO_RULE, single=1e-2),
]  # fmt: skip

ROWS = [*MATRICES, *NORMS, *DIFFERENCES, *GRIDS]
