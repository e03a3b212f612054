"""PyTorch: a module made of any cell, functions of torch made of functions of NumPy, and torch's state dicts.

torch is imported when a module or function is made; reading and writing state dicts does without it.
"""

from .functions import function as function
from .modules import module as module
