"""The orthogonal map between two sets of paired vectors."""

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Array = NDArray[np.float64]

STATEMENT = r"""
Write `procrustes(X, Y)`: return $W$, float64 of shape $(d, d)$, that is orthogonal, $W^\top W = I$ to within
$10^{-8}$, and of all such matrices has the least $\lVert XW - Y\rVert^2$, summed over all entries.
Row $i$ of `X` is paired with row $i$ of `Y`; both are finite float64 arrays of shape $(N, d)$, $N$ and $d$
from 1. No orthogonal matrix need fit them exactly; $N$ may be smaller than $d$, and rows may repeat or be
zero. Where several $W$ are equally good, return any of them. Use the rows as they are, neither centered nor
scaled; rotations and reflections are both allowed. No input is changed.
"""

STARTER = '''
import numpy as np


def procrustes(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The orthogonal W that minimizes ‖X W − Y‖².

    X, Y: (N, d), float64, row i paired with row i.
    Returns W (d, d), float64.
    """
    raise NotImplementedError
'''

HINTS = (
    "Write out the squared distance. For an orthogonal W, which of its three terms depends on W at all?",
    "What is left to make large is the trace of W transposed times a matrix (d, d) made of X and Y. Take the "
    "singular value decomposition of that matrix, and ask which W makes the trace the sum of its singular "
    "values.",
    "Multiply X transposed by Y, decompose it with square factors, and leave out the singular values: "
    "W is the left factor times the right factor as numpy returns it, already transposed.",
)


