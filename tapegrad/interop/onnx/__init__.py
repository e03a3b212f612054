"""ONNX: its RNN, LSTM and GRU nodes, read and written."""

from .activations import Activation as Activation
from .cells import OnnxCell as OnnxCell
from .cells import OnnxGRU as OnnxGRU
from .cells import OnnxLSTM as OnnxLSTM
from .cells import OnnxRNN as OnnxRNN
from .node import OnnxNode as OnnxNode
from .reading import Recurrence as Recurrence
from .reading import from_arrays as from_arrays
from .reading import load as load
