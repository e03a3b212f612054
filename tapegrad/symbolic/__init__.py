"""Derivations: the equations of a cell and of its backpropagation through time, read from its tapes."""

from .derivation import Derivation as Derivation
from .derivation import derive as derive
from .gamma import Bound as Bound
from .notation import PRESETS as PRESETS
from .notation import Notation as Notation
