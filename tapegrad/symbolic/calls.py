"""What operations are called that have no matrix notation, and what of their options a reader needs."""

from __future__ import annotations

from typing import Any

from .expressions import Named


def called(x: Named) -> str:
    """What a function is called in print."""
    if x.function == "scatter" and len(x.operands) == 1:
        return "place"
    return "einsum" if x.function == "contract" else x.function


def is_slice(x: Named) -> bool:
    return x.function == "getitem" and len(x.operands) == 1


def is_readable(x: Named) -> bool:
    """Whether an operation is printed in a way that needs no word on it."""
    return x.operation is None or is_slice(x) or (x.function == "concatenate" and x.shape[1:] == (1,))


def places(x: Named) -> str:
    """What a slice selects, of one row."""
    operation = x.operation
    assert operation is not None
    rows = (operation.arguments[0] if x.function == "getitem" else operation.results[0]).rows
    axis, shown = 0, []
    for entry in operation.options["template"]:
        if axis != rows or entry is None:
            shown.append(_index(entry))
        axis += entry is not None
    return ", ".join(shown)


def setting(x: Named) -> str:
    """The options of an operation that a reader needs; axes count without that of the rows."""
    if x.operation is None:
        return ""
    options = x.operation.options
    if x.function == "scatter" and len(x.operands) == 1:
        return f"[{places(x)}]"
    shown = []
    layout = x.operation.arguments[0] if x.operation.arguments else None
    rows = getattr(layout, "rows", None)
    for key in ("axis", "axes"):
        if key in options and len(getattr(layout, "features", ())) > 1:
            axes = options[key] if isinstance(options[key], tuple) else (options[key],)
            numbers = [a - (rows is not None and rows < a) for a in axes if a != rows]
            shown.append(f"axis {', '.join(map(str, numbers))}")
    if x.operation.primitive.parts:
        shown.append(x.operation.primitive.parts[x.operation.result])
    if options.get("upper"):
        shown.append("upper")
    if "spec" in options:
        shown.append(labels(x.operation))
    return ", ".join(shown)


def labels(operation: Any) -> str:
    """How a contraction runs over the axes of one row."""
    spec = operation.options["spec"]
    rows = {text[a.rows] for text, a in zip((spec.left, spec.right), operation.arguments, strict=True)
            if getattr(a, "rows", None) is not None}  # fmt: skip
    left, right, out = ("".join([c for c in text if c not in rows]) for text in (spec.left, spec.right, spec.out))
    return f"{left},{right}->{out}"


def _index(entry: Any) -> str:
    if entry is None:
        return "new"
    if isinstance(entry, slice):
        text = ":".join("" if n is None else str(n) for n in (entry.start, entry.stop))
        return text if entry.step in (None, 1) else f"{text}:{entry.step}"
    return str(entry)