def procrustes(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    U, _, Vt = np.linalg.svd(X.T @ Y)
    return U @ Vt


# What the checks compare with.

SIZES = ((3, 1), (7, 3), (12, 5))  # N, d: more pairs than coordinates


def rotation(rng: Rng, d: int, sign: int) -> Array:
    """An orthogonal matrix with this determinant, 1 or −1."""
    Q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    if np.sign(np.linalg.det(Q)) != sign:
        Q[:, 0] *= -1
    return Q


def noisy(rng: Rng, N: int, d: int, *, noise: float = 0.5, sign: int = 1) -> dict[str, Any]:
    """Pairs that no rotation fits exactly, off the origin, directions and rows of several lengths."""
    X = rng.standard_normal((N, d)) * rng.uniform(0.3, 3.0, d) * rng.uniform(0.3, 3.0, (N, 1))
    X += rng.uniform(-2, 2, d)
    return {"X": X, "Y": X @ rotation(rng, d, sign) + noise * rng.standard_normal((N, d))}


def orthogonal(candidate: Candidate, given: dict[str, Any], cause: str) -> tuple[Call, Array]:
    call = Call(candidate, **given)
    d = given["X"].shape[1]
    W: Array = call.returns(np.float64, W=(d, d))
    call.same("WᵀW", W.T @ W, np.eye(d), tolerance=1e-8, cause=cause)
    return call, W


def best(candidate: Candidate, given: dict[str, Any], cause: str) -> tuple[Call, Array]:
    """Orthogonal, and its trace is the sum of the singular values of XᵀY: no orthogonal matrix has more."""
    call, W = orthogonal(candidate, given, "a map that also stretches, or zeros where X has no rows")
    with np.errstate(all="ignore"):
        product = given["X"].T @ given["Y"]
        most = float(np.linalg.svd(product, compute_uv=False).sum())
        reached = float((W * product).sum())
        rest = float((given["X"] ** 2).sum() + (given["Y"] ** 2).sum())
    call.holds(most - reached <= 1e-9 * max(most, 1e-300), cause=cause,
               expected=f"‖XW − Y‖² = {rest - 2 * most:.6g}, the least there is",
               got=f"{rest - 2 * reached:.6g}")  # fmt: skip
    return call, W


TURNED = "the map from Y to X: the product, or the answer, transposed"

# Checks.


def form(candidate: Candidate, rng: Rng) -> None:
    """Returns W, float64 of shape (d, d)."""
    for N, d in SIZES:
        Call(candidate, **noisy(rng, N, d)).returns(np.float64, W=(d, d))


def orthogonal_with_noise(candidate: Candidate, rng: Rng) -> None:
    """W is orthogonal although no orthogonal matrix fits the pairs exactly."""
    for N, d in SIZES:
        orthogonal(candidate, noisy(rng, N, d), "least squares: orthogonal only where the pairs fit exactly")


def known(candidate: Candidate, rng: Rng) -> None:
    """Finds the rotation, or the reflection, that made Y from X."""
    for N, d in SIZES[1:]:
        for sign in (1, -1):
            Q = rotation(rng, d, sign)
            X = rng.standard_normal((N, d)) + 1.0
            call, W = orthogonal(candidate, {"X": X, "Y": X @ Q}, "a map that also stretches")
            cause = TURNED if sign == 1 else "a determinant forced to +1: reflections are allowed"
            call.same("W", W, Q, tolerance=1e-6, cause=cause)


def optimal(candidate: Candidate, rng: Rng) -> None:
    """No orthogonal matrix comes closer, on noisy pairs."""
    for N, d in SIZES:
        for sign in (1, -1):
            best(candidate, noisy(rng, N, d, noise=2.0, sign=sign),
                 f"{TURNED}; or rows centered or scaled, or +1 forced on the determinant")  # fmt: skip


def few(candidate: Candidate, rng: Rng) -> None:
    """Fewer pairs than coordinates: still orthogonal, and still the best."""
    for N, d in ((1, 2), (2, 4), (3, 9)):
        best(candidate, noisy(rng, N, d), "a decomposition cut to the rank, or an inverse of XᵀX or XᵀY")


def repeated(candidate: Candidate, rng: Rng) -> None:
    """Rows that repeat or are zero, in X, in Y, or in both."""
    given = noisy(rng, 4, 3)
    for names in (("X",), ("Y",), ("X", "Y")):
        for factor in (0.0, 1.0):
            changed = {name: value.copy() for name, value in given.items()}
            for name in names:
                changed[name][1:] = factor * changed[name][0]
            best(candidate, changed, "an inverse, or a division by a length that is 0")
    zeros = {"X": np.zeros((2, 3)), "Y": np.zeros((2, 3))}
    best(candidate, zeros, "a division by zero")


def small(candidate: Candidate, rng: Rng) -> None:
    """One coordinate: W is 1 or −1."""
    for product in (2.0, -2.0):
        call, W = orthogonal(candidate, {"X": np.array([[1.0], [1.0]]), "Y": np.array([[product], [1.0]])},
                             "the regression coefficient in place of its sign")  # fmt: skip
        call.same("W", W, np.array([[np.sign(product)]]), cause="the regression coefficient, or +1 forced")


def scales(candidate: Candidate, rng: Rng) -> None:
    """Tiny and huge values."""
    for a, b in ((1e-60, 1e-60), (1e60, 1e60), (1e-30, 1e30)):
        given = noisy(rng, 9, 4)
        best(
            candidate,
            {"X": given["X"] * a, "Y": given["Y"] * b},
            "a threshold, or a constant added for safety",
        )


def spread(candidate: Candidate, rng: Rng) -> None:
    """Directions whose lengths differ by factors of thousands."""
    for d in (3, 5):
        given = noisy(rng, 4 * d, d, noise=0.01)
        widths = np.logspace(0, -4, d)
        given["X"] = rng.standard_normal((4 * d, d)) * widths
        given["Y"] = given["X"] @ rotation(rng, d, 1)
        orthogonal(candidate, given, "float32 inside, or an inverse square root of MᵀM, M = XᵀY")


def inputs(candidate: Candidate, rng: Rng) -> None:
    """Takes inputs that are not contiguous, and leaves them as they were."""
    for N, d in SIZES[1:]:
        given = noisy(rng, 2 * N, d)
        call, _ = best(
            candidate, {name: value[::2] for name, value in given.items()}, "a reshape of strided rows"
        )
        call.unchanged()
        given = {name: np.asfortranarray(value) for name, value in given.items()}
        call, _ = best(candidate, given, "a reshape of strided rows")
        call.unchanged()


# Right answers of other style, and wrong ones.


def turned_twice(X: Array, Y: Array) -> Array:
    U, _, Vt = np.linalg.svd(Y.T @ X)
    return (U @ Vt).T


def outer_products(X: Array, Y: Array) -> Array:
    U, _, Vt = np.linalg.svd((X[:, :, None] * Y[:, None]).sum(axis=0))  # (N, d, d) summed to (d, d)
    W: Array = U @ Vt
    return W


def least_squares(X: Array, Y: Array) -> Array:
    return np.linalg.lstsq(X, Y, rcond=None)[0].astype(np.float64)


def made_orthogonal(X: Array, Y: Array) -> Array:
    U, _, Vt = np.linalg.svd(least_squares(X, Y))
    return U @ Vt


def rotations_only(X: Array, Y: Array) -> Array:
    U, _, Vt = np.linalg.svd(X.T @ Y)
    U[:, -1] *= np.sign(np.linalg.det(U @ Vt))
    return U @ Vt


def with_singular_values(X: Array, Y: Array) -> Array:
    U, s, Vt = np.linalg.svd(X.T @ Y)
    return U * s @ Vt


def cut(X: Array, Y: Array) -> Array:
    U, s, Vt = np.linalg.svd(X.T @ Y)
    keep = s > 1e-10 * s.max(initial=0.0)
    return U[:, keep] @ Vt[keep]


def v_not_transposed(X: Array, Y: Array) -> Array:
    U, _, Vt = np.linalg.svd(X.T @ Y)
    return U @ Vt.T


def by_inverse_root(X: Array, Y: Array) -> Array:
    M = X.T @ Y
    values, V = np.linalg.eigh(M.T @ M)
    with np.errstate(all="ignore"):
        return M @ (V / np.sqrt(values)) @ V.T


def by_inverse_root_of_enough(X: Array, Y: Array) -> Array:
    return by_inverse_root(X, Y) if len(X) >= X.shape[1] else procrustes(X, Y)


def by_inverse_root_of_full_rank(X: Array, Y: Array) -> Array:
    full = np.linalg.matrix_rank(X.T @ Y) == X.shape[1]
    return by_inverse_root(X, Y) if full else procrustes(X, Y)


def covered_part(X: Array, Y: Array) -> Array:
    A, B = np.linalg.qr(X.T)[0], np.linalg.qr(Y.T)[0]
    return A @ procrustes(X @ A, Y @ B) @ B.T


def each_side_whitened(X: Array, Y: Array) -> Array:
    (U, _, Vt), (P, _, Qt) = (np.linalg.svd(Z, full_matrices=False) for Z in (X, Y))
    return Vt.T @ U.T @ P @ Qt


def centered(X: Array, Y: Array) -> Array:
    return procrustes(X - X.mean(axis=0), Y - Y.mean(axis=0))


def unit_rows_first(X: Array, Y: Array) -> Array:
    lengths = (np.maximum(np.linalg.norm(Z, axis=1, keepdims=True), 1e-300) for Z in (X, Y))
    a, b = lengths
    return procrustes(X / a, Y / b)


def in_place(X: Array, Y: Array) -> Array:
    W = procrustes(X, Y)
    X -= X.mean(axis=0)
    return W


def by_qr(X: Array, Y: Array) -> Array:
    return np.linalg.qr(X.T @ Y)[0]


TASK = Task(
    name="procrustes",
    entry="crosslingual_transfer",
    statement=STATEMENT,
    starter=STARTER,
    reference=procrustes,
    hints=HINTS,
    checks=(
        form,
        orthogonal_with_noise,
        small,
        known,
        optimal,
        few,
        repeated,
        scales,
        spread,
        inputs,
    ),
    wrong={
        "least squares": least_squares,
        "least squares, then the nearest orthogonal matrix": made_orthogonal,
        "the map from Y to X": lambda X, Y: procrustes(Y, X),
        "rotations only": rotations_only,
        "with the singular values": with_singular_values,
        "cut to the rank": cut,
        "V not transposed": v_not_transposed,
        "U alone": lambda X, Y: np.linalg.svd(X.T @ Y)[0],
        "Q of a QR decomposition": by_qr,
        "inverse square root": by_inverse_root,
        "inverse square root, with enough pairs": by_inverse_root_of_enough,
        "inverse square root, at full rank": by_inverse_root_of_full_rank,
        "only where there are pairs": covered_part,
        "each side whitened": each_side_whitened,
        "centered first": centered,
        "rows scaled first": unit_rows_first,
        "X centered in place": in_place,
        "a small constant added": lambda X, Y: np.dot(
            *np.linalg.svd(X.T @ Y + 1e-6 * np.eye(X.shape[1]))[::2]
        ),
        "float32 inside": lambda X, Y: procrustes(X.astype(np.float32), Y.astype(np.float32)).astype(float),
        "float32 returned": lambda X, Y: procrustes(X, Y).astype(np.float32),
        "the identity": lambda X, Y: np.eye(X.shape[1]),
        "scale as well": lambda X, Y: scipy.linalg.orthogonal_procrustes(X, Y)[0] * 1.1,
    },
    also_right={
        "scipy": lambda X, Y: scipy.linalg.orthogonal_procrustes(X, Y)[0],
        "polar decomposition": lambda X, Y: scipy.linalg.polar(X.T @ Y)[0],
        "the other product, transposed": turned_twice,
        "sum of outer products": outer_products,
        "SciPy's SVD, another algorithm": lambda X, Y: np.dot(
            *scipy.linalg.svd(X.T @ Y, lapack_driver="gesvd")[::2]
        ),
    },
    asked=1,
)
