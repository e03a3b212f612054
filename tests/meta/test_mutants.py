"""Every derivative and batching rule, changed in one place at a time: the kit must catch every mutant that differs.

``python -m tests.meta`` prints how many there are, by rule and by kind.
"""

from itertools import islice

import pytest
from hypothesis import settings

from tests.meta import kit
from tests.meta.equivalent import EQUIVALENT
from tests.meta.mutation import Mutant, compiled, mutants, source_tree
from tests.meta.rules import rules

RULES = rules()
EVERY = pytest.mark.parametrize("rule", RULES.values(), ids=str)


def planted(rule, mutant, checks):
    """What the checks say while a mutant stands in the place of the rule."""
    with pytest.MonkeyPatch.context() as patch:
        kit.forget(patch)
        patch.setattr(rule.function, "__code__", mutant.code)
        return checks()


def survivors(rule, made, listed):
    """The mutants that no stage of the kit catches; those that are listed meet the first two alone."""
    left, every = made, settings.default.max_examples > 1000
    for number, checks in enumerate(kit.stages(rule.rows)):
        # That the listed ones pass everything is seen with many examples, since it takes long.
        thorough = every or number < 2
        if not thorough and all(m.text in listed for m in left):
            break
        caught = [m for m in left if (thorough or m.text not in listed) and planted(rule, m, checks)]
        left = [m for m in left if m not in caught]
    return left


@EVERY
def test_mutants_are_caught(rule, count):
    """And those that are listed as equivalent are not: otherwise the list hides a fault."""
    listed = EQUIVALENT.get(rule.name, {})
    made = mutants(rule.function)
    left = survivors(rule, made, listed)
    for mutant in made:
        count(rule.name, mutant.kind, equivalent=mutant in left and mutant.text in listed)
    wrong = [str(mutant) for mutant in left if mutant.text not in listed]
    assert not wrong, (
        f"{len(wrong)} of {len(made)} mutants of {rule} are not caught. Make a check, the row or its points in "
        "tests/specs.py see them; if they do not differ, list them in tests/meta/equivalent.py with the reason:\n"
        + "\n".join(wrong)
    )
    gone = sorted(set(listed) - {mutant.text for mutant in left})
    assert not gone, f"tests/meta/equivalent.py lists what is no mutant of {rule} or is caught:\n" + "\n".join(gone)


def test_every_listed_rule_is_there():
    assert not set(EQUIVALENT) - set(RULES)


@pytest.mark.parametrize("row", kit.DIFFERENTIABLE)
def test_without_a_mutant_nothing_is_caught(row):
    stages = kit.stages({row: {"pull", "push", "batch"}})
    assert not any(checks() for checks in islice(stages, 2))


@pytest.mark.parametrize("family", ["linalg", "elementwise"])
def test_the_special_tests_of_a_family_pass(family):
    checks = list(kit.special(family))
    assert len(checks) > (100 if family == "linalg" else 8)
    for check in checks:
        check()


@pytest.mark.parametrize("name", ["elementwise.power_base", "logistic[0]", "contract.Contract.pull"])
def test_the_same_program_compiled_anew_is_not_caught(name):
    """A fault of the planting would look like a mutant that is caught."""
    rule = RULES[name]
    code = compiled(source_tree(rule.function), rule.function)
    assert not planted(rule, Mutant("none", "", code), kit.quick(rule.rows))


def test_every_row_is_reached():
    """The rules of a new primitive are found without being named here."""
    reached = {row for rule in RULES.values() for row in rule.rows}
    smooth = {row for row in kit.DIFFERENTIABLE if row not in ("call", "scan")}
    assert smooth <= reached
