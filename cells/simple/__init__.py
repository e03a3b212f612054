"""Recurrent networks without gates."""

from .elman import Elman as Elman
