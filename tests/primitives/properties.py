"""What holds for every primitive, on arguments drawn from its row.

A property takes a row, a call of it as a function of arrays, and Hypothesis's data for what else it draws. It may write
into no array of the call, since the properties of a row share the call.
"""

from collections.abc import Callable
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.testing import check_grads
from tapegrad.testing.strategies import LAYOUTS, laid_out
from tests.primitives.flat import assert_same, batches, check_vmap, pulled, pushed, weights
from tests.specs import PRIMITIVES, Spec

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


class Property(NamedTuple):
    """A statement, and the rows that it is made of."""

    holds: Callable
    applies: Callable[[Spec], bool]

    def __str__(self) -> str:
        return self.holds.__name__.replace("_", " ")


PROPERTIES: list[Property] = []


def of(applies: Callable[[Spec], bool]) -> Callable:
    def added(holds: Callable) -> Callable:
        PROPERTIES.append(Property(holds, applies))
        return holds

    return added


def every(spec: Spec) -> bool:
    return True


def differentiable(spec: Spec) -> bool:
    return spec.order > 0


def constant(spec: Spec) -> bool:
    return not spec.order


def properties_of(spec: Spec) -> list[Property]:
    """Those that are made of a row."""
    return [p for p in PROPERTIES if p.applies(spec)]


@of(differentiable)
def derivatives_of_both_orders_in_both_modes(spec, flat, data):
    """VJP, JVP, the adjoint identity and their derivatives, against evaluation: relative error below 1e-7."""
    check_grads(flat, flat.leaves, order=spec.order, seed=data.draw(st.integers(0, 99)))


@of(constant)
def without_a_derivative_the_gradient_is_zero(spec, flat, data):
    if flat.moving:
        leaves = [flat.leaves[i] for i in flat.moving]
        for g, leaf in zip(pulled(flat, flat.leaves, weights(flat(*flat.leaves))), leaves, strict=True):
            assert_same([g], [np.zeros_like(leaf)])
        for tangent in pushed(flat, flat.leaves, leaves):
            assert not tangent.any()


@of(differentiable)
def linear_in_the_cotangent_and_in_the_tangent(spec, flat, data):
    u, v = (weights(flat(*flat.leaves), seed) for seed in (1, 2))
    both = pulled(flat, flat.leaves, [2.0 * a - 0.5 * b for a, b in zip(u, v, strict=True)])
    parts = zip(pulled(flat, flat.leaves, u), pulled(flat, flat.leaves, v), strict=True)
    assert_same(both, [2.0 * a - 0.5 * b for a, b in parts], 1e-11, 1e-12)

    moving = [flat.leaves[i] for i in flat.moving]
    u, v = (weights(moving, seed) for seed in (1, 2))
    both = pushed(flat, flat.leaves, [2.0 * a - 0.5 * b for a, b in zip(u, v, strict=True)])
    parts = zip(pushed(flat, flat.leaves, u), pushed(flat, flat.leaves, v), strict=True)
    assert_same(both, [2.0 * a - 0.5 * b for a, b in parts], 1e-11, 1e-12)


def mixes(spec, flat):
    """Every choice of dtypes for the leaves; of many leaves one is unlike the others at most."""
    choices = product([SINGLE, DOUBLE], repeat=len(flat.leaves))
    most = 1 if len(flat.leaves) > 3 else 3
    return [m for m in choices if min(m.count(SINGLE), m.count(DOUBLE)) <= (most if spec.mixed else 0)]


@of(every)
def values_and_dtypes_are_those_of_numpy(spec, flat, data):
    """With and without differentiation; float32, float64 and a mix of them. A gradient has the dtype of its primal."""
    dtypes = data.draw(st.sampled_from(mixes(spec, flat)))
    leaves = [x.astype(dtypes[i]) if i in flat.moving else x for i, x in enumerate(flat.leaves)]
    single = SINGLE in dtypes
    plain, expected = flat(*leaves), flat.reference(*leaves)
    assert_same(plain, [np.asarray(e) for e in expected], 1e-5 if single else 1e-12, 1e-6 if single else 1e-13)
    if not flat.moving:
        return
    function, moving = flat.among(leaves)
    value, pullback = tg.vjp(function, *moving)
    assert_same(value, plain, 0, 0)
    cotangents = weights(value)
    grads = pullback(cotangents)
    assert [(g.shape, g.dtype) for g in grads] == [(x.shape, x.dtype) for x in moving]
    value, tangents = tg.jvp(function, moving, weights(moving))
    assert_same(value, plain, 0, 0)
    assert [(np.shape(t), t.dtype) for t in tangents] == [(np.shape(v), np.asarray(v).dtype) for v in plain]
    if single and spec.order:
        wide = pulled(flat, flat.leaves, weights(flat(*flat.leaves)))
        assert_same([g.astype(float) for g in grads], wide, spec.single, spec.single)


