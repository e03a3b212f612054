"""What stands for all that a step reads: found again at a glance, and never when something that is read has changed."""

import enum
import functools
import types
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.capture import Reader, capture_token
from tapegrad.cells import LSTM

FACTOR = 2.0


def result(step):
    """What a step makes of the state 1 and the input 0 in one go."""
    return float(tg.scan(step, None, 1.0, np.zeros(1))[0])


def scaled(x):
    return x * FACTOR


def base_step(p, s, x):
    return scaled(s), s


def copy_of(function):
    """A function of its own, whose parts can be changed without harm to others."""
    made = types.FunctionType(
        function.__code__, globals(), function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


@pytest.fixture
def walks(monkeypatch):
    """A list that grows by one entry each time that a step's key is read in full."""
    seen, real = [], Reader.__init__
    monkeypatch.setattr(Reader, "__init__", lambda self: seen.append(1) or real(self))
    return seen


# ---- the same token, without a walk ----
def test_the_token_of_an_unchanged_step_is_found_at_a_glance(walks):
    cell = LSTM(2, 3)
    assert len({capture_token(cell.step) for _ in range(10)}) == 1
    assert len(walks) == 1
    step = copy_of(base_step)
    assert len({capture_token(step) for _ in range(10)}) == 1
    assert len(walks) == 2


def test_equal_steps_have_one_token(walks):
    assert capture_token(LSTM(2, 3).step) is capture_token(LSTM(2, 3).step)
    assert capture_token(copy_of(base_step)) is capture_token(copy_of(base_step))
    assert len(walks) == 4
    assert capture_token(LSTM(2, 3).step) is not capture_token(LSTM(3, 2).step)
    assert capture_token(LSTM(2, 3, 1).step) is not capture_token(LSTM(2, 3, 1.0).step), "1 and 1.0 differ in a step"


def test_what_may_change_unseen_has_no_token():
    held = [2.0]
    assert capture_token(lambda p, s, x: (s * held[0], s)) is None
    assert capture_token(functools.partial(base_step, x=held)) is None


# ---- places that may change ----
def change_code(step, monkeypatch):
    step.__code__ = (lambda p, s, x: (s * 5.0, s)).__code__


def change_global(step, monkeypatch):
    monkeypatch.setitem(globals(), "FACTOR", 5.0)


def change_global_function(step, monkeypatch):
    monkeypatch.setitem(globals(), "scaled", lambda x: 5.0 * x)


def shadow_a_builtin(step, monkeypatch):
    monkeypatch.setitem(globals(), "max", lambda a, b: 5.0)


def step_with_builtin(p, s, x):
    return s * max(2.0, 1.0), s


def step_with_default(p, s, x, k=2.0, *, m=1.0):
    return s * (k * m), s


def change_default(step, monkeypatch):
    step.__defaults__ = (5.0,)


def change_keyword_default(step, monkeypatch):
    step.__kwdefaults__ = {"m": 2.5}


def change_keyword_default_inside(step, monkeypatch):
    step.__kwdefaults__["m"] = 2.5


@pytest.mark.parametrize(
    ("function", "change"),
    [
        (base_step, change_code),
        (base_step, change_global),
        (base_step, change_global_function),
        (base_step, lambda step, patch: patch.setattr(scaled, "__code__", (lambda x: x * 5.0).__code__)),
        (step_with_builtin, shadow_a_builtin),
        (step_with_default, change_default),
        (step_with_default, change_keyword_default),
        (step_with_default, change_keyword_default_inside),
    ],
)
def test_a_change_is_seen(function, change, monkeypatch):
    step = copy_of(function)
    if step.__kwdefaults__:
        step.__kwdefaults__ = dict(step.__kwdefaults__)
    assert (result(step), result(step)) == (2.0, 2.0)
    change(step, monkeypatch)
    assert result(step) == 5.0


def test_a_variable_of_the_enclosing_function_that_changes():
    def make():
        k = 2.0

        def step(p, s, x):
            return s * k, s

        def to(value):
            nonlocal k
            k = value

        def empty():
            nonlocal k
            del k

        return step, to, empty

    step, to, empty = make()
    assert (result(step), result(step)) == (2.0, 2.0)
    to(5.0)
    assert result(step) == 5.0
    empty()
    with pytest.raises(NameError):
        result(step)


def test_attributes_of_the_step_and_of_what_it_calls():
    def step(p, s, x):
        return s * step.factor * inner.factor, s

    def inner():
        pass

    step.factor, inner.factor = 2.0, 1.0
    assert (result(step), result(step)) == (2.0, 2.0)
    inner.factor = 2.0
    assert result(step) == 4.0
    step.__dict__ = {"factor": 3.0}
    assert result(step) == 6.0


def test_what_is_added_or_taken_away(monkeypatch):
    def step(p, s, x):
        return s * (step.factor if hasattr(step, "factor") else 2.0), s

    assert (result(step), result(step)) == (2.0, 2.0)
    step.factor = 5.0
    assert result(step) == 5.0
    del step.factor
    assert result(step) == 2.0
    made = functools.partial(step_with_default)
    assert (result(made), result(made)) == (2.0, 2.0)
    made.keywords["m"] = 2.5
    assert result(made) == 5.0
    reading = copy_of(base_step)
    assert (result(reading), result(reading)) == (2.0, 2.0)
    monkeypatch.delitem(globals(), "FACTOR")
    with pytest.raises(NameError):
        result(reading)


def test_partial_applications():
    def step(k, p, s, x, m=1.0):
        return s * (k * m), s

    made = functools.partial(step, 2.0, m=1.0)
    assert capture_token(made) is not None
    assert (result(made), result(made)) == (2.0, 2.0)
    made.keywords["m"] = 3.0
    assert result(made) == 6.0
    table = np.array([1.0])
    branching = functools.partial(lambda t, p, s, x: (s if t[0] > 0 else -s, s), table)
    assert (result(branching), result(branching)) == (1.0, 1.0)
    table[0] = -1.0
    assert result(branching) == -1.0


def test_callable_objects_of_numpy_that_hold_something():
    """These are objects of a settled module, and what they hold may change all the same."""
    slope = np.poly1d([2.0, 0.0])
    step = lambda p, s, x: (s * slope(1.0), s)  # noqa: E731
    assert result(step) == 2.0
    slope.coeffs[0] = 5.0
    assert result(step) == 5.0
    held = [2.0]
    listed = np.vectorize(lambda k: held[0] * k)
    step = lambda p, s, x: (s * float(listed(1.0)), s)  # noqa: E731
    assert result(step) == 2.0
    held[0] = 5.0
    assert result(step) == 5.0


class Number(float):
    def factor(self):
        return FACTOR * self


Pair = namedtuple("Pair", ["a", "b"])


class Scaling(Pair):
    def factor(self):
        return FACTOR * self.a


class Mode(enum.IntEnum):
    TWO = 2
    FIVE = 5


@dataclass(frozen=True)
class Options:
    k: float

    def factor(self):
        return self.k

    def __post_init__(self):
        object.__setattr__(self, "derived", 2.0 * self.k)


@pytest.mark.parametrize("held", [Number(1.0), Scaling(1.0, 2.0)], ids=["number", "named tuple"])
def test_methods_of_numbers_and_tuples(held, monkeypatch):
    step = lambda p, s, x: (s * held.factor(), s)  # noqa: E731
    assert capture_token(step) is not None
    assert (result(step), result(step)) == (2.0, 2.0)
    monkeypatch.setitem(globals(), "FACTOR", 5.0)
    assert result(step) == 5.0


def test_attributes_of_a_number():
    number = Number(1.0)
    number.k = 2.0
    step = lambda p, s, x: (s * number.k, s)  # noqa: E731
    assert (result(step), result(step)) == (2.0, 2.0)
    number.k = 5.0
    assert result(step) == 5.0


def test_members_of_an_enumeration():
    tokens = set()
    for mode in (Mode.TWO, Mode.FIVE, Mode.TWO):
        step = lambda p, s, x: (s * mode.value, s)  # noqa: B023, E731
        assert result(step) == mode.value
        tokens.add(capture_token(step))
    assert len(tokens) == 2
    assert None not in tokens


def test_what_a_frozen_object_is_made_to_hold():
    options = Options(1.0)
    step = lambda p, s, x: (s * options.derived, s)  # noqa: E731
    assert capture_token(step) is not None
    assert (result(step), result(step)) == (2.0, 2.0)
    object.__setattr__(options, "derived", 5.0)
    assert result(step) == 5.0


def test_a_frozen_object_that_becomes_one_of_another_class():
    class Changed(Options):
        def factor(self):
            return 5.0

    options = Options(2.0)
    step = lambda p, s, x: (s * options.factor(), s)  # noqa: E731
    assert (result(step), result(step)) == (2.0, 2.0)
    object.__setattr__(options, "__class__", Changed)
    assert result(step) == 5.0
