"""Stacks of matrices for linear algebra: small changes of fixed matrices, which keep what a function needs.

What is drawn is the change, with elements of at most 0.25. However it is rearranged (as the test of ``vmap`` does), the
sum stays well conditioned, positive definite, or keeps its spectrum apart. No fixed matrix is symmetric.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tapegrad.testing.strategies import random_array
from tests.strategies.calls import GENERATORS, Call

SIDES = st.sampled_from([3, 2, 3, 2, 1, 0])
SHAPES = st.sampled_from([(3, 4), (3, 2), (2, 2), (2, 3), (4, 3), (3, 3), (1, 3), (3, 1), (1, 1), (0, 2), (2, 0)])
LEADS = st.sampled_from([(), (2,), (), (2,), (1, 2), (0,)])


@st.composite
def stacks(draw: Any, square: bool = True, lead: Any = LEADS, sides: Any = None, **choices: Any) -> Call:
    """A stack of small matrices, of ``sides`` rows and columns; ``choices`` are strategies for options."""
    every = SIDES.map(lambda n: (n, n)) if square else SHAPES
    shape = draw(every if sides is None else sides)
    change = random_array(draw(GENERATORS), (*draw(lead), *shape), low=-0.25, high=0.25)
    return Call((change,), {name: draw(choice) for name, choice in choices.items()})


@st.composite
def equations(draw: Any) -> Call:
    """A stack of matrices, and right sides whose leading axes broadcast with theirs."""
    n, columns, rng = draw(SIDES), draw(st.sampled_from([2, 1, 3, 0])), draw(GENERATORS)
    of_matrices, of_sides = draw(
        st.sampled_from([((), ()), ((2,), (2,)), ((2,), ()), ((), (2,)), ((2, 1), (3,)), ((1,), (2,)), ((1, 2), ()),
                         ((0,), ())])
    )  # fmt: skip
    a = random_array(rng, (*of_matrices, n, n), low=-0.25, high=0.25)
    return Call((a, random_array(rng, (*of_sides, n, columns))))


@cache
def _turns(m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    return np.linalg.qr(rng.standard_normal((m, m)))[0], np.linalg.qr(rng.standard_normal((n, n)))[0]


@cache
def apart(m: int, n: int) -> np.ndarray:
    """A matrix whose singular values are 4, 8, 12, ...; with a change they stay 2 apart."""
    left, right = _turns(m, n)
    values = np.zeros((m, n))
    np.fill_diagonal(values, 4.0 * np.arange(1, min(m, n) + 1))
    return left @ values @ right


@cache
def definite(n: int, _: int = 0) -> np.ndarray:
    """A matrix each of whose triangles is that of a positive definite one, with eigenvalues apart."""
    left, _ = _turns(n, n)
    whole = left @ np.diag(4.0 * np.arange(1, n + 1)) @ left.T
    return np.tril(whole) + 0.5 * np.triu(whole, 1)


def changed(base: Any, x: Any) -> Any:
    """``base`` for the shape of ``x``, and ``x`` added to it."""
    return x + base(*x.shape[-2:]).astype(x.dtype)


# ---- the signs that decompositions leave open ----
def fixed_vectors(made: Any) -> Any:
    """Eigenvectors with the signs of those of ``definite``, of which both triangles have nearly the same."""
    w, v = made
    known = np.linalg.eigh(definite(v.shape[-1]))[1]
    return w, v * _signs(v, known)[..., None, :]


def fixed_factors(made: Any) -> Any:
    """Singular vectors with the signs of those of ``apart``."""
    u, s, vh = made
    known = np.linalg.svd(apart(u.shape[-2], vh.shape[-1]), full_matrices=False)[0]
    signs = _signs(u, known)
    return u * signs[..., None, :], s, vh * signs[..., :, None]


def positive_diagonal(made: Any) -> Any:
    """Q and R, where the diagonal of R is positive."""
    q, r = made
    signs = np.sign(np.einsum("...ii->...i", r[..., : q.shape[-1]]))
    return q * signs[..., None, :], r * signs[..., :, None]


def _signs(v: Any, known: np.ndarray) -> Any:
    return np.sign(np.sum(v * known.astype(v.dtype), axis=-2))
