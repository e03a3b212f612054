"""Printed plans, read as a reader reads them: which names each line defines, and which it reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

SECTIONS = re.compile(r"(once|before the loop|in the loop|after the loop), .*:")
ROUNDS = re.compile(r"\d+ times(, backwards)?:")
LINE = re.compile(
    r"(?P<kind>next |output |keep |hold )?(?P<out>.+?) (?P<sign>\+?=) (?P<read>.+?)(  \(over rows and time\))?"
)
CALL = re.compile(r"[a-z_0-9]+\((?P<args>.*)\)")
VIEW = re.compile(r"(\.T|\.transpose\([\d, ]*\)|\[[^\[\]]*\])$")


@dataclass
class Printed:
    """What a plan says.

    Attributes
    ----------
    given : set of str
        Names that are read and that no line before defines.
    made : dict of str to str
        What the first line that defines a name says about it.
    kinds : dict of str to list of (str, str)
        For "next", "output", "keep" and "hold": the name, and what it becomes.
    read : set of str
    """

    given: set[str] = field(default_factory=set)
    made: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)


def printed(text: str, inputs: set[str]) -> Printed:
    """Read a plan; ``inputs`` are names that lines may read, which settles where a name ends and a view begins."""
    found = Printed()
    for line in text.splitlines():
        if SECTIONS.fullmatch(line) or ROUNDS.fullmatch(line.strip()):
            continue
        said = LINE.fullmatch(line.strip())
        assert said is not None, line
        for operand in _operands(said["read"]):
            name = _name(operand, inputs | set(found.made))
            found.read.add(name)
            if name not in found.made:
                found.given.add(name)
        kind = (said["kind"] or "").strip()
        if kind:
            found.kinds.setdefault(kind, []).append((_name(said["out"], inputs), said["read"]))
        if kind not in ("next", "output", "keep"):
            for part in _split(said["out"]):
                found.made.setdefault(_name(part, inputs | set(found.made)), said["read"])
    return found


def _operands(text: str) -> list[str]:
    """The values in the right-hand side of a line."""
    call = CALL.fullmatch(text)
    parts = _split(call["args"]) if call else text.split(" @ ")
    return [part for part in parts if part and not re.match(r"\w+=", part) and not _is_literal(part)]


def _is_literal(text: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+(\.\d*)?(e[-+]?\d+)?|inf|nan)|['\"].*", text) is not None


def _split(text: str) -> list[str]:
    """At the commas that are in no brackets and no quotes."""
    parts, depth, quoted = [""], 0, False
    for char in text:
        depth += (char in "([") - (char in ")]")
        quoted ^= char in "'\""
        if char == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _name(text: str, known: set[str]) -> str:
    """An operand without the views of it."""
    while text not in known and VIEW.search(text):
        text = VIEW.sub("", text)
    return text


FUNCTIONS = {
    "logistic": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "max": lambda x: np.max(x, axis=1, keepdims=True),
    "sum": lambda x: np.sum(x, axis=1, keepdims=True),
}  # others are called as in NumPy


def carried_out(text: str, fixed: dict, state: dict, xs: dict, steps: range) -> dict[str, list]:
    """Do what a plan says of whole vectors, with NumPy, all of a step before the next; ``state`` is changed.

    Returns
    -------
    dict of str to list of array
        What each step makes of a name; of a sum over time, and what is computed from it, each step's summand.
    """
    found: dict[str, list] = {}
    text, _, behind = text.partition("once, from the sums:")
    for t in steps:
        env = {**fixed, **state, **{name: values[t] for name, values in xs.items()}}
        new = {}
        for line in text.splitlines():
            said = LINE.fullmatch(line.strip())
            if said is None:
                continue
            value = _value(said["read"], env, fixed)
            kind, out = (said["kind"] or "").strip(), said["out"]
            if kind == "next":
                new[out] = value
                continue
            if "over rows" in line:
                value = value if "@" in line else np.sum(value, axis=0)
            elif said["sign"] == "+=":
                value = env[out] + value
            if kind != "hold" and not (kind and out in env):
                env[out] = value
            if kind in ("output", "keep") or "over rows" in line:
                found.setdefault(f"{kind} {out}".strip(), []).append(value)
        for line in filter(None, behind.splitlines()):  # linear, so that it may be done before the sum is taken
            out, _, read = line.strip().partition(" = ")
            env[out] = _value(read, env, fixed)
            found.setdefault(out, []).append(env[out])
        state.update(new)
    return found


def _value(text: str, env: dict, fixed: dict) -> np.ndarray:
    call = CALL.fullmatch(text)
    if call is None:
        parts = [_seen(part, env, fixed) for part in text.split(" @ ")]
        if len(parts) == 2 and not all(np.ndim(part) for part in parts):
            return parts[0] * parts[1]  # with a zero for a whole array
        return parts[0] @ parts[1] if len(parts) == 2 else parts[0]
    name = text.split("(")[0]
    given = [_seen(part, env, fixed) for part in _split(call["args"]) if not re.match(r"\w+=", part)]
    if name == "getitem":  # the part of a parameter that one of several joined operands is multiplied by
        return given[0][eval(call["args"].split("template=")[1])]
    return FUNCTIONS.get(name, getattr(np, name, None))(*given)


def _seen(text: str, env: dict, fixed: dict) -> np.ndarray:
    """A value, or some of its features."""
    if text in env:
        return env[text]
    if _is_literal(text):
        return np.float64(text)
    if text.endswith(".T"):
        return env[text[:-2]].T
    name, _, view = text.rpartition("[")
    first, *rest = [int(n) if n else None for n in view[:-1].split(":")]
    which = slice(first, *rest) if rest else slice(first, first + 1)
    return env[name].reshape(-1)[which] if name in fixed else env[name].reshape(len(env[name]), -1)[:, which]
