"""Derivations of steps with linear algebra: printed as named functions, and right."""

import numpy as np
import pytest

from tapegrad.cells import Cell, Parameter, State
from tapegrad.symbolic import derive
from tapegrad.testing import check_cell


class Recurrence(Cell):
    """h_t = tanh(x_t U + h_{t-1} W), where W is made of A in the way ``kind`` says."""

    input_size: int
    kind: str

    def parameters(self):
        return {"U": Parameter((self.input_size, 3)), "A": Parameter((3, 3))}

    def state(self):
        return State((3,))

    def step(self, params, state, x):
        h = np.tanh(x @ params["U"] + state @ MADE[self.kind](params["A"]))
        return h, h


def cayley(a):
    skew = a - a.T
    return np.linalg.solve(np.eye(3) + skew, np.eye(3) - skew)


def exponential(a):
    w, v = np.linalg.eigh(a + a.T, UPLO="U")
    return (v * np.exp(w)) @ v.T


def polar(a):
    u, _, vh = np.linalg.svd(a)
    return u @ vh


MADE = {
    "solve": cayley,
    "inverse": lambda a: np.linalg.inv(np.eye(3) + a @ a.T),
    "eigh": exponential,
    "svd": polar,
    "qr": lambda a: np.linalg.qr(a).Q,
    "cholesky": lambda a: np.linalg.cholesky(np.eye(3) + a @ a.T),
    "det": lambda a: a * np.linalg.det(a),
    "slogdet": lambda a: a * np.linalg.slogdet(a).logabsdet,
    "pinv": np.linalg.pinv,
}
PRINTED = {
    "solve": "solve(C_1 + A - Aᵀ, C_1 + Aᵀ - A)ᵀ h_{t-1}",
    "inverse": "solve(C_1 + A Aᵀ, C_1)",
    "eigh": "eigh{eigenvectors, upper}(A + Aᵀ)",
    "svd": "svd{Vh}(A)ᵀ svd{U}(A)ᵀ h_{t-1}",
    "qr": "qr{Q}(A)ᵀ h_{t-1}",
    "cholesky": "cholesky(C_1 + A Aᵀ)ᵀ h_{t-1}",
    "det": "det(A) (Aᵀ h_{t-1})",
    "slogdet": "slogdet{logabsdet}(A) (Aᵀ h_{t-1})",
    "pinv": "pinv(A)ᵀ h_{t-1}",
}


@pytest.mark.parametrize("kind", MADE)
def test_the_printed_equations_name_the_function_and_its_result(kind):
    derivation = derive(Recurrence(2, kind))
    assert PRINTED[kind] in derivation.text()
    assert derivation.latex()


@pytest.mark.parametrize("kind", MADE)
def test_they_evaluate_to_what_the_tape_gives(kind):
    check_cell(Recurrence(2, kind), oracles=("tape", "sympy", "differences"))
