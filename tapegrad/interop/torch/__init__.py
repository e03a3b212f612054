"""PyTorch: a module made of any cell, functions of torch made of functions of NumPy, and torch's state dicts.

torch is imported when a module or function is made; reading and writing state dicts does without it.
"""

from .functions import function as function
from .modules import module as module
from .state_dicts import load as load
from .state_dicts import state_dict as state_dict
from .states import from_state as from_state
from .states import to_state as to_state
