"""What is written instead: the mutation operators, each from a node of a tree to nodes that may take its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

Changed = Iterator[tuple[str, ast.AST]]

OPPOSITE = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr,
            ast.BitOr: ast.BitAnd, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult}  # fmt: skip
COMPARED: dict[type, list[type]] = {
    ast.Gt: [ast.GtE, ast.Lt], ast.GtE: [ast.Gt, ast.Lt], ast.Lt: [ast.LtE, ast.Gt], ast.LtE: [ast.Lt, ast.Gt],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
}  # fmt: skip
SIBLINGS = {"sin": "cos", "cos": "sin", "sinh": "cosh", "cosh": "sinh", "log": "log1p", "exp": "expm1",
            "sqrt": "square", "floor": "rint", "sign": "absolute", "tril": "triu", "triu": "tril", "maximum": "minimum",
            "minimum": "maximum"}  # fmt: skip

GUARDS = ("strict",)  # what only sees to it that something cannot happen


def replacements(node: ast.AST, parent: ast.AST, field: str, tree: Any) -> Changed:
    """The kinds and the nodes of all mutants at one place."""
    if isinstance(node, ast.stmt):
        yield from _statement(node, parent, tree)
    elif not isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del)):
        if isinstance(node, tuple(EXPRESSIONS)):
            yield from EXPRESSIONS[type(node)](node, tree) if type(node) is ast.Name else EXPRESSIONS[type(node)](node)
        if _is_result(node, parent, field, tree):
            yield "sign", ast.UnaryOp(ast.USub(), node)
            yield "0.1 % off", ast.BinOp(node, ast.Mult(), ast.Constant(1.001))


# ---- expressions ----
def _operation(node: ast.BinOp) -> Changed:
    kind = type(node.op)
    additive = kind in (ast.Add, ast.Sub)
    if kind in OPPOSITE:
        yield "operator", ast.BinOp(node.left, OPPOSITE[kind](), node.right)
    if kind in (ast.Sub, ast.Div, ast.Pow, ast.MatMult, ast.FloorDiv, ast.Mod):
        yield "swapped operands", ast.BinOp(node.right, node.op, node.left)
    dropped = "dropped term" if additive else "dropped factor"
    yield dropped, node.left
    if kind is ast.Sub:
        yield dropped, ast.UnaryOp(ast.USub(), node.right)
    elif kind is ast.Div:
        yield dropped, ast.BinOp(ast.Constant(1.0), ast.Div(), node.right)
    else:
        yield dropped, node.right


def _unary(node: ast.UnaryOp) -> Changed:
    yield "condition" if isinstance(node.op, ast.Not) else "sign", node.operand


def _comparison(node: ast.Compare) -> Changed:
    if len(node.ops) == 1:
        for other in COMPARED[type(node.ops[0])]:
            yield "comparison", ast.Compare(node.left, [other()], node.comparators)


def _boolean(node: ast.BoolOp) -> Changed:
    yield "condition", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for left_out in range(len(node.values)):
        rest = [value for i, value in enumerate(node.values) if i != left_out]
        yield "condition", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _choice(node: ast.IfExp) -> Changed:
    yield "condition", node.body
    yield "condition", node.orelse
    yield "condition", ast.IfExp(node.test, node.orelse, node.body)


def _constant(node: ast.Constant) -> Changed:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "off by one", ast.Constant(value + 1)
        if value > 0:
            yield "off by one", ast.Constant(value - 1)
    elif isinstance(value, float):
        yield "constant", ast.Constant(value * 1.001 if value else 0.001)
        yield "constant", ast.Constant(-value if value else 1.0)


def _call(node: ast.Call) -> Changed:
    args = node.args
    for i in range(len(args) - 1):
        if not isinstance(args[i], ast.Starred) and not isinstance(args[i + 1], ast.Starred):
            swapped = [*args[:i], args[i + 1], args[i], *args[i + 2 :]]
            yield "swapped operands", ast.Call(node.func, swapped, node.keywords)
    for i in range(1, len(args)):
        if not isinstance(args[i], ast.Starred):
            yield "dropped argument", ast.Call(node.func, [*args[:i], *args[i + 1 :]], node.keywords)
    for i in range(len(node.keywords)):
        if node.keywords[i].arg in GUARDS:
            continue
        yield "dropped argument", ast.Call(node.func, args, [*node.keywords[:i], *node.keywords[i + 1 :]])
    if args and not isinstance(args[0], ast.Starred):
        yield "dropped call", args[0]
    if isinstance(node.func, ast.Attribute):
        if isinstance(node.func.value, (ast.Call, ast.BinOp)) or (
            isinstance(node.func.value, ast.Name) and node.func.value.id not in ("np", "math", "self", "operator")
        ):
            yield "dropped call", node.func.value
        if node.func.attr in SIBLINGS:
            other = ast.Attribute(node.func.value, SIBLINGS[node.func.attr], ast.Load())
            yield "wrong function", ast.Call(other, args, node.keywords)


def _name(node: ast.Name, tree: Any) -> Changed:
    """Another variable of the same scope: the one before and the one behind, in the order of their first appearance."""
    for scope in _scopes(tree):
        if node.id in scope:
            at, count = scope.index(node.id), len(scope)
            near = scope if count <= 4 else [scope[at - 1], scope[(at + 1) % count]]
            for other in near:
                if other != node.id:
                    yield "swapped names", ast.Name(other, ast.Load())
            return


def _sequence(node: ast.List | ast.Tuple) -> Changed:
    for i in range(len(node.elts) - 1):
        yield "swapped operands", type(node)([*node.elts[:i], node.elts[i + 1], node.elts[i], *node.elts[i + 2 :]],
                                             ast.Load())  # fmt: skip


def _comprehension(node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> Changed:
    for i, part in enumerate(node.generators):
        for k in range(len(part.ifs)):
            fewer = ast.comprehension(part.target, part.iter, [*part.ifs[:k], *part.ifs[k + 1 :]], 0)
            yield "condition", type(node)(node.elt, [*node.generators[:i], fewer, *node.generators[i + 1 :]])


EXPRESSIONS: dict[type, Any] = {
    ast.BinOp: _operation, ast.UnaryOp: _unary, ast.Compare: _comparison, ast.BoolOp: _boolean, ast.IfExp: _choice,
    ast.Constant: _constant, ast.Call: _call, ast.Name: _name, ast.List: _sequence, ast.Tuple: _sequence,
    ast.ListComp: _comprehension, ast.GeneratorExp: _comprehension,
}  # fmt: skip


def _scopes(tree: Any) -> list[list[str]]:
    """The names of the comprehensions, from the innermost, and then those of the function itself."""
    inner = [
        [name.id for part in node.generators for name in ast.walk(part.target) if isinstance(name, ast.Name)]
        for node in ast.walk(tree)
        if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp))
    ]
    given = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs) if a.arg != "self"]
    inside = {name for names in inner for name in names}
    held = [
        node.id for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id not in inside
    ]  # fmt: skip
    return [*inner[::-1], list(dict.fromkeys([*given, *held]))]


def _is_result(node: ast.AST, parent: ast.AST, field: str, tree: Any) -> bool:
    """Whether a number that the function returns stands here: through lists, choices and comprehensions."""
    if isinstance(node, (ast.List, ast.Tuple, ast.ListComp, ast.IfExp, ast.Constant, ast.Compare, ast.BoolOp)):
        return False
    return node in results(tree)


def results(tree: Any) -> list[ast.AST]:
    found: list[ast.AST] = []
    waiting = [tree.body] if isinstance(tree, ast.Lambda) else [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value is not None
    ]  # fmt: skip
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, (ast.List, ast.Tuple)):
            waiting += node.elts
        elif isinstance(node, ast.ListComp):
            waiting.append(node.elt)
        elif isinstance(node, ast.IfExp):
            waiting += [node.body, node.orelse]
    return found


# ---- statements ----
def _statement(node: ast.AST, parent: ast.AST, tree: Any) -> Changed:
    if isinstance(node, ast.If):
        yield "condition", ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        if not any(isinstance(n, ast.Raise) for n in node.body):
            yield "dropped statement", ast.Pass()
    elif isinstance(node, ast.AugAssign):
        if type(node.op) in OPPOSITE:
            yield "operator", ast.AugAssign(node.target, OPPOSITE[type(node.op)](), node.value)
        yield "dropped statement", ast.Pass()
    elif isinstance(node, ast.Expr) or (isinstance(node, ast.Assign) and _assigned_before(node, tree)):
        yield "dropped statement", ast.Pass()


def _assigned_before(node: ast.Assign, tree: Any) -> bool:
    """Whether without the statement there is still a value of each of its targets."""
    names = [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    known = {a.arg for a in (*tree.args.args, *tree.args.kwonlyargs)}
    for other in ast.walk(tree):
        if isinstance(other, ast.Assign) and other.lineno < node.lineno:
            known |= {n.id for target in other.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return all(name in known for name in names)
