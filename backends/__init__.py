"""Backends: each runs a traced scan. See :mod:`tapegrad.backends.base`."""

from .base import Backend, available, register, select

__all__ = ["Backend", "available", "register", "select"]
