"""The vectorised functions, by the names of the primitives that they compute.

Each takes vectors of float32 or float64 (see ``vectors.py``), with numbers beside them where it has two arguments; its
docstring states the largest error.
"""

from .circular import arccos, arcsin, arctan, arctan2, cos, sin, tan
from .division import floor_divide, hypot, maximum, minimum, remainder, sign
from .error_function import erf, erfc
from .exponentials import exp, expm1, log, log1p, logaddexp, power, sigmoid, softplus, tanh
from .hyperbolic import arccosh, arcsinh, arctanh, cosh, sinh

FUNCTIONS = {
    "arccos": arccos,
    "arccosh": arccosh,
    "arcsin": arcsin,
    "arcsinh": arcsinh,
    "arctan": arctan,
    "arctan2": arctan2,
    "arctanh": arctanh,
    "cos": cos,
    "cosh": cosh,
    "erf": erf,
    "erfc": erfc,
    "exp": exp,
    "expm1": expm1,
    "floor_divide": floor_divide,
    "hypot": hypot,
    "log": log,
    "log1p": log1p,
    "logaddexp": logaddexp,
    "logistic": sigmoid,
    "maximum": maximum,
    "minimum": minimum,
    "power": power,
    "remainder": remainder,
    "sign": sign,
    "sin": sin,
    "sinh": sinh,
    "softplus": softplus,
    "tan": tan,
    "tanh": tanh,
}
