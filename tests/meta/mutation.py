"""A function's source, changed in one place at a time.

A mutant differs from the original by one expression or statement. It is planted by giving the function another code
object, so that every name and table that holds the function has the fault.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType

from tests.meta.operators import GUARDS, replacements

UNSEEN = (ast.Raise, ast.JoinedStr, ast.arguments)  # messages and signatures are no rules


@dataclass(frozen=True)
class Mutant:
    """``text`` says what was written and what is written instead; it is unique within the function."""

    kind: str
    text: str
    code: CodeType

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def mutants(function: FunctionType) -> list[Mutant]:
    """All mutants of a function, in the order of its text; each program once."""
    tree = source_tree(function)
    seen, texts, made = {ast.dump(tree)}, set(), []
    for parent, field, place, node in _sites(tree):
        for kind, new in replacements(node, parent, field, tree):
            text = f"{_text(node)} -> {_text(new)}"
            _put(parent, field, place, new)
            dumped = ast.dump(tree)
            if dumped not in seen:
                seen.add(dumped)
                code = compiled(tree, function)
                if code is not None:
                    made.append(Mutant(kind, _unique(text, texts), code))
            _put(parent, field, place, node)
    return made


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}: ..."
    return "(nothing)" if isinstance(node, ast.Pass) else " ".join(ast.unparse(node).split())


def _unique(text: str, texts: set[str]) -> str:
    number, found = 1, text
    while found in texts:
        number += 1
        found = f"{text} [{number}]"
    texts.add(found)
    return found


def _put(parent: ast.AST, field: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[place] = node


def _sites(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Every expression and statement below ``node``, with where it stands."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for place, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, UNSEEN) or _is_text(child) or _is_guard(child):
                continue
            if isinstance(child, (ast.expr, ast.stmt)):
                yield node, field, place, child
            yield from _sites(child)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.keyword) and node.arg in GUARDS


# ---- between functions and their source ----
@cache
def _module(path: str) -> ast.Module:
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read())


def source_tree(function: FunctionType) -> ast.Lambda | ast.FunctionDef:
    """The part of a module's tree that a function was compiled from; a copy of its own."""
    code = function.__code__
    path = inspect.getsourcefile(code)
    kind = ast.Lambda if code.co_name == "<lambda>" else ast.FunctionDef
    found = [
        node for node in ast.walk(_module(path))
        if isinstance(node, kind) and getattr(node, "name", "<lambda>") == code.co_name and _holds(node, code)
    ]  # fmt: skip
    if not found:
        raise LookupError(f"no source of {function.__qualname__} at line {code.co_firstlineno} of {path}")
    (statement,) = ast.parse(ast.unparse(found[-1])).body  # the innermost is found last
    return statement.value if isinstance(statement, ast.Expr) else statement  # type: ignore[return-value]


def _holds(node: ast.AST, code: CodeType) -> bool:
    """Whether the code's instructions lie within the node; of two lambdas in one line only one has them."""
    first = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", ())]])
    if first != code.co_firstlineno:
        return False
    body = node.body if isinstance(node, ast.Lambda) else node
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    return all(
        start <= (line, column) and (last, stop) <= end
        for line, last, column, stop in code.co_positions()
        if column is not None and stop
    )


def compiled(tree: ast.Lambda | ast.FunctionDef, function: FunctionType) -> CodeType | None:
    """The code of a changed tree; None where it is no Python, or reads other variables around the function."""
    free = function.__code__.co_freevars
    inner = ast.Assign([ast.Name("mutant", ast.Store())], tree) if isinstance(tree, ast.Lambda) else tree
    held = [ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None)) for name in free]
    outer = ast.FunctionDef("outer", ast.arguments([], [], None, [], [], None, []), [*held, inner], [], None, None)
    module = ast.fix_missing_locations(ast.Module([outer], []))
    try:
        code = compile(module, f"<mutant of {function.__qualname__}>", "exec")
    except SyntaxError:
        return None
    (around,) = [c for c in code.co_consts if isinstance(c, CodeType)]
    (made,) = [c for c in around.co_consts if isinstance(c, CodeType)]
    return made if made.co_freevars == free else None
