"""The gamma analysis in words and formulas: one content, as plain text, Markdown or LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sympy import oo

from .constants import is_zero
from .equations import at_time
from .expressions import TIME, moved, values_in
from .gamma_scalars import Writer
from .gamma_words import between, convention, exploding, path_remark, vanishing
from .paths import Path
from .states import StateRange

if TYPE_CHECKING:
    from .gamma import Block, Bound

TITLE = "Why the gradient vanishes or explodes"


class Section(NamedTuple):
    """Formulas under a heading, and what is to be said of them."""

    title: str
    formulas: list[str]
    remarks: list[str]


def sections(bound: Bound, w: Writer) -> list[Section]:
    """The analysis, part by part."""
    made = [
        Section("Slopes of the functions on the way", slopes(bound, w), []),
        Section("Ranges, whatever the inputs and the weights are", ranges(bound, w), []),
        Section("One step", one_step(bound, w), []),
        Section("From k to t", product(bound, w), [convention(bound, w)] if bound.blocks else []),
        Section("Vanishing", [], [vanishing(bound, w)]),
    ]
    if bound.blocks:
        lines = [line for p in bound.paths for line in paths(p, w)]
        made.append(Section("Exploding", [], [exploding(bound, w)]))
        made.append(Section("The direct path of each state", lines, [path_remark(p, w) for p in bound.paths]))
    return [section for section in made if section.formulas or section.remarks]


# ---- formulas ----


def slopes(bound: Bound, w: Writer) -> list[str]:
    if bound.constant and not bound.gamma_f and bound.blocks:
        return [f"{w.gamma('f')} = 1{w.text(': no function stands between the old state and the new one')}"]
    return [
        f"f(u) = {w.p(function)}: {w.gap}{w.gamma('f')} = {w.supremum} |f'(u)| = {w.scalar(supremum)}"
        for function, supremum in bound.gamma_f.items()
    ]


def ranges(bound: Bound, w: Writer) -> list[str]:
    """Of what stands in the Jacobians, and of the states."""
    found = []
    used = {v for block in [*bound.inner, *bound.blocks.values()] if block.matrix is not None
            for v in values_in(block.matrix)}  # fmt: skip
    states = {state.at(TIME) for state in bound.old}
    for value in bound.equations:
        limits = bound.ranges.of(value)
        if value in used and value not in states and limits.bounded:
            found.append(between(w.p(value), limits, w))
    for symbol, made in bound.ranges.definitions.items():
        if bound.ranges.norms[symbol].kind == "elements":
            found.append(f"{w.scalar(symbol)} {w.le} {w.scalar(made)}")
    return [*found, *[line for r in bound.states for line in state_range(bound, r, w)]]


def state_range(bound: Bound, r: StateRange, w: Writer) -> list[str]:
    now, first = w.elements(r.state.at(TIME)), w.elements(r.state.at(0))
    if r.kind == "function":
        return [between(w.p(r.state.at(TIME)), bound.ranges.of(bound.steps[r.state]), w)]
    if r.kind == "induction":
        start = w.scalar(r.limit) if r.needs else first if r.limit == 0 else w.call("max", [w.scalar(r.limit), first])
        return [f"{now} {w.le} {start}"]
    if r.kind == "growth":
        each = "t" if r.growth == 1 else f"{w.scalar(r.growth)} t"
        return [f"{now} {w.le} {first} + {each}{w.text(': no bound for all times')}"]
    return []


def one_step(bound: Bound, w: Writer) -> list[str]:
    if not bound.blocks:
        return [f"{w.gamma('step')} = 0{w.text(': the new state does not depend on the old one')}"]
    blocks = [*bound.inner, *bound.blocks.values()]
    if len(bound.old) == 1:
        return [line for block in blocks for line in block_lines(block, w, block is blocks[-1])]
    names = [state.name for state in bound.old]
    rows = [[w.entry(bound.blocks.get((new, old))) for old in names] for new in names]
    whole = f"{w.gamma('step')} = {w.norm(w.p(bound.gamma_step.jacobian))} {w.le} {w.norm(w.printer.blocks(rows))}"
    return [*[line for block in blocks for line in block_lines(block, w, False)], whole]


def block_lines(block: Block, w: Writer, whole: bool) -> list[str]:
    """The terms of a block with their bounds, and the sum of these."""
    left = f"{w.gamma('step')} = " * whole + w.norm(w.p(block.partial))
    if block.matrix is None:
        return [f"{left} {w.le} {w.infinity}{w.text(': it has no matrix notation')}"]
    if len(block.terms) == 1:
        return [f"{left} = {w.norm(w.p(block.matrix))} {w.le} {w.scalar(block.bound)}"]
    terms = [f"{w.indent}{w.norm(w.p(term))} {w.le} {w.scalar(bound)}" for term, bound in block.terms]
    return [*terms, f"{left} {w.le} {w.total([bound for _, bound in block.terms], block.bound)}"]


def product(bound: Bound, w: Writer) -> list[str]:
    if not bound.blocks:
        return []
    equation = bound.derivation.jacobian_product
    index, first, last = equation.right.limits
    limits = [str(a).replace(" ", "") for a in (index, first, last)]
    left = w.p(equation.left)
    lines = []
    (*_, block) = bound.blocks.values()
    if len(bound.old) == 1 and len(block.terms) == 1:
        made = block.matrix if bound.constant else at_time(block.matrix, TIME, index)
        if bound.constant:
            lines.append(f"{left} = {w.j_power}, {w.gap}J = {w.p(made)}")
        else:
            lines.append(f"{left} = {w.printer.chain(w.p(made), *limits)}")
    steps = w.printer.chain(f"{w.gamma('step')}({index})", *limits)
    if bound.gamma == oo:
        return [*lines, f"{w.norm(left)} {w.le} {steps}"]
    order = [b for _, b in block.terms] if len(bound.old) == 1 else []
    gamma = w.total([bound.over_time(b) for b in order], bound.gamma)
    largest = w.text(" (the norm of the input: its largest over time)") if bound.rests_on_inputs else ""
    return [*lines, f"{w.norm(left)} {w.le} {steps} {w.le} {w.power('t-k')}, {w.gap}{w.gamma()} = {gamma}{largest}"]


def paths(p: Path, w: Writer) -> list[str]:
    """The direct path and the rest, over one step, and over two where there are ways through other states."""
    if not p.exists:
        return []
    now, before = p.state.at(TIME), p.state
    if is_zero(p.direct):  # of a matrix, element by element
        return [f"{w.p(before)} {w.arrow} {w.p(now)}: {w.gap}{w.p(p.factor)}"]
    alone = p.rest is not None and is_zero(p.rest)
    text = "..." if p.rest is None else w.p(p.rest)
    rest = "" if alone else f" - {text[1:]}" if text.startswith("-") else f" + {text}"
    lines = [f"{partial(now, before, w)} = {w.under(w.p(p.direct), 'direct')}{rest}"]
    if p.through:
        earlier = before.at(TIME - 2)
        steps = [w.p(p.direct), w.p(moved(p.direct, -1))]
        steps = steps if alone else [partial(now, before, w), partial(before, earlier, w)]
        ways = [
            w.under(partial(now, other, w) + w.space + partial(other, earlier, w), f"through {w.plain(other)}")
            for other in p.through
        ]
        first = w.under(w.space.join(steps), "direct") if alone else w.space.join(steps)
        lines.append(f"{partial(now, earlier, w)} = {' + '.join([first, *ways])}")
    return lines


def partial(value: Any, by: Any, w: Writer) -> str:
    return str(w.printer.partial(w.p(value), w.p(by)))


# ---- the whole ----


def text(bound: Bound) -> str:
    w = Writer(bound, False)
    parts = []
    for section in sections(bound, w):
        lines = [f"    {line}" for line in section.formulas] + [f"    * {remark}" for remark in section.remarks]
        parts.append(f"{section.title}\n" + "\n".join(lines))
    return f"{TITLE}: {w.gamma('f')}, {w.gamma('step')} and the bound {w.power('t-k')}\n\n" + "\n\n".join(parts)


def aligned(lines: list[str]) -> str:
    # Behind & a minus would be set as one between two terms.
    signed = ["{-}" + line[1:] if line.startswith("-") else line for line in lines]
    return "\\begin{aligned}\n& " + " \\\\\n& ".join(signed) + "\n\\end{aligned}"


def markdown(bound: Bound) -> str:
    w = Writer(bound, True)
    parts = [f"### {TITLE}"]
    for section in sections(bound, w):
        formulas = f"\n\n$$\n{aligned(section.formulas)}\n$$" if section.formulas else ""
        remarks = "\n\n" + "\n\n".join(section.remarks) if section.remarks else ""
        parts.append(f"**{section.title}**{formulas}{remarks}")
    return "\n\n".join(parts)


def latex(bound: Bound) -> str:
    w = Writer(bound, True)
    parts = [f"\\subsection*{{{TITLE}}}"]
    for section in sections(bound, w):
        formulas = f"\n\\[\n{aligned(section.formulas)}\n\\]" if section.formulas else ""
        remarks = "\n" + "\n\n".join(section.remarks) if section.remarks else ""
        parts.append(f"\\paragraph{{{section.title}}}{formulas}{remarks}")
    return "\n\n".join(parts)


def statement(bound: Bound, which: str) -> str:
    """One of the statements, in words."""
    w = Writer(bound, False)
    return vanishing(bound, w) if which == "vanishing" else exploding(bound, w)
