"""Gated units without a memory of their own: the GRU and its relatives."""

from .gru import GRU as GRU
