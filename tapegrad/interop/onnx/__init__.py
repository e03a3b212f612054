"""ONNX: its RNN, LSTM and GRU nodes, read and written."""

from .activations import Activation as Activation
from .cells import OnnxCell as OnnxCell
from .cells import OnnxGRU as OnnxGRU
from .cells import OnnxLSTM as OnnxLSTM
from .cells import OnnxRNN as OnnxRNN
from .equivalents import to_layer as to_layer
from .equivalents import to_node as to_node
from .node import OnnxNode as OnnxNode
from .reading import Recurrence as Recurrence
from .reading import from_arrays as from_arrays
from .reading import load as load
from .writing import save as save
from .writing import to_model as to_model
