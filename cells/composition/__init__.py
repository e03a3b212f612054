"""Networks of cells: depth, directions, and what goes in and comes out."""

from .bidirectional import Bidirectional as Bidirectional
from .sequential import Sequential as Sequential
from .stacked import Stacked as Stacked
