"""Long short-term memory and its descendants: cells with a memory beside the output."""

from .lstm import LSTM as LSTM
from .projected import ProjectedLSTM as ProjectedLSTM
