"""The mutants that no check can tell from the original, and why.

By rule, and by what is written instead of what. ``tests/meta/test_mutants.py`` sees to it that each is a mutant and is
not caught. What the kit does not catch although it is wrong is not listed here: the kit is then made to catch it.
"""

FASTER = "a shorter way to the same numbers"
ORDER = "the order makes no difference"
LIST = "NumPy and the keys of tapes take a list for a tuple"
UNREAD = "the number is put where the result is not read"
NO_OPERATION = "what is then done too changes nothing"

EQUIVALENT: dict[str, dict[str, str]] = {
    "registry.like": {
        "if g.shape == shape: ... -> (nothing)": FASTER,
        "n == 1 and g.shape[i] != 1 -> n == 1": "a sum over an axis of length 1",
        "reduce(g, axis=axes, keepdims=len(axes) > lead) -> reduce(g, axis=axes)": "it is reshaped behind it",
        "len(axes) > lead -> len(axes) >= lead": "it is reshaped behind it",
        "len(axes) > lead -> len(axes) < lead": "it is reshaped behind it",
        "g if g.shape == shape else g.reshape(shape) -> g.reshape(shape)": NO_OPERATION,
        "shape -> lead [5]": NO_OPERATION,
    },
    "registry.stretched": {
        "if isinstance(value, np.generic): ... -> (nothing)": FASTER,
        "value -> shape": FASTER,
    },
    "registry.is_inexact": {
        "if isinstance(value, float): ... -> (nothing)": "no result of a cast is a Python number",
        "True -> False": "no result of a cast is a Python number",
        "getattr(value, 'dtype', None) -> getattr(value, 'dtype')": "no result of a cast is a Python number",
        "dtype is not None and dtype.kind in 'fc' -> dtype.kind in 'fc'": "no result of a cast is a Python number",
        "dtype -> value": "no result of a cast is a Python number",
    },
    "elementwise.Elementwise.push": {
        "total if total.shape == ans.shape else np.broadcast_to(total, ans.shape) -> np.broadcast_to(total, ans.shape)":
            NO_OPERATION,
    },
    "elementwise.Elementwise.batch": {"flag and missing -> flag": NO_OPERATION},
    "elementwise.Cast.pull": {"ans -> g": "a cotangent has the dtype of its result"},
    "elementwise.power_base": {
        "if isinstance(y, (int, float)): ... -> (nothing)": FASTER,
        "y -> x": FASTER,
        "(int, float) -> (float, int)": ORDER,
        "2 * x if y == 2 else y * x ** (y - 1) if y else 0.0 -> y * x ** (y - 1) if y else 0.0": FASTER,
        "np.logical_and(np.equal(x, 0), np.equal(y, 0)) -> np.logical_and(np.equal(y, 0), np.equal(x, 0))": ORDER,
        "np.equal(x, 0) -> np.equal(0, x)": ORDER,
        "np.equal(y, 0) -> np.equal(0, y)": ORDER,
        "1.0 -> 1.001": "0 to any positive power is 0",
    },
    "elementwise.power_exponent": {
        "(int, float) -> (float, int)": ORDER,
        "np.equal(x, 0) -> np.equal(0, x)": ORDER,
        "x > 0 -> x >= 0": "there x is not 0",
        "0.0 -> 0.001 [2]": "times the logarithm of 1",
        "0.0 -> 1.0 [2]": "times the logarithm of 1",
        "1.0 -> 1.001": "its logarithm is multiplied by 0",
    },
    "elementwise.gap": {
        "if any((type(number) in (int, float) and math.isfinite(number) for number in (x, y))): ... -> (nothing)":
            FASTER,
        "x -> y": FASTER,
        "y -> x": FASTER,
        "(int, float) -> (float, int)": ORDER,
        "(x, y) -> (y, x)": ORDER,
        "np.logical_and(np.equal(x, y), np.logical_not(np.isfinite(x))) -> "
        "np.logical_and(np.logical_not(np.isfinite(x)), np.equal(x, y))": ORDER,
        "np.equal(x, y) -> np.equal(y, x)": ORDER,
        "x -> y [4]": "both are the same where it counts",
        "0.0 -> 0.001 [2]": UNREAD,
        "0.0 -> 1.0 [2]": UNREAD,
    },
    "indexing.Getitem.pull": {
        "g -> arrays": "only what is added up in place is read of this argument",
        "g -> ans": "only what is added up in place is read of this argument",
    },
    "indexing.add_at": {
        "arrays -> template": FASTER,
        "len(arrays) == 1 and template[0] is ARRAY and np.ndim(arrays[0]) -> len(arrays) == 1 and template[0] is ARRAY":
            "one index is an array of one",
        "len(arrays) -> arrays": FASTER,
        "arrays -> template [2]": FASTER,
        "1 -> 0": FASTER,
        "template -> out [2]": FASTER,
        "template -> arrays [2]": FASTER,
        "arrays -> out [3]": FASTER,
        "arrays -> template [3]": FASTER,
    },
    "indexing._add_rows": {
        "index -> rows": "rows without numbers",
        "np.argsort(index, kind='stable') -> np.argsort(index)": "equal indices in any order have the same sum",
        "np.add.reduceat(rows[order], starts, axis=0) -> np.add.reduceat(rows[order], starts)": "the default",
    },
    "indexing.Getitem.batch": {
        "any(flags[1:]) -> flags[1:]": "arrays that all rows share can be repeated for each",
        "at -> template": NO_OPERATION,
    },
    "indexing.Scatter.batch": {
        "any(flags[1:]) -> flags[1:]": "arrays that all rows share can be repeated for each",
        "1 -> 0": "arrays that all rows share can be repeated for each",
        "at -> options": NO_OPERATION,
    },
    "reductions.Sum.pull": {
        "like(self.spread(g, args[0], **options), args[0]) -> self.spread(g, args[0], **options)": NO_OPERATION,
    },
    "reductions.Cumsum.pull": {
        "like(np.flip(np.cumsum(np.flip(g, axis), axis), axis), args[0]) -> "
        "np.flip(np.cumsum(np.flip(g, axis), axis), axis)": NO_OPERATION,
    },
    "reductions.Reduction.spread": {
        "not keepdims and shape_of(g) -> not keepdims or shape_of(g)": NO_OPERATION,
        "not keepdims and shape_of(g) -> shape_of(g)": NO_OPERATION,
        "not keepdims and shape_of(g) -> not keepdims": NO_OPERATION,
        "g -> x": NO_OPERATION,
    },
    "reductions._kept": {
        "tuple([1 if i in axes else n for i, n in enumerate(shape)]) -> "
        "[1 if i in axes else n for i, n in enumerate(shape)]": LIST,
    },
    "reductions.Extremum.share": {
        "ans if keepdims else np.reshape(ans, _kept(x.shape, axis)) -> np.reshape(ans, _kept(x.shape, axis))":
            NO_OPERATION,
        "x -> ans [3]": "both have the same dtype",
    },
    "shaping.Transpose.pull": {
        "tuple([int(i) for i in np.argsort(options['axes'])]) -> [int(i) for i in np.argsort(options['axes'])]": LIST,
        "int(i) -> i": "NumPy's integers are integers",
    },
    "shaping.Flip.batch": {"tuple([i + 1 for i in options['axes']]) -> [i + 1 for i in options['axes']]": LIST},
}  # fmt: skip
