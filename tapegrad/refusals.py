"""What is done with arrays and cannot be done with a Tensor, with what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import TracingError, UnsupportedPrimitive
from .tensor import Tensor

# Methods of an array that change it.
IN_PLACE = {
    "sort": "np.sort(x)",
    "partition": "np.partition(x, k)",
    "fill": "tapegrad.full(x.shape, value)",
    "put": "tapegrad.index_update(x, index, value)",
    "itemset": "tapegrad.index_update(x, index, value)",
    "resize": "np.reshape, slices and np.concatenate",
}


def refuse_in_place(name: str, remedy: str) -> Callable:
    """The method that refuses to change a Tensor."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise TracingError(
            f"a traced array cannot be changed in place (x.{name}()): its gradient would be lost. Use {remedy}, which "
            "gives a new array"
        )

    return method


def refuse_pickle(self: Tensor, protocol: Any = None) -> Any:
    """A Tensor stands for a value while its function runs, and for nothing in another process."""
    raise TracingError(
        f"a Tensor of shape {self.shape} cannot be pickled: its trace would stay behind. Return it from the function "
        "that is transformed and pickle the result, or read t.value"
    )


def refuse_view(self: Any, *args: Any, **kwargs: Any) -> None:
    raise UnsupportedPrimitive(
        "view: the memory of a traced array cannot be read as another dtype, which has no derivative; convert it with "
        "x.astype(dtype)"
    )
