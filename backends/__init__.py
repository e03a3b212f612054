"""Backends: each runs a traced scan. See :mod:`tapegrad.backends.base`."""

from .base import Backend, available, register, select
from .shown import plan, source

__all__ = ["Backend", "available", "plan", "register", "select", "source"]
