"""Linear algebra where it is delicate: equal eigenvalues, singular matrices, one triangle, errors, kinds of results."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import DtypeError, LinAlgError, OptionError, UnsupportedPrimitive
from tapegrad.numpy_protocols import FUNCTIONS
from tapegrad.testing import check_grads, check_vjp
from tapegrad.testing.differences import directional
from tests.surface.linalg import ROWS as SURFACE

RNG = np.random.default_rng(5)
WEIGHTS = RNG.standard_normal((4, 4))
TURN = np.linalg.qr(RNG.standard_normal((4, 4)))[0]
REPEATED = TURN @ np.diag([1.0, 1.0, 1.0, 3.0]) @ TURN.T
LOW = RNG.standard_normal((5, 2)) @ RNG.standard_normal((2, 4))  # of rank 2


def symmetric(a):
    return 0.5 * (a + a.T)


def assert_gradient(f, a, rtol=1e-6):
    """In reverse mode, against differences along a random direction."""
    direction = np.random.default_rng(0).standard_normal(a.shape)
    truth = directional(lambda x: [f(x)], [a], [direction])
    found = np.sum(tg.grad(f)(a) * direction)
    assert np.isfinite(found)
    np.testing.assert_allclose(found, truth.value[0], rtol=rtol, atol=1e-9)


# ---- equal eigenvalues and singular values ----
def projection(a):
    """On the three-dimensional eigenspace, in which the eigenvectors are arbitrary."""
    v = np.linalg.eigh(symmetric(a))[1][:, :3]
    return np.sum(v @ v.T * WEIGHTS)


def polar(a):
    """The orthogonal factor, which all singular vectors of a give."""
    u, _, vh = np.linalg.svd(a)
    return np.sum(u @ vh * WEIGHTS)


def column_space(a):
    u = np.linalg.svd(a, full_matrices=False)[0][:, :2]
    return np.sum(u @ u.T * np.arange(25.0).reshape(5, 5) ** 0.5)


def row_space(a):
    v = np.linalg.svd(a, full_matrices=False)[2][:2]
    return np.sum(v.T @ v * WEIGHTS)


@pytest.mark.parametrize(
    ("f", "a"),
    [
        (projection, REPEATED),
        (lambda a: np.sum(np.exp(np.linalg.eigvalsh(symmetric(a)))), REPEATED),
        (lambda a: np.sum(np.exp(np.linalg.eigh(symmetric(a)).eigenvalues)), np.eye(4)),
        (lambda a: projection(a) + np.sum(np.linalg.eigvalsh(symmetric(a)) ** 3), REPEATED),
        (polar, TURN),
        (polar, np.eye(4)),
        (lambda a: np.sum(np.linalg.svdvals(a) ** 2), TURN),
        (column_space, LOW),
        (row_space, LOW),
        (row_space, np.ascontiguousarray(LOW.T)[:, :4]),
        (lambda a: np.linalg.norm(a, "nuc"), TURN),
    ],
)  # fmt: skip
def test_functions_that_do_not_see_the_choice_of_vectors_have_a_gradient(f, a):
    assert_gradient(f, a)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_what_counts_as_equal_does_not_depend_on_the_scale(scale):
    found = tg.grad(lambda a: projection(a * scale))(REPEATED)
    np.testing.assert_allclose(found, tg.grad(projection)(REPEATED), rtol=1e-9, atol=1e-12)
    near = TURN @ np.diag([1.0, 1.0 + 1e-6, 1.5, 3.0]) @ TURN.T
    f = lambda a: np.sum(np.linalg.eigh(a * scale)[1] * WEIGHTS)  # noqa: E731
    assert np.all(np.isfinite(tg.grad(f)(near))), "close is not equal"


@pytest.mark.parametrize(
    ("f", "a"),
    [
        (lambda a: np.sum(np.linalg.eigh(a)[1] * WEIGHTS), REPEATED),
        (lambda a: np.sum(np.linalg.svd(a)[0] * WEIGHTS), TURN),
        (lambda a: np.sum(np.linalg.svd(a, full_matrices=False)[0]), LOW),
    ],
)
def test_functions_of_the_choice_have_none(f, a):
    assert not np.all(np.isfinite(tg.grad(f)(a)))


def square_root(a):
    w, v = np.linalg.eigh(symmetric(a))
    return np.sum((v * np.sqrt(w)) @ v.T * WEIGHTS)


def test_a_function_of_a_matrix_by_its_equal_eigenvalues_is_nan_and_never_wrong():
    """Its derivative exists, but eigenvalues and eigenvectors do not hold it; NaN, as in autograd and JAX."""
    assert np.isnan(tg.grad(square_root)(REPEATED)).any()
    rebuilt = lambda a: np.sum((lambda u, s, vh: (u * s) @ vh)(*np.linalg.svd(a)) * WEIGHTS)  # noqa: E731
    assert np.isnan(tg.grad(rebuilt)(TURN)).any()
    assert_gradient(square_root, REPEATED + np.diag([0.0, 0.2, 0.5, 0.9]))


def test_eigenvalues_are_right_in_forward_mode_too():
    move = symmetric(WEIGHTS)
    total = lambda a: np.sum(np.exp(np.linalg.eigvalsh(a)))  # noqa: E731
    w, v = np.linalg.eigh(REPEATED)
    expected = np.sum((v * np.exp(w)) @ v.T * move)
    np.testing.assert_allclose(tg.jvp(total, (REPEATED,), (move,))[1], expected, rtol=1e-12)


# ---- determinants ----
@pytest.mark.parametrize(
    "a", [np.zeros((2, 2)), np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 2.0, 0.0]), np.diag([1.0, 0.0, 0.0, 2.0]),
          np.eye(4), -np.eye(3), LOW[:4], np.array([[-3.0]])],
)  # fmt: skip
def test_determinants_of_matrices_of_any_rank(a):
    check_grads(np.linalg.det, (a,), order=2)


def test_the_second_derivative_of_a_determinant_is_exact():
    """A polynomial: for a 2 x 2 matrix, ad - bc, even at zero."""
    second = tg.hessian(np.linalg.det)(np.zeros((2, 2))).reshape(4, 4)
    np.testing.assert_allclose(second, np.fliplr(np.diag([1.0, -1.0, -1.0, 1.0])), atol=1e-15)


def test_large_determinants_by_their_logarithm():
    a = np.eye(300) * 100.0 + np.random.default_rng(0).standard_normal((300, 300))
    np.testing.assert_allclose(tg.grad(lambda a: np.linalg.slogdet(a).logabsdet)(a), np.linalg.inv(a).T, rtol=1e-12)


# ---- pseudoinverses ----
def test_pinv_at_matrices_of_constant_rank():
    """Along changes that keep the rank; beside them there is no derivative."""
    for factors in ((LOW, np.eye(4) + 0.1 * WEIGHTS), (LOW[:, :2] @ LOW[:2], np.eye(4))):
        left, right = factors
        check_vjp(lambda right, left=left: np.linalg.pinv(left @ right, 1e-9), (right,))


def test_lstsq_is_numpys():
    a, b = RNG.standard_normal((5, 3)), RNG.standard_normal((5, 2))
    for given in ((a, b), (a.T, b[:3]), (a, b[:, 0])):
        found, _ = tg.vjp(np.linalg.lstsq, *given)
        for x, y in zip(found, np.linalg.lstsq(*given), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)
        check_vjp(lambda a, b: np.linalg.lstsq(a, b)[:2], given)


# ---- one triangle ----
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("name", ["eigvalsh", "cholesky"])
def test_the_other_triangle_is_neither_read_nor_given_a_gradient(name, upper):
    whole = TURN @ np.diag([1.0, 2.0, 3.0, 5.0]) @ TURN.T
    beside = np.tri(4, k=-1, dtype=bool) if upper else ~np.tri(4, dtype=bool)
    spoiled = np.where(beside, np.nan, whole)

    def total(a):
        options = {"upper": upper} if name == "cholesky" else {"UPLO": "U" if upper else "L"}
        return np.sum(np.sin(getattr(np.linalg, name)(a, **options)))

    value, found = tg.value_and_grad(total)(spoiled)
    assert value == pytest.approx(total(whole), rel=1e-14), "eigvalsh gives the values of eigh"
    assert not found[beside].any()
    of_symmetric = tg.grad(lambda a: total(symmetric(a)))(whole)
    np.testing.assert_allclose(symmetric(found), of_symmetric, rtol=1e-12, atol=1e-14)
    assert tg.jvp(total, (spoiled,), (spoiled,))[1] == pytest.approx(np.sum(np.where(beside, 0, found * whole)))


# ---- what is returned ----
def test_every_function_of_numpy_is_there():
    """With a row in the surface, or refused."""
    there_are = [f for name, f in vars(np.linalg).items() if callable(f) and name in np.linalg.__all__]
    names = {f.__name__ for f in there_are}
    rows = {row.name.removeprefix("linalg.") for row in SURFACE if row.name.startswith("linalg.")}
    assert names - rows == {"eig", "eigvals", "LinAlgError"}
    assert {getattr(np.linalg, name) for name in rows} <= set(FUNCTIONS)


def test_results_have_numpys_classes_and_values():
    a = TURN + 2 * np.eye(4)
    for name, fields in {
        "eigh": ("eigenvalues", "eigenvectors"), "svd": ("U", "S", "Vh"), "qr": ("Q", "R"),
        "slogdet": ("sign", "logabsdet"),
    }.items():  # fmt: skip
        function = getattr(np.linalg, name)
        plain, (found, _) = function(a), tg.vjp(function, a)
        assert type(found) is type(plain)
        for field in fields:
            np.testing.assert_array_equal(getattr(found, field), getattr(plain, field))


@pytest.mark.parametrize("name", ["inv", "det", "pinv", "cholesky"])
def test_values_are_numpys_to_the_last_bit(name):
    for n in (1, 2, 5, 30):
        a = np.random.default_rng(n).standard_normal((n, n))
        a = a @ a.T + np.eye(n)
        np.testing.assert_array_equal(tg.vjp(getattr(np.linalg, name), a)[0], getattr(np.linalg, name)(a))


def test_integers_become_floats_as_in_numpy():
    stack = np.array([[[2, 1], [1, 3]], [[1, 0], [4, 2]]])
    for function in (np.linalg.inv, np.linalg.det, lambda a: np.linalg.solve(a, a[:, 0])):
        found = tg.vmap(function)(stack)
        np.testing.assert_allclose(found, [function(a) for a in stack], rtol=1e-14)


def test_a_chain_is_multiplied_in_the_cheapest_order():
    arrays = [np.ones(pair) for pair in ((10, 100), (100, 5), (5, 50))]
    tape = tg.trace(lambda *given: np.linalg.multi_dot(given))(*arrays)
    made = [node.ans.shape for node in tape.nodes if node is not None and node.primitive.name == "contract"]
    assert made == [(10, 5), (10, 50)]


# ---- errors ----
ONES, STACK = np.ones((3, 3)), np.stack([np.eye(3), np.ones((3, 3)), np.eye(3)])
WRONG = [
    (np.linalg.inv, ONES, LinAlgError, r"inv: the matrix is singular .*shape \(3, 3\).*pinv"),
    (np.linalg.inv, STACK, LinAlgError, r"the matrix at index \(1,\) of the stack is singular"),
    (lambda a: np.linalg.solve(a, np.ones(4)), ONES, LinAlgError, r"right sides of shape \(4, 1\) do not fit"),
    (lambda a: np.linalg.solve(a, np.ones((2, 3))), STACK, LinAlgError, r"vector only if it has a single axis"),
    (np.linalg.cholesky, -STACK, LinAlgError, r"index \(0,\) of the stack is not positive definite.*eigh"),
    (np.linalg.det, np.ones(3), LinAlgError, r"det: an argument of shape \(3,\); it must be a matrix"),
    (np.linalg.det, np.ones((3, 2)), LinAlgError, r"shape \(3, 2\); the last two axes must be of equal length"),
    (np.linalg.det, ONES.astype(np.float16), DtypeError, r"float16.*astype"),
    (lambda a: np.linalg.slogdet(a)[1], ONES, LinAlgError, r"slogdet: its derivative is infinite.*det has a finite"),
    (lambda a: np.linalg.qr(a)[0], ONES, LinAlgError, r"qr: its derivative exists only.*linearly independent"),
    (lambda a: np.linalg.qr(a, "complete")[0], np.ones((3, 2)), UnsupportedPrimitive, "mode='reduced'"),
    (lambda a: np.linalg.qr(a, "raw")[0], ONES, UnsupportedPrimitive, "mode='raw'"),
    (lambda a: np.linalg.svd(a)[0], np.ones((3, 2)), UnsupportedPrimitive, "give full_matrices=False"),
    (np.linalg.svdvals, np.full((2, 2), np.nan), LinAlgError, r"svd: .* converge.*NaN"),
    (lambda a: np.linalg.eig(a)[0], ONES, UnsupportedPrimitive, r"linalg.eig: .* complex.*np.linalg.eigh"),
    (np.linalg.eigvals, ONES, UnsupportedPrimitive, r"linalg.eigvals: .* complex.*np.linalg.eigh"),
    (lambda a: np.linalg.eigvalsh(a, "X"), ONES, OptionError, "UPLO='X'"),
    (lambda a: np.linalg.pinv(a, hermitian=True), ONES, UnsupportedPrimitive, "hermitian="),
    (lambda a: np.linalg.tensorsolve(a, np.ones(2)), ONES, LinAlgError, "tensorsolve: arrays of shapes"),
    (lambda a: np.linalg.multi_dot([a]), ONES, LinAlgError, "multi_dot: 1 arrays"),
    (lambda a: np.linalg.outer(a, a), ONES, LinAlgError, "outer: arrays of shapes"),
    (lambda a: np.linalg.cross(a[:2], a[:2], axis=0), ONES, LinAlgError, "cross: vectors of 2 and 2 elements"),
    (np.linalg.cond, np.ones((0, 2)), LinAlgError, "cond: matrices of shape"),
]  # fmt: skip


@pytest.mark.parametrize(("f", "a", "kind", "words"), WRONG)
def test_errors_name_what_came_and_what_to_do(f, a, kind, words):
    with pytest.raises(kind, match=words) as caught:
        tg.grad(lambda a: np.sum(f(a)))(a)
    if kind is LinAlgError:
        assert isinstance(caught.value, np.linalg.LinAlgError), "code that catches NumPy's goes on working"
