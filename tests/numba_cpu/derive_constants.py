"""Derives ``backends/numba_cpu/constants.py``: prints the tables that stand there.

Each polynomial is the one of least largest error on its interval, found by the exchange algorithm of Remez in 60
digits. The error is weighted so that it is the relative error of the function that is computed from the polynomial.
The leading terms of each function are exact and not fitted; the rest is rounded to the dtype.
"""

import textwrap
from collections.abc import Callable

import mpmath
from mpmath import mp, mpf

mp.dps = 60


def series(f: Callable, order: int, last: int) -> list:
    """The Taylor coefficients ``order, order + 1, ... last`` of f at 0."""
    return mpmath.taylor(f, 0, last)[order:]


def tail(f: Callable, lead: Callable, power: int, step: int) -> Callable:
    """(f(x) - lead(x)) / x ** power as a function of x ** step, by its series where the difference cancels."""
    near = series(f, power, power + 24)[::step]

    def function(z):
        if abs(z) < mpf(10) ** (-3 * step):
            return mpmath.polyval(near[::-1], z)
        x = z ** (mpf(1) / step)
        return (f(x) - lead(x)) / x**power

    return function


# name: (function, interval, weight that makes its error a relative one, degree in float32, in float64)
HALF = mpmath.log(2) / 2 * mpf("1.0001")  # the rounding of x / log 2 may go either way near a half
DIAGONAL = mpmath.sqrt(2) - 1
RATIO = DIAGONAL**2  # (m - 1) / (m + 1) for m = sqrt 2
ERROR_SPLIT = mpf(3) / 4


def scaled_complement(t: mpf) -> mpf:
    """(1 + 2 x) exp(x^2) erfc(x), where t = (x - 3) / (x + 3)."""
    x = 3 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mpmath.exp(x * x) * mpmath.erfc(x)


FITS = {
    "EXPONENTIAL": (
        tail(mpmath.exp, lambda r: 1 + r, 2, 1), (-HALF, HALF), lambda r: max(abs(r), HALF / 50) / 2, 4, 9
    ),
    "LOGARITHM": (
        tail(lambda s: 2 * mpmath.atanh(s), lambda s: 2 * s, 3, 2), (mpf(0), RATIO**2), lambda z: z / 2, 2, 6
    ),
    "LOGARITHM_TAIL": (
        tail(lambda s: 2 * mpmath.atanh(s), lambda s: 2 * s + 2 * s**3 / 3, 5, 2),
        (mpf(0), RATIO**2), lambda z: z**2 / 2, 3, 7,
    ),
    "SINE": (tail(mpmath.sin, lambda r: r, 3, 2), (mpf(0), (mpmath.pi / 4) ** 2), lambda z: z, 2, 5),
    "COSINE": (
        tail(mpmath.cos, lambda r: 1 - r**2 / 2, 4, 2), (mpf(0), (mpmath.pi / 4) ** 2), lambda z: z**2, 2, 5
    ),
    "ARCTANGENT": (tail(mpmath.atan, lambda t: t, 3, 2), (mpf(0), DIAGONAL**2), lambda z: z, 4, 10),
    "ARCSINE": (tail(mpmath.asin, lambda t: t, 3, 2), (mpf(0), mpf(1) / 4), lambda z: z, 4, 11),
    "ERROR_NEAR": (
        lambda z: (mpmath.erf(mpmath.sqrt(z)) / mpmath.sqrt(z) if z else 2 / mpmath.sqrt(mpmath.pi)) - 1,
        (mpf(0), ERROR_SPLIT**2), lambda z: mpf(1), 5, 10,
    ),
    "ERROR_FAR": (
        scaled_complement, tuple((x - 3) / (x + 3) for x in (ERROR_SPLIT, mpf(27))),
        lambda t: 1 / scaled_complement(t), 9, 20,
    ),
}  # fmt: skip


def remez(f: Callable, interval: tuple, weight: Callable, degree: int, rounds: int = 6) -> tuple[list, mpf]:
    """Coefficients, lowest first, and the largest weighted error."""
    low, high = interval
    count = degree + 2
    middle, half = (low + high) / 2, (high - low) / 2
    nodes = [middle - half * mpmath.cos(mpmath.pi * (k + mpf(1) / 2) / count) for k in range(count)]
    grid = [middle - half * mpmath.cos(mpmath.pi * (k + mpf(1) / 2) / 400) for k in range(400)]
    targets, weights = [f(x) for x in grid], [weight(x) for x in grid]
    for _ in range(rounds):
        rows = [[x**k for k in range(degree + 1)] + [(-1) ** i / (weight(x) or mpf("1e-30"))]
                for i, x in enumerate(nodes)]  # fmt: skip
        solution = mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix([f(x) for x in nodes]))
        coefficients = [solution[k] for k in range(degree + 1)]
        errors = [w * (mpmath.polyval(coefficients[::-1], x) - y)
                  for x, y, w in zip(grid, targets, weights, strict=True)]  # fmt: skip
        nodes = exchanged(grid, errors, count)
    return coefficients, max(abs(error) for error in errors)


def exchanged(grid: list, errors: list, count: int) -> list:
    """The points of largest error between changes of its sign, the best run of ``count`` of them."""
    peaks: list[int] = []
    for i, error in enumerate(errors):
        if peaks and errors[peaks[-1]] * error > 0:
            if abs(error) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    while len(peaks) > count:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    if len(peaks) < count:
        raise ValueError("the error changes sign too rarely: the degree is too high for the digits")
    return [grid[i] for i in peaks]


def parts(number: mpf, bits: int, count: int) -> list[str]:
    """Numbers of the dtype whose sum is ``number``, each the nearest to what is left; as many digits as they need."""
    found = []
    for _ in range(count):
        with mpmath.workprec(24 if bits == 32 else 53):
            nearest = +number
        found.append(mpmath.nstr(nearest, 9 if bits == 32 else 17))
        number -= nearest
    return found


def short(number: mpf, bits: int, after_point: int) -> list[str]:
    """A number of so few bits that its product with an exponent is exact, and the rest."""
    leading = mpmath.floor(number * 2**after_point) / mpf(2) ** after_point
    return [mpmath.nstr(leading, 17), *parts(number - leading, bits, 1)]


def row(bits: int, numbers: list[str], remark: str = "") -> str:
    line = f"    {bits}: ({', '.join(numbers)}),{remark}"
    if len(line) <= 120:
        return line
    inside = textwrap.wrap(", ".join(numbers) + ",", 110, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join([f"    {bits}: ({remark}", *inside, "    ),"])


def main() -> None:
    third = mpf(2) / 3
    for name, number, count in (("LN2", mpmath.log(2), 2), ("HALF_PI", mpmath.pi / 2, 3), ("TWO_THIRDS", third, 2)):
        print(f"{name} = {{", *(row(bits, parts(number, bits, count)) for bits in (32, 64)), "}", sep="\n")
    rows = [row(bits, short(mpmath.log(2), bits, after)) for bits, after in ((32, 16), (64, 42))]
    print("LN2_SHORT = {", *rows, "}", sep="\n")
    for name, (f, interval, weight, degree32, degree64) in FITS.items():
        print(f"{name} = {{")
        for bits, degree in ((32, degree32), (64, degree64)):
            coefficients, error = remez(f, interval, weight, degree)
            numbers = [part for c in coefficients for part in parts(c, bits, 1)]
            print(row(bits, numbers, f"  # 2 ** {float(mpmath.log(error, 2)):.1f}"))
        print("}")


if __name__ == "__main__":
    main()
