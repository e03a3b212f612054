"""The mutants that no check can tell from the original, and why.

By rule, and by what is written instead of what. ``tests/meta/test_mutants.py`` sees to it that each is a mutant and is
not caught. What the kit does not catch although it is wrong is not listed here: the kit is then made to catch it.
"""

FASTER = "a shorter way to the same numbers"
ORDER = "the order makes no difference"
LIST = "NumPy and the keys of tapes take a list for a tuple"
UNREAD = "the number is put where the result is not read"
NO_OPERATION = "what is then done too changes nothing"
SQUARE = "both sides of a square matrix"
LIKE = "both have the same dtype, or the same length where it is asked"
LAST = "what is added behind the dots is the last axis"
SAME_LARGEST = "the same numbers in another order have the same largest"
EMPTY = "without more columns than rows there are none beside them, and nothing is joined"
NO_DIRECTIONS = "of a square matrix of vectors there is no direction left, but for rounding"

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
        "getattr(value, 'dtype', None) -> getattr(value, 'dtype')": "no result of a cast is a Python number",
        "dtype is not None and dtype.kind in 'fc' -> dtype.kind in 'fc'": "no result of a cast is a Python number",
        "dtype -> value": "no result of a cast is a Python number",
    },
    "elementwise.Elementwise.push": {
        "total if total.shape == ans.shape else np.broadcast_to(total, ans.shape) -> np.broadcast_to(total, ans.shape)":
            NO_OPERATION,
    },
    "registry.aligned": {"flag and missing -> flag": NO_OPERATION},
    "elementwise.Cast.pull": {"ans -> g": "a cotangent has the dtype of its result"},
    "elementwise.power_base": {
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
        "ans if keepdims else np.reshape(ans, _kept(shape_of(x), axis)) -> np.reshape(ans, _kept(shape_of(x), axis))":
            NO_OPERATION,
        "np.equal(x, ans if keepdims else np.reshape(ans, _kept(shape_of(x), axis))) -> "
        "np.equal(ans if keepdims else np.reshape(ans, _kept(shape_of(x), axis)), x)": ORDER,
        "x -> ans [3]": "both have the same dtype",
    },
    "shaping.Transpose.pull": {
        "tuple([int(i) for i in np.argsort(options['axes'])]) -> [int(i) for i in np.argsort(options['axes'])]": LIST,
        "int(i) -> i": "NumPy's integers are integers",
    },
    "shaping.Flip.batch": {"tuple([i + 1 for i in options['axes']]) -> [i + 1 for i in options['axes']]": LIST},
    # ---- hypot and products with logarithms
    "hypot[0]": {"share(g, x, ans) -> share(x, g, ans)": "a product of both"},
    "hypot[1]": {"share(g, y, ans) -> share(y, g, ans)": "a product of both"},
    "elementwise.share": {
        "1.0 -> 1.001": "0 over it",
        "1.0 -> -1.0": "0 over it",
    },
    "special.ratio": {
        "np.equal(x, 0) -> np.equal(0, x)": ORDER,
        "np.equal(y, 0) -> np.equal(0, y)": ORDER,
        "np.logical_and(np.equal(x, 0), np.equal(y, 0)) -> np.logical_and(np.equal(y, 0), np.equal(x, 0))": ORDER,
        "1.0 -> 1.001": "0 over it",
        "1.0 -> -1.0": "0 over it",
    },
    "betainc[2]": {"betaln(a, b) -> betaln(b, a)": ORDER},
    # ---- linear algebra
    "linalg.swap": {"np.swapaxes(x, -1, -2) -> np.swapaxes(x, -2, -1)": ORDER},
    "linalg.Solve.batch": {
        "apply(self, aligned(size, args, flags), options) -> apply(self, aligned(size, args, flags))":
            "it has no options",
    },
    "linalg.Slogdet.pull": {"1 -> 2 [3]": SQUARE},
    "linalg.Det.push": {"(-2, -1) -> (-1, -2)": ORDER},
    "linalg.Cofactors.pull": {
        "ans -> g": "push reads neither its result nor options",
        "ans -> args": "push reads neither its result nor options",
        "options -> args": "push reads neither its result nor options",
        "options -> slots": "push reads neither its result nor options",
    },
    "linalg.Cofactors.push": {
        "a -> vh [2]": LIKE,
        "a -> da [2]": LIKE,
        "1 -> 2": SQUARE,
        "a -> vh [3]": LIKE,
        "a -> da [3]": LIKE,
        "_orientation(u, vh) -> _orientation(vh, u)": ORDER,
    },
    "linalg._orientation": {
        "np.sign(np.linalg.det(u) * np.linalg.det(vh)) -> np.linalg.det(u) * np.linalg.det(vh)":
            "each is 1 or -1, but for rounding",
        "np.linalg.det(u) * np.linalg.det(vh) -> np.linalg.det(u) / np.linalg.det(vh)":
            "each is 1 or -1, but for rounding",
    },
    "linalg._products_of_other_pairs": {
        "np.where(one, 0.0, np.prod(np.where(left_out, 1.0, s[..., None, None, :]), axis=-1)) -> "
        "np.where(0.0, one, np.prod(np.where(left_out, 1.0, s[..., None, None, :]), axis=-1))":
            "what is added on the diagonal is taken away there again",
        "0.0 -> 0.001": "what is added on the diagonal is taken away there again",
        "0.0 -> 1.0": "what is added on the diagonal is taken away there again",
        "1.0 -> -1.0": "two of them are multiplied, but on the diagonal, where the product is not read",
    },
    "decompositions.folded": {"triangle(g, upper, 2.0, 1.0) -> triangle(g, upper, 2.0)": "the default"},
    "decompositions.triangle": {"1 -> 2": SQUARE},
    "decompositions.symmetric": {
        "1 -> 2": SQUARE,
        "np.tri(n, dtype=bool) -> np.tri(n)": "0 and 1 are taken for truth values",
        "0.0 -> 0.001": "it is multiplied by 0 behind it",
        "0.0 -> 1.0": "it is multiplied by 0 behind it",
    },
    "decompositions.Eigh.pull": {"(..., None, :) -> (..., :, None) [2]": SAME_LARGEST},
    "decompositions.Eigh.push": {"(..., None, :) -> (..., :, None)": SAME_LARGEST},
    "decompositions.differences": {"(..., :, None) -> (:, ..., None)": LAST},
    "decompositions.sums": {"(..., :, None) -> (:, ..., None)": LAST},
    "decompositions._infinite_diagonal": {
        "np.diag(np.full(shape_of(w)[-1], np.inf, w.dtype)) -> "
        "np.diag(np.full(shape_of(w)[-1], np.inf, w.dtype)) * 1.001": "0 and infinity stay what they are",
    },
    "decompositions.largest": {"(-2, -1) -> (-1, -2)": ORDER},
    "decompositions.over": {
        "x -> gap": "both have as many rows, or as many columns where there are most",
        "x -> gap [2]": LIKE,
        "x -> gap [3]": LIKE,
        "float(np.finfo(x.dtype).eps) -> np.finfo(x.dtype).eps": "a power of two in each dtype",
        "1.0 -> 1.001 [2]": UNREAD,
        "1.0 -> -1.0 [2]": UNREAD,
    },
    "decompositions.Svd.pull": {
        "(..., None, :) -> (..., :, None)": SAME_LARGEST,
        "(..., None, :) -> (..., :, None) [2]": "a diagonal matrix that is scaled by rows or by columns",
        "s -> u [2]": LIKE,
        "s -> u [3]": LIKE,
        "s -> vh [3]": LIKE,
        "u -> s [3]": LIKE,
        "over(odd[0] - odd[1], sums(s), size, scale, alone) -> over(odd[0] - odd[1], sums(s), size, scale)":
            "where a sum is 0 the difference is too, which gives NaN",
        "alone -> odd [2]": "where a sum is 0 the difference is too, which gives NaN",
        "total + u @ swap(rest) -> u @ swap(rest)": "only one of both matrices of vectors is not square",
    },
    "decompositions.Svd.push": {
        "(..., None, :) -> (..., :, None)": SAME_LARGEST,
        "shape_of(u)[-2] > shape_of(u)[-1] -> shape_of(u)[-2] >= shape_of(u)[-1]": NO_DIRECTIONS,
        "shape_of(v)[-2] > shape_of(v)[-1] -> shape_of(v)[-2] >= shape_of(v)[-1]": NO_DIRECTIONS,
        "u -> da [3]": LIKE,
        "u -> da [4]": LIKE,
        "u -> s [4]": LIKE,
        "v -> moved [5]": LIKE,
        "right -> left [2]": "where the numerator is rounding, both are of one size",
        "left -> right [3]": "where the numerator is rounding, both are of one size",
    },
    "decompositions.Qr.pull": {
        "r -> q": EMPTY,
        "a -> q [2]": LIKE,
        "gr is not None and shape_of(a)[-1] > k -> gr is not None": EMPTY,
        "shape_of(a)[-1] > k -> shape_of(a)[-1] >= k": EMPTY,
        "np.concatenate([cotangent, rest], axis=-1) if shape_of(a)[-1] > k else cotangent -> "
        "np.concatenate([cotangent, rest], axis=-1)": EMPTY,
        "shape_of(a)[-1] > k -> shape_of(a)[-1] >= k [2]": EMPTY,
    },
    "decompositions.Qr.push": {
        "r -> q": EMPTY,
        "triangle((moved - turn) @ first, upper=True) -> (moved - turn) @ first": "it is triangular already",
        "if shape_of(a)[-1] == k: ... -> (nothing)": EMPTY,
        "a -> da": LIKE,
        "k -> options [3]": EMPTY,
    },
}  # fmt: skip
