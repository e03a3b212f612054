"""Keras: the weights of its SimpleRNN, LSTM and GRU layers, and the layers themselves."""

from .layers import KerasLayer as KerasLayer
from .layers import from_keras as from_keras
from .layers import to_keras as to_keras
from .models import load as load
from .weights import from_weights as from_weights
from .weights import to_weights as to_weights
