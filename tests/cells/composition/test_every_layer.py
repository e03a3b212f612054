"""What holds for every registered layer; and layers with a fault, in which it is seen."""

import numpy as np
import pytest

from tapegrad import pytree
from tapegrad.cells import GRU, Bidirectional, Dropout, Elman, Pooling, Sequential, Subsampling, cells, variants
from tests.cells.composition import properties
from tests.cells.composition.properties import BATCH, STEPS, arguments, call

EVERY = pytest.mark.parametrize("variant", variants("layer"), ids=str)


def built(variant, seed=0):
    return variant.build(np.random.default_rng(seed))


def test_what_is_registered():
    assert {Bidirectional, Dropout, Pooling, Sequential, Subsampling} <= set(cells("layer"))
    assert not set(cells("layer")) & {*cells(), *cells("readout")}
    assert len({str(variant) for variant in variants("layer")}) == len(variants("layer"))


@EVERY
def test_it_is_a_value_with_declared_parameters(variant):
    assert len({built(variant, seed) for seed in range(8)}) > 1
    properties.is_a_value(built(variant))
    properties.init_follows_the_declaration(built(variant))


@EVERY
@pytest.mark.parametrize(("steps", "batch"), [(None, BATCH), (0, 2), (5, 0), (0, 0), (1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(variant, steps, batch, dtype):
    properties.keeps_shapes_and_dtypes(built(variant), steps, batch, dtype)


@EVERY
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("lengths", [(STEPS, 4, 0), (3, 1, 5, 2), (0, 0)])
def test_padding_has_no_effect(variant, seed, lengths):
    properties.ignores_padding(built(variant, seed), lengths)


@EVERY
def test_padding_has_no_effect_backwards(variant):
    layer = built(variant)
    if "reverse=True" not in (refusal(layer) or ""):
        properties.ignores_padding(layer, reverse=True)


def refusal(layer):
    """What a layer says to ``reverse=True``, when it refuses it."""
    params, state, data, noise = arguments(layer)
    try:
        call(layer, params, state, data, noise, reverse=True)
    except Exception as error:
        return str(error)
    return None


@EVERY
def test_gradients(variant):
    properties.has_right_gradients(built(variant, 1), order=2)


@EVERY
def test_compiled_as_the_reference(variant):
    properties.compiles_to_the_same(built(variant))


@EVERY
def test_every_array_matters(variant):
    properties.everything_matters(built(variant))


@EVERY
def test_it_starts_from_its_initial_state(variant):
    layer = built(variant)
    params, _, data, noise = arguments(layer)
    start = layer.initial_state(BATCH, np.float64)
    properties.assert_close(call(layer, params, None, data, noise), call(layer, params, start, data, noise))


# ---- layers with a fault ----


class BackwardFromTheEnd(Bidirectional):
    """The backward layer begins at the end of the padding."""

    def __call__(self, params, xs, state=None, *, lengths=None, **options):
        (f, _), one = super().__call__(params, xs, state, lengths=lengths, **options)
        (_, b), two = super().__call__(params, xs, state, **options)
        valid = True if lengths is None else (np.arange(len(xs))[:, None] < lengths)[..., None]
        n = self.forward.output_size
        return (f, b), np.concatenate([one[..., :n], np.where(valid, two[..., n:], 0)], axis=-1)


class LastOfAll(Pooling):
    """Takes the last step of the array, in whatever row."""

    def __call__(self, params, xs, state=None, *, lengths=None, **options):
        return super().__call__(params, xs, state, **options)


class Rounding(Subsampling):
    """Leaves a last group out that is not full, and does not say so."""

    def __call__(self, params, xs, state=None, **options):
        options.pop("lengths", None)
        return super().__call__(params, xs[: len(xs) // self.factor * self.factor], state, **options)


class NoGradient(Sequential):
    """Lets no gradient through to its parameters."""

    def __call__(self, params, xs, state=None, **options):
        from tapegrad import stop_gradient

        return super().__call__(pytree.map(stop_gradient, params), xs, state, **options)


class Forgetful(Bidirectional):
    """Starts from the initial state, whatever it is given."""

    def __call__(self, params, xs, state=None, **options):
        return super().__call__(params, xs, None, **options)


class Widening(Sequential):
    """Gives float64 whatever comes in."""

    def __call__(self, params, xs, state=None, **options):
        end, ys = super().__call__(params, xs, state, **options)
        return end, ys * np.float64(1)


PAIR = GRU(2, 3), Elman(2, 4)


@pytest.mark.parametrize(
    ("layer", "check"),
    [
        (BackwardFromTheEnd(*PAIR), properties.ignores_padding),
        (LastOfAll(3), properties.ignores_padding),
        (LastOfAll(3, "mean"), properties.ignores_padding),
        (Rounding(3), properties.keeps_shapes_and_dtypes),
        (NoGradient(PAIR[:1]), properties.has_right_gradients),
        (Forgetful(*PAIR), properties.everything_matters),
        (Widening(PAIR[:1]), properties.keeps_shapes_and_dtypes),
    ],
    ids=lambda value: type(value).__name__ if not callable(value) or isinstance(value, object) else None,
)
def test_a_fault_is_seen(layer, check):
    with pytest.raises(AssertionError):
        check(layer)
