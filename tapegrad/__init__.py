"""tapegrad: recurrent cells written as their equations in NumPy, differentiated."""

from . import numpy_protocols as numpy_protocols
from .transforms import *