@of(lambda spec: spec.order > 0 and spec.mixed)
def single_precision_stays_single(spec, flat, data):
    """No line of a derivative is computed in double precision, where the result is not either."""
    leaves = [x.astype(SINGLE) if i in flat.moving else x for i, x in enumerate(flat.leaves)]
    results, moves = flat(*leaves), weights([leaves[i] for i in flat.moving])
    if DOUBLE in [np.asarray(y).dtype for y in results]:
        return
    numbers = [i for i, x in enumerate(leaves) if not isinstance(x, np.ndarray)]

    def derivatives(*given):
        given = _with(given, leaves, numbers)
        return [*pulled(flat, given, weights(results)), *pushed(flat, given, moves)]

    for node in tg.trace(derivatives)(*_without(leaves, numbers)).nodes:
        made = () if node is None else node.ans if isinstance(node.ans, tuple) else (node.ans,)
        assert DOUBLE not in [getattr(part, "dtype", None) for part in made], node


@of(differentiable)
def some_of_the_arguments_give_their_part_of_the_derivative(spec, flat, data):
    """In every mix of dtypes; what is not asked for is left out, and changes neither numbers nor dtypes."""
    dtypes = data.draw(st.sampled_from(mixes(spec, flat)))
    leaves = [x.astype(dtypes[i]) if i in flat.moving else x for i, x in enumerate(flat.leaves)]
    function, moving = flat.among(leaves)
    value, pullback = tg.vjp(function, *moving)
    cotangents, moves = weights(value), weights(moving)
    whole = pullback(cotangents)
    for asked in combinations(range(len(moving)), data.draw(st.integers(1, len(moving)))):

        def of_some(*given, asked=asked):
            return function(*[given[asked.index(i)] if i in asked else x for i, x in enumerate(moving)])

        part = tg.vjp(of_some, *[moving[i] for i in asked])[1](cotangents)
        assert_same(part, [whole[i] for i in asked], 1e-5 if SINGLE in dtypes else 1e-12, 1e-6)
        tangents = tg.jvp(of_some, [moving[i] for i in asked], [moves[i] for i in asked])[1]
        still = [moves[i] if i in asked else np.zeros_like(x) for i, x in enumerate(moving)]
        parts = zip(tg.jvp(function, moving, still)[1], value, strict=True)
        expected = [np.asarray(t, np.asarray(v).dtype) for t, v in parts]
        assert_same(tangents, expected, 1e-5 if SINGLE in dtypes else 1e-12, 1e-6)


@of(differentiable)
def cotangents_of_two_uses_add_up(spec, flat, data):
    u, v = (weights(flat(*flat.leaves), seed) for seed in (1, 2))
    function, moving = flat.among(flat.leaves)
    both = tg.vjp(lambda *given: [*function(*given), *function(*given)], *moving)[1]([*u, *v])
    parts = zip(pulled(flat, flat.leaves, u), pulled(flat, flat.leaves, v), strict=True)
    assert_same(both, [a + b for a, b in parts], 1e-11, 1e-12)


@of(lambda spec: spec.order > 0 and not PRIMITIVES[spec.name].multiple)
def nothing_is_computed_for_what_is_not_asked(spec, flat, data):
    primitive, ans = PRIMITIVES[spec.name], flat(*flat.leaves)
    for asked, leaf in enumerate(flat.leaves):
        if len(flat.leaves) > 1 and isinstance(leaf, np.ndarray):
            slots = [0 if i == asked else -1 for i in range(len(flat.leaves))]
            found = primitive.pull(weights(ans)[0], ans[0], flat.leaves, flat.call.options, slots)
            assert [part is not None for part in found] == [i == asked and i in flat.moving for i in range(len(slots))]


@of(every)
def layout_in_memory_does_not_matter_and_nothing_is_written(spec, flat, data):
    leaves = [
        laid_out(x.copy(), data.draw(st.sampled_from(LAYOUTS))) if isinstance(x, np.ndarray) else x for x in flat.leaves
    ]
    for x in leaves:
        if isinstance(x, np.ndarray):
            x.flags.writeable = False
    assert_same(flat(*leaves), flat(*flat.leaves))
    if flat.moving:
        cotangents = weights(flat(*flat.leaves))
        for u in cotangents:
            u.flags.writeable = False
        assert_same(pulled(flat, leaves, cotangents), pulled(flat, flat.leaves, cotangents))
        moves = weights([flat.leaves[i] for i in flat.moving])
        assert_same(pushed(flat, leaves, moves), pushed(flat, flat.leaves, moves))


