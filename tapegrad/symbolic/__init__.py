"""Derivations: the equations of a cell and of its backpropagation through time, read from its tapes."""

from .checking import check_backward as check_backward
from .derivation import Derivation as Derivation
from .derivation import derive as derive
from .gamma import Bound as Bound
from .notation import PRESETS as PRESETS
from .notation import Notation as Notation
from .report import Fault as Fault
from .report import Report as Report
from .report import WrongBackward as WrongBackward
from .unrolled import Unrolled as Unrolled
from .unrolled import unroll as unroll
