"""Noise in the recurrence: what is dropped or kept comes in through xs, beside the input."""

from .recurrent_dropout import RecurrentDropoutGRU as RecurrentDropoutGRU
from .recurrent_dropout import RecurrentDropoutLSTM as RecurrentDropoutLSTM
from .variational_dropout import VariationalDropout as VariationalDropout
from .zoneout import Zoneout as Zoneout