def flag_choices(flat, data):
    """Every choice of arguments to map over; of many arguments one random choice."""
    arrays = [isinstance(x, np.ndarray) for x in flat.leaves]
    if sum(arrays) > 3:
        drawn = [is_array and data.draw(st.booleans()) for is_array in arrays]
        return [tuple(drawn)] if any(drawn) else [tuple(arrays)]
    return [flags for flags in product(*[(True, False) if a else (False,) for a in arrays]) if any(flags)]


@of(every)
def vmap_is_a_loop(spec, flat, data):
    size, seed = data.draw(st.sampled_from([2, 1, 3])), data.draw(st.integers(0, 99))
    for flags in flag_choices(flat, data):
        check_vmap(flat, flat, flags, size, seed)


@of(differentiable)
def derivatives_under_vmap_are_a_loop(spec, flat, data):
    size, seed = data.draw(st.sampled_from([2, 1, 3])), data.draw(st.integers(0, 99))
    cotangents = weights(flat(*flat.leaves))
    moves = weights([flat.leaves[i] for i in flat.moving])

    def derivatives(*leaves):
        return [*pulled(flat, leaves, cotangents), *pushed(flat, leaves, moves)]

    check_vmap(derivatives, flat, data.draw(st.sampled_from(flag_choices(flat, data))), size, seed, 1e-11)


@of(every)
def abstract_evaluation_gives_the_shape_and_dtype_of_numpy(spec, flat, data):
    dtype = data.draw(st.sampled_from([SINGLE, DOUBLE]))
    leaves = [x.astype(dtype) if i in flat.moving else x for i, x in enumerate(flat.leaves)]
    numbers = [i for i, x in enumerate(leaves) if not isinstance(x, np.ndarray)]
    tape = tg.trace(lambda *given: flat(*_with(given, leaves, numbers)))(*_without(leaves, numbers))
    found = [(value.shape, value.dtype) for _, value in tape.outputs]
    assert found == [(np.shape(y), np.asarray(y).dtype) for y in flat.reference(*leaves)]
    assert str(tape).startswith("tape(")


def _without(leaves, numbers):
    return [x for i, x in enumerate(leaves) if i not in numbers]


def _with(given, leaves, numbers):
    given = iter(given)
    return [x if i in numbers else next(given) for i, x in enumerate(leaves)]


@of(every)
def an_empty_batch(spec, flat, data):
    """vmap over nothing gives nothing, of the right shape."""
    flags = data.draw(st.sampled_from(flag_choices(flat, data)))
    stacks = batches(flat, 0, 0)
    given = [s if flag else x for s, x, flag in zip(stacks, flat.leaves, flags, strict=True)]
    results = tg.vmap(flat, [0 if flag else None for flag in flags])(*given)
    plain = flat(*flat.leaves)
    assert [r.shape for r in results] == [(0, *np.shape(y)) for y in plain]
    assert [r.dtype for r in results] == [np.asarray(y).dtype for y in plain]


# ---- arrays that change ----
def spoil(array):
    """Write over a live array, as an optimiser's ``p -= ...`` does."""
    if isinstance(array, np.ndarray) and array.flags.writeable and array.dtype.kind == "f":
        array[...] = 777.0


@of(differentiable)
def arguments_and_captured_arrays_that_change(spec, flat, data):
    """The pullback is that of the values at the time of the call, whichever arguments are differentiated."""
    asked = sorted(data.draw(st.sets(st.sampled_from(flat.moving), min_size=1)))
    leaves = [np.array(x) if isinstance(x, np.ndarray) else x for x in flat.leaves]

    def function(*given):
        filled = list(leaves)
        for i, value in zip(asked, given, strict=True):
            filled[i] = value
        return flat(*filled)

    value, pullback = tg.vjp(function, *[leaves[i] for i in asked])
    cotangents = weights(value)
    expected = [np.array(g) for g in pullback(cotangents)]
    for x in leaves:
        spoil(x)
    assert_same(pullback(cotangents), expected)


@of(differentiable)
def results_cotangents_and_gradients_belong_to_the_caller(spec, flat, data):
    function, moving = flat.among(flat.leaves)
    value, pullback = tg.vjp(function, *moving)
    cotangents = weights(value)
    kept = [np.array(u) for u in cotangents]
    first = pullback(cotangents)
    assert_same(cotangents, kept)
    expected = [np.array(g) for g in first]
    for array in (*value, *first):
        spoil(array)
    assert_same(cotangents, kept)
    assert_same(pullback(cotangents), expected)
    arrays = [*first, *value, *cotangents, *moving]
    for i, a in enumerate(arrays):
        for b in arrays[i + 1 :]:
            assert not np.shares_memory(a, b) or a is b is None
