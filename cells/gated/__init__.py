"""Gated units without a memory of their own: the GRU and its relatives."""

from .gru import GRU as GRU
from .gru_variants import GRU1 as GRU1
from .gru_variants import GRU2 as GRU2
from .gru_variants import GRU3 as GRU3
from .grud import GRUD as GRUD
from .grud import observations as observations
from .mgu import MGU as MGU
from .min_gru import MinGRU as MinGRU
from .ugrnn import UGRNN as UGRNN
