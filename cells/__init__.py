"""The cells, one file for each, by family; :class:`Cell` is what a cell is.

>>> import numpy as np
>>> cell = LSTM(input_size=8, hidden_size=32)
>>> params = cell.init(np.random.default_rng(0))
>>> state, ys = cell(params, np.zeros((10, 4, 8), np.float32))
>>> ys.shape
(10, 4, 32)
"""

from . import initializers as initializers
from .base import Cell as Cell
from .composition import Bidirectional as Bidirectional
from .composition import DeepTransition as DeepTransition
from .composition import Dropout as Dropout
from .composition import Feedback as Feedback
from .composition import Pooling as Pooling
from .composition import Sampled as Sampled
from .composition import Sequential as Sequential
from .composition import Stacked as Stacked
from .composition import Subsampling as Subsampling
from .composition import greedy as greedy
from .composition import lengths_until as lengths_until
from .gated import GRU as GRU
from .gated import GRU1 as GRU1
from .gated import GRU2 as GRU2
from .gated import GRU3 as GRU3
from .gated import GRUD as GRUD
from .gated import MGU as MGU
from .gated import UGRNN as UGRNN
from .gated import MinGRU as MinGRU
from .gated import observations as observations
from .layer import Layer as Layer
from .lstm import LSTM as LSTM
from .lstm import LSTM1997 as LSTM1997
from .lstm import LSTM2000 as LSTM2000
from .lstm import CoupledLSTM as CoupledLSTM
from .lstm import FullPeepholeLSTM as FullPeepholeLSTM
from .lstm import LayerNormLSTM as LayerNormLSTM
from .lstm import PeepholeLSTM as PeepholeLSTM
from .lstm import ProjectedLSTM as ProjectedLSTM
from .lstm import VanillaLSTM as VanillaLSTM
from .noise import RecurrentDropoutGRU as RecurrentDropoutGRU
from .noise import RecurrentDropoutLSTM as RecurrentDropoutLSTM
from .noise import VariationalDropout as VariationalDropout
from .noise import Zoneout as Zoneout
from .readout import Dense as Dense
from .readout import Linear as Linear
from .readout import Readout as Readout
from .readout import SigmoidReadout as SigmoidReadout
from .readout import SoftmaxReadout as SoftmaxReadout
from .registry import Variant as Variant
from .registry import cells as cells
from .registry import find as find
from .registry import register as register
from .registry import variants as variants
from .simple import Additive as Additive
from .simple import Elman as Elman
from .simple import FullyRecurrent as FullyRecurrent
from .simple import IndRNN as IndRNN
from .simple import Jordan as Jordan
from .simple import SoftmaxRNN as SoftmaxRNN
from .specs import Input as Input
from .specs import Parameter as Parameter
from .specs import State as State
