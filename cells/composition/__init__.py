"""Networks of cells: depth, directions, and what goes in and comes out."""

from .stacked import Stacked as Stacked
