"""tapegrad: write a recurrent cell once, as its equations in plain NumPy, and differentiate it.

The names below are the public ones. ``tapegrad.analysis``, ``tapegrad.backends``, ``tapegrad.cells``,
``tapegrad.tasks``, ``tapegrad.testing`` and ``tapegrad.training`` are imported on first use.
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from . import errors as errors
from . import numpy_protocols as _numpy_protocols  # noqa: F401 - gives Tensor its operators
from .batching import vmap as vmap
from .freezing import freeze as freeze
from .functions import binary_cross_entropy as binary_cross_entropy
from .functions import log_softmax as log_softmax
from .functions import logsumexp as logsumexp
from .functions import mse as mse
from .functions import relu as relu
from .functions import sigmoid as sigmoid
from .functions import softmax as softmax
from .functions import softmax_cross_entropy as softmax_cross_entropy
from .functions import softplus as softplus
from .jacobians import elementwise_grad as elementwise_grad
from .jacobians import hessian as hessian
from .jacobians import hvp as hvp
from .jacobians import jacobian as jacobian
from .numpy_functions.convolution import avg_pool as avg_pool
from .numpy_functions.convolution import conv as conv
from .numpy_functions.convolution import conv_transpose as conv_transpose
from .numpy_functions.convolution import max_pool as max_pool
from .numpy_functions.creation import array as array
from .numpy_functions.creation import full as full
from .numpy_functions.creation import index_add as index_add
from .numpy_functions.creation import index_update as index_update
from .numpy_functions.creation import linspace as linspace
from .numpy_functions.selection import take_from as take
from .numpy_functions.special import erf as erf
from .numpy_functions.special import gelu as gelu
from .pytree import leaves as tree_leaves
from .pytree import map as tree_map
from .rules import checkpoint as checkpoint
from .rules import custom_jvp as custom_jvp
from .rules import custom_vjp as custom_vjp
from .rules import stop_gradient as stop_gradient
from .scan import backend as backend
from .scan import scan as scan
from .tape import Tape as Tape
from .tensor import Tensor as Tensor
from .tracing import trace as trace
from .transforms import grad as grad
from .transforms import jvp as jvp
from .transforms import value_and_grad as value_and_grad
from .transforms import vjp as vjp
from .user_primitives import primitive as primitive
from .watching import detect_anomaly as detect_anomaly
from .watching import tape_memory as tape_memory

__version__ = "0.1.0"

_SUBPACKAGES = ("analysis", "backends", "cells", "symbolic", "tasks", "testing", "training")

__all__ = [
    "Tape", "Tensor", "array", "avg_pool", "backend", "binary_cross_entropy", "checkpoint", "conv", "conv_transpose",
    "custom_jvp", "custom_vjp", "detect_anomaly", "elementwise_grad", "erf", "errors", "freeze", "full", "gelu",
    "grad", "hessian", "hvp", "index_add", "index_update", "jacobian", "jvp", "linspace", "log_softmax", "logsumexp",
    "max_pool", "mse", "primitive", "relu", "scan", "sigmoid", "softmax", "softmax_cross_entropy", "softplus",
    "stop_gradient", "take", "tape_memory", "trace", "tree_leaves", "tree_map", "value_and_grad", "vjp", "vmap",
]  # fmt: skip


def __getattr__(name: str) -> _Any:
    if name in _SUBPACKAGES:
        return _import_module(f"tapegrad.{name}")
    raise AttributeError(f"module 'tapegrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBPACKAGES, "__version__"])
