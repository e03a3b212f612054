"""Large singular values do not make a product large: an example with exact numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sympy import ImmutableMatrix, Rational, eye, sqrt


def triangular() -> Any:
    """A triangular matrix with a large singular value and small eigenvalues."""
    return ImmutableMatrix([[Rational(1, 2), 4], [0, Rational(1, 2)]])


@dataclass(frozen=True)
class Counterexample:
    """The linear recurrence h_t = W h_{t-1} with sigma_max(W) > 1, the gradient of which vanishes all the same.

    Its step Jacobian is W at all times, so gamma_step = sigma_max(W) > 1; the product of t - k of them is a power of W,
    and goes to zero since all eigenvalues are smaller than 1. At h = 0 and without input the same matrix is the step
    Jacobian of ``tanh(W h + U x)``.

    Attributes
    ----------
    W : SymPy matrix

    Examples
    --------
    >>> example = Counterexample()
    >>> bool(example.sigma_max > 4), example.spectral_radius
    (True, 1/2)
    >>> [f"{float(example.product_norm(n)):.2g}" for n in (1, 10, 40)]
    ['4.1', '0.078', '2.9e-10']
    """

    W: Any = field(default_factory=triangular)

    @property
    def sigma_max(self) -> Any:
        """The largest singular value: gamma_step."""
        return self.product_norm(1)

    @property
    def spectral_radius(self) -> Any:
        """The largest absolute value of an eigenvalue."""
        return max(abs(value) for value in self.W.eigenvals())

    def product_norm(self, steps: int) -> Any:
        """The largest singular value of the product of this many step Jacobians."""
        power = eye(2)
        for _ in range(steps):
            power = self.W * power
        a, determinant = sum(entry**2 for entry in power), power.det()
        return sqrt((a + sqrt(a**2 - 4 * determinant**2)) / 2)  # of a 2 x 2 matrix
