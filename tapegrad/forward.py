"""Forward mode: a tangent travels beside each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .holding import is_holding, ruled
from .tensor import UNSETTLED, Tensor, Trace, apply, constant


class Dual(Tensor):
    """A value with its tangent; None stands for a tangent of zero."""

    __slots__ = ("tangent",)

    def __init__(self, trace: Trace, value: Any, tangent: Any = None):
        super().__init__(trace, value)
        self.tangent = tangent


class ForwardTrace(Trace):
    """Pushes tangents through operations."""

    purpose = "jvp"

    def process(self, primitive: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        values, tangents = [], []
        for arg in args:
            mine = isinstance(arg, Tensor) and arg.owner is self
            if isinstance(arg, UNSETTLED):
                constant(arg, protect=False, name=primitive.name)
            values.append(arg.value if mine else arg)
            tangents.append(arg.tangent if mine else None)
        moving = primitive.differentiable and any(tangent is not None for tangent in tangents)
        if moving and primitive.push_with is not None:
            ans, tangent = primitive.push_with(values, tangents, options)
        else:
            ans = apply(primitive, values, options)
            tangent = None
            if moving and is_holding():
                tangent = ruled(primitive, primitive.push, tangents, ans, values, options)
            elif moving:
                tangent = primitive.push(tangents, ans, values, options)
        if not primitive.multiple:
            return Dual(self, ans, tangent)
        return [Dual(self, a, t) for a, t in zip(ans, tangent or [None] * len(ans), strict=True)]
