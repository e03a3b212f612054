"""The exceptions of tapegrad.

Each derives from :class:`TapegradError` and from the built-in exception that a NumPy user would
catch in the same place, so that existing ``except`` clauses keep working. A message names the
operation, the argument, what came, what was expected, and the remedy.
"""

import numpy as np


class TapegradError(Exception):
    """Base class of everything that tapegrad raises on purpose."""


class ShapeError(TapegradError, ValueError):
    """An argument has the wrong shape or the wrong number of axes."""


class DtypeError(TapegradError, TypeError):
    """An argument has a dtype that the operation cannot take, or that changed where it must not."""


class StructureError(TapegradError, ValueError):
    """Two pytrees that must have the same structure do not."""


class TracingError(TapegradError, TypeError):
    """A traced value was used where only a concrete array can be used, or outside its trace."""


class UnsupportedPrimitive(TapegradError, TypeError, NotImplementedError):
    """A NumPy function, a keyword of it, or a primitive has no rule for what was asked of it."""


class BackendError(TapegradError, RuntimeError):
    """A backend is unknown or cannot run what it was asked to run."""


class LinAlgError(TapegradError, np.linalg.LinAlgError):
    """A matrix is singular, not positive definite, or of a shape that linear algebra cannot take."""


class NonFiniteError(TapegradError, FloatingPointError):
    """A loss, parameter or gradient became NaN or infinite."""


class OptionError(TapegradError, ValueError):
    """An option has a value outside what it can be."""


class MissingLibrary(TapegradError, ImportError):
    """Something was asked for that needs an optional library, which is not installed."""


class FileError(TapegradError, OSError):
    """A file is missing, empty, damaged, or not of the kind that was expected."""
