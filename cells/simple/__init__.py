"""Recurrent networks without gates."""

from .additive import Additive as Additive
from .elman import Elman as Elman
from .fully_recurrent import FullyRecurrent as FullyRecurrent
from .indrnn import IndRNN as IndRNN
from .jordan import Jordan as Jordan
from .softmax_rnn import SoftmaxRNN as SoftmaxRNN
