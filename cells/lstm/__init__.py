"""Long short-term memory and its descendants: cells with a memory beside the output."""

from .coupled import CoupledLSTM as CoupledLSTM
from .full_peephole import FullPeepholeLSTM as FullPeepholeLSTM
from .layer_norm import LayerNormLSTM as LayerNormLSTM
from .lstm import LSTM as LSTM
from .lstm_1997 import LSTM1997 as LSTM1997
from .lstm_2000 import LSTM2000 as LSTM2000
from .peephole import PeepholeLSTM as PeepholeLSTM
from .projected import ProjectedLSTM as ProjectedLSTM
from .vanilla import VanillaLSTM as VanillaLSTM
